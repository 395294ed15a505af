"""Pooling: clips -> track -> video, by one stated rule for training, evaluation and detection.

A track's logit is the mean of its clips' logits. A video's logit is the highest of its tracks':
one manipulated person among three makes a manipulated video, and averaging people would hide it.
Crops that the guard left out (`unmask.scoring.guard`) are kept as frames without a say.
A face that passes by briefly does not speak for the video: a track counts when it has at least a
quarter of the crops of the most prominent one that can be judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.scoring.guard import Codes
from unmask.types import Clip, FloatArray, FrameScore, TrackScore

ENOUGH_CROPS = 4
"""Usable crops by which a track of a video can be judged."""


@dataclass(frozen=True)
class PoolingSpec:
    """The rule."""

    video: Literal["max", "mean"] = "max"
    """Over the tracks that count: the highest logit, or their mean."""
    min_share: float = 0.25
    """Crops that a track needs to count, as a share of those of the first track that has enough."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_share <= 1:
            raise ValueError(f"min_share must be within 0-1, got {self.min_share}")


@dataclass(frozen=True)
class ClipLogits:
    """What the model says about one clip; only the n slots that hold a crop."""

    track_id: int
    clip_logit: float
    frame_logits: FloatArray
    """``(n,)``"""
    pts_seconds: FloatArray
    """``(n,)``"""
    boxes_xyxy_px: FloatArray
    """``(n, 4)``"""
    left_out: tuple[str, ...] = ()
    """``(n,)`` codes of why a crop does not count, empty for those that do; or nothing at all. The
    clip's logit is that of the others, and means nothing where there are none."""

    @property
    def counted(self) -> int:
        """Crops that count."""
        return len(self.frame_logits) - sum(map(bool, self.left_out))

    @classmethod
    def of(
        cls, clip: Clip, frame_logits: FloatArray, clip_logit: float, codes: Codes | None = None
    ) -> ClipLogits:
        """Pair a clip with its model outputs: ``frame_logits`` ``(T,)`` and ``clip_logit``.

        ``codes`` ``(T,)`` tell why crops were left out, where a guard looked at them.
        """
        if frame_logits.shape != clip.mask.shape:
            raise ValueError(f"frame_logits must be {clip.mask.shape}, got {frame_logits.shape}")
        keep = clip.mask
        return cls(
            clip.track_id,
            float(clip_logit),
            frame_logits[keep],
            clip.pts_seconds[keep],
            clip.boxes_xyxy_px[keep],
            () if codes is None else tuple(codes[keep].tolist()),
        )


def eligible(
    crops: ArrayLike, spec: PoolingSpec, usable: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """``(tracks,)`` which tracks speak for the video.

    Args:
        crops: ``(tracks,)`` their numbers of crops, of the most prominent track first.
        spec: the rule.
        usable: ``(tracks,)`` how many of these count; all by default.
    """
    counts = np.asarray(crops)
    needed = max(1, math.ceil(spec.min_share * lead(crops, usable)))
    return np.asarray(counts >= needed)


def lead(crops: ArrayLike, usable: ArrayLike | None = None) -> int:
    """Crops of the most prominent track that can be judged, by which the others are measured; of
    the longest where there is none. Arguments as for `eligible`."""
    counts = np.asarray(crops)
    able = np.flatnonzero((counts if usable is None else np.asarray(usable)) >= ENOUGH_CROPS)
    return int(counts[able[0]] if len(able) else counts.max(initial=0))


def video_logit(
    track_ids: ArrayLike, clip_logits: ArrayLike, crops: ArrayLike, spec: PoolingSpec | None = None
) -> float:
    """The video's logit from one row a clip.

    Args:
        track_ids: ``(N,)`` whose clip it is; the most prominent track has the lowest.
        clip_logits: ``(N,)``.
        crops: ``(N,)`` how many crops each clip holds.
        spec: the rule.

    Raises:
        ValueError: no clip at all: such a video has no logit, and gets no number.
    """
    spec = spec or PoolingSpec()
    speak = speaking(track_ids, crops, spec)
    ids, logits = np.asarray(track_ids)[speak], np.asarray(clip_logits, dtype=np.float64)[speak]
    _, member = np.unique(ids, return_inverse=True)
    tracks = np.bincount(member, logits) / np.bincount(member)
    return float(tracks.max() if spec.video == "max" else tracks.mean())


def speaking(
    track_ids: ArrayLike, crops: ArrayLike, spec: PoolingSpec | None = None
) -> NDArray[np.bool_]:
    """``(N,)`` which clips are of a track that speaks for the video. Arguments and errors as for
    `video_logit`."""
    ids = np.asarray(track_ids)
    if not len(ids):
        raise ValueError("a video without clips has no logit")
    kinds, member = np.unique(ids, return_inverse=True)
    counts = np.bincount(member, np.asarray(crops), len(kinds))
    return eligible(counts, spec or PoolingSpec())[member]


def pool(clips: Sequence[ClipLogits]) -> tuple[TrackScore, ...]:
    """Every track's logit with each frame's place in time, the most prominent track first.

    Raises:
        ValueError: no clip at all.
    """
    if not clips:
        raise ValueError("a video without clips has no logit")
    by_track: dict[int, list[ClipLogits]] = {}
    for clip in clips:
        by_track.setdefault(clip.track_id, []).append(clip)
    return tuple(_track_score(by_track[number]) for number in sorted(by_track))


def _track_score(clips: list[ClipLogits]) -> TrackScore:
    frames = [
        FrameScore(float(pts), (float(x0), float(y0), float(x1), float(y1)), float(logit), code)
        for clip in clips
        for pts, (x0, y0, x1, y1), logit, code in zip(
            clip.pts_seconds,
            clip.boxes_xyxy_px,
            clip.frame_logits,
            clip.left_out or ("",) * len(clip.frame_logits),
            strict=True,
        )
    ]
    heard = [clip.clip_logit for clip in clips if clip.counted]
    sizes = [max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in (frame.box_xyxy_px for frame in frames)]
    return TrackScore(
        track_id=clips[0].track_id,
        logit=float(np.mean(heard)) if heard else math.nan,
        frames=tuple(sorted(frames, key=lambda frame: frame.pts_seconds)),
        median_face_px=float(np.median(sizes)),
    )
