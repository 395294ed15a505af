"""Contact sheets: the crops of clips side by side, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from unmask.types import Clip, UInt8Array

_PAPER, _ABSENT = 255, 224  # grey levels of the gaps and of slots without a crop
_FONT, _INK_RGB, _MARGIN_PX = (cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1), (34, 48, 60), 6


def contact_sheet(
    clips: Sequence[Clip], captions: Sequence[str] = (), *, columns: int = 8, gap_px: int = 3
) -> UInt8Array:
    """One row a clip, ``columns`` of its crops evenly spread over its slots.

    Args:
        clips: all with crops of one size.
        captions: one a clip, written to the left of its row; none leaves no room for them.
        columns: crops shown of each clip, at most as many as it has slots.
        gap_px: white space around the crops.

    Returns:
        RGB, ``(rows * (H + gap) + gap, captions + columns * (W + gap) + gap, 3)`` uint8; slots
        without a crop are grey.
    """
    if not clips:
        raise ValueError("a contact sheet needs at least one clip")
    if captions and len(captions) != len(clips):
        raise ValueError(f"{len(clips)} clips need as many captions, got {len(captions)}")
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
    return np.hstack([_margin(captions, height + gap_px, len(sheet)), sheet]) if captions else sheet


def _margin(captions: Sequence[str], step_px: int, height_px: int) -> UInt8Array:
    """The captions, each at the middle of its row."""
    sizes = [cv2.getTextSize(text, *_FONT)[0] for text in captions]
    shape = (height_px, max(width for width, _ in sizes) + 2 * _MARGIN_PX, 3)
    margin = np.full(shape, _PAPER, dtype=np.uint8)
    face, scale, thick = _FONT
    for row, (text, (_, tall)) in enumerate(zip(captions, sizes, strict=True)):
        at = (_MARGIN_PX, row * step_px + (step_px + tall) // 2)
        cv2.putText(margin, text, at, face, scale, _INK_RGB, thick, cv2.LINE_AA)
    return margin
