"""Choose a few frames of a video by time and decode only what they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from av.video.frame import VideoFrame

from unmask.config import ClipSpec
from unmask.media.decode import Video
from unmask.media.picture import RgbConverter
from unmask.media.timeline import Float64Array, Int64Array
from unmask.types import Frame

T = TypeVar("T")


def sample(video: Video, spec: ClipSpec) -> Iterator[Frame]:
    """Yield up to ``spec.clips * spec.frames`` frames spread over the whole video, in time order.

    ``Frame.index`` is the slot s: with ``even`` sampling it belongs to clip ``s % clips`` at
    position ``s // clips``; with ``windows`` to clip ``s // frames`` at position ``s % frames``.
    A video with fewer frames than slots leaves slots out; no frame comes twice. One frame is alive
    at a time, so that memory does not grow with the length; the choice is deterministic.

    Raises:
        MediaError: ``media_damaged``, ``media_too_large`` (see `Video.frames`).
    """
    for slot, pts_seconds, image in sample_as(video, spec, RgbConverter()):
        yield Frame(image=image, pts_seconds=pts_seconds, index=slot)


def sample_as(
    video: Video, spec: ClipSpec, convert: Callable[[VideoFrame], T]
) -> Iterator[tuple[int, float, T]]:
    """Yield (slot, pts_seconds, what ``convert`` makes of the picture) for the frames of `sample`.

    Raises:
        MediaError: as `sample`.
    """
    timeline = video.timeline
    slots, ordinals = choose(timeline.seconds, timeline.end_seconds, spec)
    even_gap = timeline.end_seconds / (spec.clips * spec.frames)
    picture_gap = timeline.end_seconds / len(timeline)
    gap_seconds = 4 * (max(even_gap, picture_gap) if spec.sampling == "even" else picture_gap)
    for at, pts_seconds, made in video.converted(
        ordinals.tolist(), convert, gap_seconds=gap_seconds
    ):
        yield int(slots[at]), pts_seconds, made


def choose(
    seconds: Float64Array, end_seconds: float, spec: ClipSpec
) -> tuple[Int64Array, Int64Array]:
    """Which picture goes to which slot.

    Args:
        seconds: ``(N,)`` ascending presentation times.
        end_seconds: when the last picture ends.
        spec: how many frames, and how spread.

    Returns:
        Slots and ordinals of pictures, ``(K,)`` each, ascending, K <= clips * frames.
    """
    if spec.sampling == "even":
        return _even(seconds, end_seconds, spec.clips * spec.frames)
    return _windows(seconds, end_seconds, spec.clips, spec.frames)


def _even(seconds: Float64Array, end_seconds: float, count: int) -> tuple[Int64Array, Int64Array]:
    """The picture on screen at the middle of each of ``count`` equal parts of the video."""
    ordinals = _on_screen(seconds, end_seconds, count)
    ordinals, slots = np.unique(ordinals, return_index=True)
    return slots, ordinals


def _windows(
    seconds: Float64Array, end_seconds: float, clips: int, frames: int
) -> tuple[Int64Array, Int64Array]:
    """Runs of consecutive pictures around the middles of ``clips`` equal parts of the video."""
    total = len(seconds)
    if total <= clips * frames:  # too short to choose: share out what there is
        ordinals = np.arange(total)
        owner = ordinals * clips // total  # (N,) which clip gets the picture
        return owner * frames + ordinals - np.searchsorted(owner, owner), ordinals
    starts = _on_screen(seconds, end_seconds, clips) - frames // 2
    for clip in range(clips):  # runs may touch, not overlap
        starts[clip] = max(starts[clip], starts[clip - 1] + frames if clip else 0)
    for clip in reversed(range(clips)):
        starts[clip] = min(starts[clip], total - (clips - clip) * frames)
    ordinals = (starts[:, None] + np.arange(frames)).reshape(-1)
    return np.arange(clips * frames), ordinals


def _on_screen(seconds: Float64Array, end_seconds: float, parts: int) -> Int64Array:
    middles = (np.arange(parts) + 0.5) / parts * end_seconds
    return np.maximum(np.searchsorted(seconds, middles, side="right") - 1, 0)
