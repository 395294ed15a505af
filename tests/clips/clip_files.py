"""Small clips and entries for the tests of the store."""

import numpy as np

from unmask.clips import StoreEntry
from unmask.config import ClipSpec
from unmask.types import Clip, VideoRecord

SPEC = ClipSpec(frames=4, size_px=32)


def clip_of(seed: int, spec: ClipSpec = SPEC, track_id: int = 0) -> Clip:
    """A clip whose second slot is empty; what else is in it follows from the seed."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (spec.frames, spec.size_px, spec.size_px, 3), dtype=np.uint8)
    mask = np.arange(spec.frames) != 1
    frames[~mask] = 0
    gone = np.where(mask, 0, np.nan).astype(np.float32)
    return Clip(
        frames=frames,
        mask=mask,
        pts_seconds=(np.arange(spec.frames) * 0.5 + gone).astype(np.float32),
        boxes_xyxy_px=np.tile(np.float32([10, 20, 42, 50 + seed % 7]), (spec.frames, 1))
        + gone[:, None],
        keypoints_px=np.full((spec.frames, 5, 2), 12.25, np.float32) + gone[:, None, None],
        track_id=track_id,
    )


def entry_of(path: str, status: str = "ok", split: str = "train", label: int = 0) -> StoreEntry:
    """An entry as `prepare` makes it, before its clips are put."""
    record = VideoRecord(path, label, split, group=path)
    code = "" if status == "ok" else status
    return StoreEntry(record, status, code, size_bytes=1, mtime_ns=2)  # type: ignore[arg-type]
