"""Frames in, tracks of aligned crops out; one frame is alive at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unmask.config import ClipSpec
from unmask.faces.align import align
from unmask.faces.detect import FaceDetector
from unmask.faces.track import Tracker
from unmask.types import Crop, Face, Frame, Track, UInt8Array, Warn


@dataclass(frozen=True)
class Extraction:
    """The people of a video, as far as its sampled frames show them."""

    tracks: tuple[Track, ...]
    """At most ``spec.max_faces``, the most prominent first."""
    frames_with_face: int
    """Frames with a face of at least ``spec.min_face_px`` whose eyes, nose and mouth are in it, and
    which is no false alarm (`unmask.faces.track.Tracker.tracks`)."""
    warnings: tuple[Warn, ...] = ()


class Gathering:
    """Collects a video's faces, frame by frame; `result` is what came together."""

    def __init__(self, spec: ClipSpec) -> None:
        self._spec = spec
        self._tracker = Tracker()
        self._small = self._cut = 0

    def choose(self, found: Sequence[Face], width_px: int, height_px: int) -> list[Face]:
        """Of the faces found in the next frame, those to be cut out; the others are counted."""
        whole = [face for face in found if _is_whole(face, width_px, height_px)]
        faces = [face for face in whole if face.size_px >= self._spec.min_face_px]
        self._cut += len(found) - len(whole)
        self._small += len(whole) - len(faces)
        return faces

    def add(
        self, faces: Sequence[Face], images: Iterable[UInt8Array], pts_seconds: float, index: int
    ) -> None:
        """Take in the crops of the chosen faces of a frame; frames come in time order."""
        self._tracker.update(
            [
                Crop(image=image, pts_seconds=pts_seconds, frame_index=index, face=face)
                for face, image in zip(faces, images, strict=True)
            ]
        )

    def result(self) -> Extraction:
        """The people so far."""
        warnings = []
        if self._cut:
            text = f"Not used: detections that the picture's edge cuts off ({self._cut})."
            warnings.append(Warn("face_cut_off", text))
        if self._small:
            least = self._spec.min_face_px
            text = f"Not used: detections smaller than {least} px ({self._small})."
            warnings.append(Warn("face_below_minimum", text))
        tracks = self._tracker.tracks()
        with_face = {crop.frame_index for track in tracks for crop in track.crops}
        kept, others = tracks[: self._spec.max_faces], tracks[self._spec.max_faces :]
        if further := [t for t in others if len(t.crops) >= len(kept[0].crops) / 4]:
            text = f"Not judged: people beyond the {len(kept)} most prominent ({len(further)})."
            warnings.append(Warn("people_left_out", text))
        return Extraction(kept, len(with_face), tuple(warnings))


def extract(frames: Iterable[Frame], spec: ClipSpec, detector: FaceDetector) -> Extraction:
    """Find, align and follow the faces of a video's sampled frames.

    Crops are kept, frames are not, so memory does not grow with the frames' size.
    """
    people = Gathering(spec)
    for frame in frames:
        height, width = frame.image.shape[:2]
        faces = people.choose(detector(frame.image), width, height)
        crops = [align(frame.image, face, spec.size_px, spec.margin) for face in faces]
        people.add(faces, crops, frame.pts_seconds, frame.index)
    return people.result()


def _is_whole(face: Face, width_px: int, height_px: int) -> bool:
    """Whether eyes, nose and mouth lie in the picture: of less, a crop shows its mirror image."""
    return bool(((face.keypoints_px >= 0) & (face.keypoints_px < (width_px, height_px))).all())
