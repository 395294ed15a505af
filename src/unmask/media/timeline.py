"""When every picture of a video is shown, learned from its packets without decoding.

Headers lie about durations and frame counts, packets rarely: reading them all costs about a second
for an hour of video (their content is not touched), and gives an exact plan of what to decode.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from unmask.errors import MediaError
from unmask.media.container import PYAV_ERRORS, Limits, header_seconds
from unmask.types import Warn

Int64Array = NDArray[np.int64]
Float64Array = NDArray[np.float64]

_NO_TIME = np.iinfo(np.int64).min
_MAX_REORDER = 32  # no codec shows a picture more than 16 places away from where it is decoded
_ASSUMED_RATE = 25.0


@dataclass(frozen=True)
class Timeline:
    """The N pictures of a video in display order, and the M packets they come from."""

    seconds: Float64Array
    """``(N,)`` presentation times from the first picture on, ascending."""
    end_seconds: float
    """When the last picture ends, were it shown as long as the others usually are."""
    pts: Int64Array
    """``(N,)`` presentation times in ticks; ordinals where ``exact`` is False."""
    position: Int64Array
    """``(N,)`` which packet (in decoding order) holds the picture."""
    packet_pts: Int64Array
    """``(M,)`` in decoding order."""
    packet_dts: Int64Array
    """``(M,)``; equal to pts where the container has none."""
    keyframes: Int64Array
    """Packets at which decoding can start."""
    exact: bool
    """True where packets carry usable times of their own pictures; else pictures are told apart by
    counting, and where the times are of no use, they were made from the frame rate."""
    reorder_depth: int
    """Pictures that the decoder must hold back to show them in order."""
    tick_seconds: float
    damaged: bool
    """The container broke off or carries less than its header says."""
    warnings: tuple[Warn, ...]

    def __len__(self) -> int:
        return len(self.seconds)

    def start_of(self, ordinal: int) -> int:
        """The packet from which to decode so that picture ``ordinal`` comes out whole.

        That is the last keyframe at or before it in decoding *and* in display order: pictures shown
        before a keyframe but stored after it lean on the one before.
        """
        at = int(np.searchsorted(self.keyframes, self.position[ordinal], side="right")) - 1
        while at > 0 and self.packet_pts[self.keyframes[at]] > self.pts[ordinal]:
            at -= 1
        return int(self.keyframes[at]) if at >= 0 else 0

    def packet_at(self, pts: int | None) -> int | None:
        """Which packet has this pts; None where no one has."""
        if pts is None or not self.exact:
            return None
        found = np.flatnonzero(self.packet_pts == pts)
        return int(found[0]) if len(found) else None


class Scan:
    """Collects packets' times as they pass; `timeline` draws the sum."""

    def __init__(self, stream: VideoStream, limits: Limits, path: Path) -> None:
        self._stream, self._limits, self._path = stream, limits, path
        self._pts, self._dts, self._duration = array("q"), array("q"), array("q")
        self._key, self._discard = array("b"), array("b")
        self._tick = float(stream.time_base or Fraction(1, 1000))
        self._broke_off = False

    def watch(self, packets: Iterator[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        """Pass packets through and note them; a container that breaks off ends the stream."""
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except PYAV_ERRORS:
                self._broke_off = True
                return
            if not packet.size and packet.pts is None and packet.dts is None:
                yield packet  # PyAV's last, empty one: it flushes the decoder
                continue
            self._note(packet)
            yield packet

    def _note(self, packet: Packet[VideoStream]) -> None:
        self._pts.append(_NO_TIME if packet.pts is None else packet.pts)
        self._dts.append(_NO_TIME if packet.dts is None else packet.dts)
        self._duration.append(packet.duration or 0)
        self._key.append(packet.is_keyframe)
        self._discard.append(packet.is_discard)
        self._broke_off |= packet.is_corrupt

    def timeline(self) -> Timeline:
        """The plan of everything that was noted.

        Raises:
            MediaError: ``media_no_frames``, ``media_too_long``.
        """
        pts, dts = np.asarray(self._pts, np.int64), np.asarray(self._dts, np.int64)
        shown = np.flatnonzero(np.asarray(self._discard) == 0)
        if not len(shown):
            raise MediaError(f"{self._path} holds no pictures.", code="media_no_frames")
        warnings: tuple[Warn, ...] = ()
        usable = _usable(pts)
        exact = usable and not self._in_decoding_order(pts)
        if exact:
            position = shown[np.argsort(pts[shown], kind="stable")]
            ticks = pts[position]
            seconds = (ticks - ticks[0]) * self._tick
        elif usable:
            # The times are right, but not those of the packets that they stand at.
            position, ticks = shown, np.arange(len(shown), dtype=np.int64)
            seconds = (pts[shown] - pts[shown[0]]) * self._tick
        else:
            position, ticks = shown, np.arange(len(shown), dtype=np.int64)
            seconds = ticks / self._rate()
            warnings = (
                Warn(
                    "timestamps_synthesised",
                    "The video's timestamps are missing or contradictory; times were counted "
                    "from its frame rate.",
                ),
            )
        told = int(self._duration[position[-1]]) if exact else 0
        last = self._usual_step(seconds, told)
        end = float(seconds[-1] + last)
        if end > self._limits.max_duration_seconds:
            raise MediaError(
                f"{self._path} lasts {end / 60:.0f} minutes, more than the limit of "
                f"{self._limits.max_duration_seconds / 60:.0f}.",
                code="media_too_long",
                hint="Cut it, or raise the limit.",
            )
        short = self._shorter_than_header(float(seconds[-1]) + max(last, told * self._tick))
        if short:
            warnings += (Warn("shorter_than_header", short),)
        return Timeline(
            seconds=seconds,
            end_seconds=end,
            pts=ticks,
            position=position,
            packet_pts=pts,
            packet_dts=np.where(dts == _NO_TIME, pts, dts),
            keyframes=np.flatnonzero(np.asarray(self._key)),
            exact=exact,
            reorder_depth=_reorder_depth(pts) if exact else 0,
            tick_seconds=self._tick,
            damaged=self._broke_off or bool(short),
            warnings=warnings,
        )

    def _in_decoding_order(self, pts: Int64Array) -> bool:
        """Whether the times rise in the order of decoding, though the decoder will put the pictures
        in another: AVI has no times but these."""
        container = cast(InputContainer, self._stream.container)
        reorders = self._stream.codec_context.reorder_depth > 0
        return container.format.name == "avi" and reorders and not _reorder_depth(pts)

    def _usual_step(self, seconds: Float64Array, ticks: int) -> float:
        """How long the last picture counts: as the others usually are shown, since one that is held
        for long is no more to look at; of a single picture, as its packet says (``ticks``)."""
        if len(seconds) > 1:
            return float(np.median(np.diff(seconds)))
        return ticks * self._tick if ticks > 0 else 1 / self._rate()

    def _rate(self) -> float:
        rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        return rate if 0.1 <= rate <= 1000 else _ASSUMED_RATE

    def _shorter_than_header(self, end_seconds: float) -> str:
        """A sentence where clearly less video is there than the header says of it."""
        container = cast(InputContainer, self._stream.container)
        header = header_seconds(container, self._stream) or 0.0
        if end_seconds >= 0.95 * header - 0.5:
            return ""
        return f"The header says {header:.1f} s, the file holds {end_seconds:.1f} s of video."


def _usable(pts: Int64Array) -> bool:
    """Whether packets' times can tell pictures apart and put them in order."""
    if (pts == _NO_TIME).any() or len(np.unique(pts)) != len(pts):
        return False
    rank = np.empty(len(pts), np.int64)
    rank[np.argsort(pts)] = np.arange(len(pts))
    # A clock that jumps back in mid-file would interleave unrelated pictures.
    return bool(np.abs(rank - np.arange(len(pts))).max() <= _MAX_REORDER)


def _reorder_depth(pts: Int64Array) -> int:
    """Most pictures that are decoded before, but shown after, one picture."""
    overtaken = np.zeros(len(pts), np.int64)
    for back in range(1, min(2 * _MAX_REORDER, len(pts))):
        overtaken[back:] += pts[:-back] > pts[back:]
    return int(overtaken.max(initial=0))
