"""The nouns of the program: frozen dataclasses that travel between the floors.

frame -> face -> track -> crop -> clip -> video. Units are in the names; pixels are RGB uint8;
boxes are ``(x0, y0, x1, y1)`` in pixels of the upright (rotation applied) frame; times are
presentation times in seconds counted from the first frame of the video.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

BoxXyxy = tuple[float, float, float, float]

Evidence = Literal[
    "not_applicable",
    "inconclusive",
    "weak_evidence",
    "moderate_evidence",
    "strong_evidence",
    "very_strong_evidence",
]

STRETCH_STEP_SECONDS = 2.0
"""Frames up to this far apart are taken to show what lies between them."""

REAL, FAKE = 0, 1  # the manifest's labels: 1 = manipulated


@dataclass(frozen=True)
class Warn:
    """Something a reader of the result must know, which did not stop the work."""

    code: str
    """Stable snake_case identifier, e.g. ``"hdr_tone_not_mapped"``."""
    message: str
    """One sentence for people."""


@dataclass(frozen=True)
class Frame:
    """One decoded picture of a video, upright."""

    image: UInt8Array
    """RGB, ``(H, W, 3)`` uint8, rotation and mirroring applied."""
    pts_seconds: float
    """Presentation time, from the first frame of the video; finite and >= 0."""
    index: int
    """Ordinal of this frame among the sampled frames, from 0."""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                f"image must be (H, W, 3) uint8, got {self.image.shape} {self.image.dtype}"
            )
        if not np.isfinite(self.pts_seconds) or self.pts_seconds < 0:
            raise ValueError(f"pts_seconds must be finite and >= 0, got {self.pts_seconds}")


@dataclass(frozen=True)
class Face:
    """One detected face in one frame."""

    box_xyxy_px: BoxXyxy
    """Tight box, brow to chin and ear to ear; may reach over the frame's edge."""
    keypoints_px: FloatArray
    """``(5, 2)`` float32 x, y: the eye, the other eye (left in the picture first), nose tip, the
    mouth's corner left in the picture, the one to the right."""
    confidence: float
    """The face detector's own score, 0-1."""

    def __post_init__(self) -> None:
        if self.keypoints_px.shape != (5, 2):
            raise ValueError(f"keypoints_px must be (5, 2), got {self.keypoints_px.shape}")
        x0, y0, x1, y1 = self.box_xyxy_px
        if not (x1 > x0 and y1 > y0):
            raise ValueError(f"box_xyxy_px must have x1 > x0 and y1 > y0, got {self.box_xyxy_px}")

    @property
    def size_px(self) -> float:
        """The longer side of the box, in pixels."""
        x0, y0, x1, y1 = self.box_xyxy_px
        return max(x1 - x0, y1 - y0)


@dataclass(frozen=True)
class Crop:
    """One aligned face patch."""

    image: UInt8Array
    """RGB, ``(size_px, size_px, 3)`` uint8."""
    pts_seconds: float
    frame_index: int
    """The `Frame.index` that it was cut from."""
    face: Face
    """Where it was cut, in the frame's pixels."""


@dataclass(frozen=True)
class Track:
    """One face over time: at most one crop a frame, in time order."""

    track_id: int
    """From 0, the most prominent (size times duration) first."""
    crops: tuple[Crop, ...]


