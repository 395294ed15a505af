"""Frames in, tracks of aligned crops out; one frame is alive at a time."""

from __future__ import annotations

from collections.abc import Iterable
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
    frames_seen: int
    frames_with_face: int
    """Frames with a face of at least ``spec.min_face_px`` whose eyes, nose and mouth are in it."""
    warnings: tuple[Warn, ...] = ()


def extract(frames: Iterable[Frame], spec: ClipSpec, detector: FaceDetector) -> Extraction:
    """Find, align and follow the faces of a video's sampled frames.

    Crops are kept, frames are not, so memory does not grow with the frames' size.
    """
    tracker = Tracker()
    seen = with_face = small = cut = 0
    for frame in frames:
        seen += 1
        found = detector(frame.image)
        whole = [face for face in found if _is_whole(face, frame.image)]
        faces = [face for face in whole if face.size_px >= spec.min_face_px]
        cut += len(found) - len(whole)
        small += len(whole) - len(faces)
        with_face += bool(faces)
        tracker.update(
            [
                Crop(
                    image=align(frame.image, face, spec.size_px, spec.margin),
                    pts_seconds=frame.pts_seconds,
                    frame_index=frame.index,
                    face=face,
                )
                for face in faces
            ]
        )
    warnings = []
    if cut:
        text = f"Not used: detections that the picture's edge cuts off ({cut})."
        warnings.append(Warn("face_cut_off", text))
    if small:
        text = f"Not used: detections smaller than {spec.min_face_px} px ({small})."
        warnings.append(Warn("face_below_minimum", text))
    tracks = tracker.tracks(spec.max_faces)
    return Extraction(tracks, seen, with_face, tuple(warnings))


def _is_whole(face: Face, image: UInt8Array) -> bool:
    """Whether eyes, nose and mouth lie in the picture: of less, a crop shows its mirror image."""
    height, width = image.shape[:2]
    return bool(((face.keypoints_px >= 0) & (face.keypoints_px < (width, height))).all())
