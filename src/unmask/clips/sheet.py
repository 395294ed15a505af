"""Contact sheets: the crops of clips side by side, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unmask.types import Clip, UInt8Array

_PAPER, _ABSENT = 255, 224  # grey levels of the gaps and of slots without a crop


def contact_sheet(clips: Sequence[Clip], columns: int = 8, gap_px: int = 3) -> UInt8Array:
    """One row a clip, ``columns`` of its crops evenly spread over its slots.

    Args:
        clips: all with crops of one size.
        columns: crops shown of each clip, at most as many as it has slots.
        gap_px: white space around the crops.

    Returns:
        RGB, ``(rows * (H + gap) + gap, columns * (W + gap) + gap, 3)`` uint8; slots without a
        crop are grey.
    """
    if not clips:
        raise ValueError("a contact sheet needs at least one clip")
    height, width = clips[0].frames.shape[1:3]
    columns = min(columns, max(len(clip.frames) for clip in clips))
    shape = (len(clips) * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px, 3)
    sheet = np.full(shape, _PAPER, dtype=np.uint8)
    for row, clip in enumerate(clips):
        shown = min(columns, len(clip.frames))
        slots = ((np.arange(shown) + 0.5) / shown * len(clip.frames)).astype(int)
        for column, slot in enumerate(slots):
            y, x = gap_px + row * (height + gap_px), gap_px + column * (width + gap_px)
            crop = clip.frames[slot] if clip.mask[slot] else _ABSENT
            sheet[y : y + height, x : x + width] = crop
    return sheet