@dataclass(frozen=True)
class Clip:
    """T crops of one track, as the models see them."""

    frames: UInt8Array
    """RGB, ``(T, H, W, 3)`` uint8; rows where ``mask`` is False are zero."""
    mask: BoolArray
    """``(T,)``: True where there is a crop."""
    pts_seconds: FloatArray
    """``(T,)``; NaN where ``mask`` is False."""
    boxes_xyxy_px: FloatArray
    """``(T, 4)``; NaN where ``mask`` is False."""
    keypoints_px: FloatArray
    """``(T, 5, 2)``; NaN where ``mask`` is False."""
    track_id: int

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[3] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be (T, H, W, 3) uint8, got {self.frames.shape} {self.frames.dtype}"
            )
        t = len(self.frames)
        for name, shape in (
            ("mask", (t,)),
            ("pts_seconds", (t,)),
            ("boxes_xyxy_px", (t, 4)),
            ("keypoints_px", (t, 5, 2)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must be {shape}, got {getattr(self, name).shape}")
        if not self.mask.any():
            raise ValueError("a clip needs at least one crop")


@dataclass(frozen=True)
class FrameScore:
    """What the model says about one crop."""

    pts_seconds: float
    box_xyxy_px: BoxXyxy
    logit: float
    """Raw frame logit; > 0 leans to manipulated."""
    left_out: str = ""
    """Code of why this crop does not count, e.g. ``"face_dark"``; its logit then means nothing."""


@dataclass(frozen=True)
class TrackScore:
    """What the model says about one person's track."""

    track_id: int
    logit: float
    """Raw track logit, pooled over the track's clips; NaN where none of its frames counts."""
    frames: tuple[FrameScore, ...]
    """In time order, those that do not count included."""
    median_face_px: float

    @property
    def counted(self) -> tuple[FrameScore, ...]:
        """The frames that count."""
        return tuple(frame for frame in self.frames if not frame.left_out)


@dataclass(frozen=True)
class VideoRecord:
    """One row of a manifest: one video (or still) and what is known of it."""

    path: str
    """Relative to the dataset's root, POSIX separators. The video's id everywhere."""
    label: int
    """1 = manipulated, 0 = authentic."""
    split: str
    """``train``, ``val`` or ``test``."""
    group: str
    """Source video and identities: rows that share it may not cross a split."""
    method: str = ""
    """Manipulation method, or an empty string where unknown or authentic."""
    dataset: str = ""
    sha256: str = ""
    """Of the file's content; filled by `prepare`."""
    source: str = ""
    """Path of the authentic row that a fake was made from, where known."""

    def __post_init__(self) -> None:
        if self.label not in (REAL, FAKE):
            raise ValueError(f"label must be 0 or 1, got {self.label!r}")
        if self.split not in ("train", "val", "test"):
            raise ValueError(f"split must be train, val or test, got {self.split!r}")


@dataclass(frozen=True)
class Segment:
    """A time range of one person's track that looks manipulated."""

    start_seconds: float
    end_seconds: float
    score: float
    """Mean calibrated score within, 0-1."""
    frames: int
    """Frames that were looked at within."""
    longest_step_seconds: float
    """The longest time between two neighbouring ones: what lies there was not seen."""

    @property
    def coarse(self) -> bool:
        """Whether its frames lie so far apart that it tells where to look, not what was seen."""
        return self.longest_step_seconds > STRETCH_STEP_SECONDS


@dataclass(frozen=True)
class Person:
    """One person's part of a verdict."""

    person_id: int
    """From 1, the most prominent first; the number by which every output calls this person."""
    label: Evidence
    score: float | None
    """Calibrated P(manipulated), 0-1; None where it was not judged."""
    frames: int
    median_face_px: float
    segments: tuple[Segment, ...] = ()
    frames_detail: tuple[dict[str, Any], ...] = ()
    """``{"time_seconds", "box_xyxy_px", "score", "left_out"}`` for every analysed frame;
    ``left_out`` is the code of why a frame does not count, or None."""
    interval: tuple[float, float] | None = None
    """95 % interval of the score over the frames that were looked at."""
    reasons: tuple[Warn, ...] = ()
    """Why there is no score; empty where there is one."""
    seen_ranges_seconds: tuple[tuple[float, float], ...] = ()
    """First and last time of every stretch in which the face was never away for longer than two
    seconds and two and a half of the steps in which the video was looked at."""


@dataclass(frozen=True)
class Verdict:
    """The answer of `unmask.detect` for one video; `unmask.report.as_dict` makes it JSON.

    ``status`` is ``"completed"`` (a score or an abstention with reasons) or ``"failed"`` (``error``
    holds code, message and hint). The nested dictionaries have the keys of the documented schema
    (docs/verdict.md).
    """

    status: Literal["completed", "failed"]
    input: dict[str, Any]
    label: Evidence
    score: float | None
    text: str
    reasons: tuple[Warn, ...] = ()
    calibrated: bool = False
    interval: tuple[float, float] | None = None
    threshold: float | None = None
    expected_bpcer: float | None = None
    expected_apcer: float | None = None
    cut_points: tuple[float, float] | None = None
    """Scores from which evidence is strong and very strong; it is moderate from ``threshold``."""
    coverage: dict[str, Any] = field(default_factory=dict)
    people: tuple[Person, ...] = ()
    model: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] | None = None
    """State of the Content Credentials (`unmask.media.credentials`); None where not read. It never
    touches the score."""
    warnings: tuple[Warn, ...] = ()
    limitations: tuple[str, ...] = ()
    runtime: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] | None = None

    def __post_init__(self) -> None:
        judged = self.label not in ("not_applicable", "inconclusive")
        if judged != (self.score is not None):
            raise ValueError(f"label {self.label!r} does not go with score {self.score!r}")
