"""Open a video and take frames from it: upright RGB with their times, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from unmask.errors import MediaError
from unmask.machine import usable_cores
from unmask.media.container import (
    PYAV_ERRORS,
    Limits,
    check_pixels,
    check_regular,
    open_container,
)
from unmask.media.picture import RgbConverter
from unmask.media.probe import MediaInfo, inspect
from unmask.media.reader import Reader
from unmask.media.timeline import Scan, Timeline
from unmask.types import Frame, Warn

T = TypeVar("T")

_MAX_THREADS = 8


@dataclass(frozen=True)
class Coverage:
    """What of a video was really looked at."""

    frames_decoded: int
    """Pictures that the decoder gave out, wanted or not."""
    frames_analysed: int
    """Frames that were handed out."""
    partial: bool
    """True where damage kept some of the video from being read."""
    analysed_ranges_seconds: list[tuple[float, float]]
    """Times covered by the frames handed out, ascending; a wide gap between frames splits them."""
    warnings: tuple[Warn, ...]

    @property
    def step_seconds(self) -> float:
        """As `mean_step_seconds`."""
        return mean_step_seconds(self.frames_analysed, self.analysed_ranges_seconds)


def mean_step_seconds(frames: int, ranges_seconds: Sequence[Sequence[float]]) -> float:
    """Mean time between neighbouring ones of so many frames, which cover these ranges; 0.0 where
    there is none."""
    steps = frames - len(ranges_seconds)
    return sum(end - start for start, end in ranges_seconds) / steps if steps > 0 else 0.0


class Video:
    """An opened video; made by `open_video`."""

    def __init__(
        self,
        info: MediaInfo,
        timeline: Timeline,
        limits: Limits,
        threads: int,
        stack: ExitStack,
        accelerator: HWAccel | None = None,
    ) -> None:
        self.info = info
        self.timeline = timeline
        self._limits, self._threads, self._stack = limits, threads, stack
        self._accelerator = accelerator
        self._reader: Reader | None = None
        self._seconds: list[float] = []
        self._gap_seconds = 0.0

    def frames(self) -> Iterator[Frame]:
        """Every frame, in the order shown.

        Raises:
            MediaError: ``media_damaged`` where nothing decodes, ``media_too_large`` where the
                pictures grow beyond the limit on the way.
        """
        gap_seconds = 4 * self.timeline.end_seconds / len(self.timeline)
        for index, (_, frame) in enumerate(
            self.pick(range(len(self.timeline)), gap_seconds=gap_seconds)
        ):
            yield Frame(image=frame.image, pts_seconds=frame.pts_seconds, index=index)

    def pick(self, ordinals: Sequence[int], *, gap_seconds: float) -> Iterator[tuple[int, Frame]]:
        """Yield (position in ``ordinals``, frame) for chosen pictures of the timeline.

        Only what they need is decoded, and only they are converted to RGB.

        Args:
            ordinals: ascending places in `timeline`, without repetition.
            gap_seconds: frames further apart than this split `Coverage.analysed_ranges_seconds`.

        Raises:
            MediaError: as `frames`.
        """
        for at, pts_seconds, image in self.converted(
            ordinals, RgbConverter(), gap_seconds=gap_seconds
        ):
            yield at, Frame(image=image, pts_seconds=pts_seconds, index=at)

    def converted(
        self, ordinals: Sequence[int], convert: Callable[[VideoFrame], T], *, gap_seconds: float
    ) -> Iterator[tuple[int, float, T]]:
        """Yield (position in ``ordinals``, pts_seconds, what ``convert`` makes of the picture).

        A picture at which ``convert`` fails with one of PyAV's errors counts as damaged.

        Args:
            ordinals: as `pick`.
            convert: takes the decoder's own picture.
            gap_seconds: as `pick`.

        Raises:
            MediaError: as `frames`.
        """
        self._seconds, self._gap_seconds = [], gap_seconds
        self._reader = reader = Reader(self._open, self.timeline)
        place = {ordinal: at for at, ordinal in enumerate(ordinals)}
        for ordinal, pts_seconds, picture in reader.pictures(ordinals):
            check_pixels(picture.width, picture.height, self._limits, self.info.path)
            try:
                made = convert(picture)
            except PYAV_ERRORS:
                reader.damaged += 1
                continue
            self._seconds.append(pts_seconds)
            yield place[ordinal], pts_seconds, made
        if not self._seconds and len(ordinals):
            raise MediaError(
                f"No picture of {self.info.path} can be decoded.",
                code="media_damaged",
                hint="It may be cut off; copy it again from its source.",
            )

    @property
    def coverage(self) -> Coverage:
        """What the last iteration looked at; complete once it has ended."""
        decoded = self._reader.frames_decoded if self._reader else 0
        damaged = self._reader.damaged if self._reader else 0
        unordered = self._reader.unordered if self._reader else 0
        warnings = self.info.warnings + self.timeline.warnings
        if damaged:
            warnings += (
                Warn("damaged_pictures", f"{damaged} packets or pictures were damaged; left out."),
            )
        if unordered:
            warnings += (
                Warn(
                    "timestamps_not_monotonic",
                    f"{unordered} pictures came out of order of their timestamps; left out.",
                ),
            )
        return Coverage(
            frames_decoded=decoded,
            frames_analysed=len(self._seconds),
            partial=self.timeline.damaged or damaged > 0,
            analysed_ranges_seconds=_ranges(self._seconds, self._gap_seconds),
            warnings=warnings,
        )

    def _open(self) -> tuple[InputContainer, VideoStream]:
        return self._stack.enter_context(
            open_container(
                self.info.path,
                self._limits,
                threads=self._threads,
                accelerator=self._accelerator,
            )
        )


@contextmanager
def open_video(
    path: str | Path,
    limits: Limits | None = None,
    threads: int = 0,
    accelerator: HWAccel | None = None,
) -> Iterator[Video]:
    """Open a video, read all its packets' times and decode its first picture.

    Args:
        path: a regular file, or a link to one.
        limits: what the file may ask for.
        threads: decoder threads; 0 = as many as this process may use, at most 8.
        accelerator: decodes what is asked of the video; its first picture always is decoded here.

    Raises:
        MediaError: the file cannot be read as video (its codes are listed there).
    """
    limits = limits or Limits()
    path = check_regular(Path(path))
    with open_container(path, limits) as (container, stream):
        scan = Scan(stream, limits, path)
        packets = scan.watch(container.demux(stream))
        info = inspect(path, container, stream, packets, limits)
        for _ in packets:
            pass
        timeline = scan.timeline()
    with ExitStack() as stack:
        yield Video(
            info, timeline, limits, threads or min(usable_cores(), _MAX_THREADS), stack, accelerator
        )


def _ranges(seconds: Sequence[float], gap_seconds: float) -> list[tuple[float, float]]:
    ranges: list[tuple[float, float]] = []
    for time in seconds:
        if ranges and time - ranges[-1][1] <= gap_seconds:
            ranges[-1] = (ranges[-1][0], time)
        else:
            ranges.append((time, time))
    return ranges
