"""A few clips of a dataset, cut right away: to look at and to try a model on before `prepare`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unmask.clips import clips_of
from unmask.config import ClipSpec
from unmask.data.manifest import Manifest
from unmask.data.sources import as_file, locate
from unmask.errors import DatasetError, MediaError
from unmask.faces.detect import FaceDetector, load_detector
from unmask.types import FAKE, REAL, Clip, UInt8Array, VideoRecord

_SPARE = 12  # videos without a usable clip that are passed over, a class


@dataclass(frozen=True)
class Glimpse:
    """Clips of as many authentic as manipulated videos, one a video."""

    records: tuple[VideoRecord, ...]
    """In pairs: authentic, manipulated, authentic ..."""
    clips: tuple[Clip, ...]
    skipped: tuple[tuple[str, str], ...]
    """Videos that gave no clip, with the reason."""

    @property
    def labels(self) -> UInt8Array:
        """``(B,)`` uint8, 1 = manipulated."""
        return np.array([record.label for record in self.records], dtype=np.uint8)


def first_clips(
    manifest: Manifest, spec: ClipSpec, each: int = 2, detector: FaceDetector | None = None
) -> Glimpse:
    """The first clip of the most prominent face of ``each`` training videos a class.

    Args:
        manifest: the dataset.
        spec: how clips are cut.
        each: videos a class; files that cannot be read or show no face are passed over.
        detector: finds the faces; the bundled one by default.

    Raises:
        DatasetError: ``dataset_no_clips``: a class gives none in its first files.
        ModelError: the face detector's weights are missing or altered.
    """
    detector = detector or load_detector()
    skipped: list[tuple[str, str]] = []
    chosen = {
        label: _of_class(manifest, label, spec, each, detector, skipped) for label in (REAL, FAKE)
    }
    count = min(len(found) for found in chosen.values())
    pairs = [pair for place in range(count) for pair in (chosen[REAL][place], chosen[FAKE][place])]
    return Glimpse(
        tuple(record for record, _ in pairs), tuple(clip for _, clip in pairs), tuple(skipped)
    )


def _of_class(
    manifest: Manifest,
    label: int,
    spec: ClipSpec,
    each: int,
    detector: FaceDetector,
    skipped: list[tuple[str, str]],
) -> list[tuple[VideoRecord, Clip]]:
    mine = [r for r in manifest.records if r.label == label and r.split == "train"]
    before = len(skipped)
    found: list[tuple[VideoRecord, Clip]] = []
    for record in mine[: each + _SPARE]:
        source = locate(manifest.root, [record]).get(record.path)
        if source is None:
            skipped.append((record.path, "the file is not there"))
            continue
        try:
            with as_file(source) as path:
                clips = clips_of(path, spec, detector).clips
        except MediaError as error:
            skipped.append((record.path, f"[{error.code}] {error.message}"))
            continue
        if clips:
            found.append((record, clips[0]))
        else:
            skipped.append((record.path, "no usable face"))
        if len(found) == each:
            break
    if not found:
        name = "manipulated" if label else "authentic"
        first = "".join(f" The first: {path}: {why}." for path, why in skipped[before : before + 1])
        raise DatasetError(
            f"No clip could be cut from the first {len(mine[: each + _SPARE])} {name} training "
            f"videos of {manifest.root}.{first}",
            code="dataset_no_clips",
            hint="Look at these videos: is a face visible, larger than clip.min_face_px?",
        )
    return found
