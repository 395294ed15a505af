"""Decodes chosen pictures of a video, seeking over what is not needed.

The timeline says in which packet each picture lies and from which keyframe it can be decoded. The
pictures wanted are grouped into runs of packets; between runs the reader seeks. Within a run,
pictures that no other picture leans on are not decoded unless wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from unmask.media.container import PYAV_ERRORS
from unmask.media.timeline import Timeline

SEEK_COST_PACKETS = 12
"""A seek empties the decoder's pipeline: about as dear as decoding this many pictures."""

# Decoders whose "non-reference" mark is binding. HEVC's is not: a picture so marked may still be
# used by a higher temporal layer.
_SKIPPABLE = frozenset({"h264", "mpeg2video", "mpeg4"})

_H264_MAX_REORDER = 16


@dataclass
class Run:
    """A stretch of packets to decode in one go."""

    start: int
    stop: int
    """The last packet that is needed."""
    wanted: list[int]
    """Ordinals of the pictures to hand out, ascending."""


def plan(timeline: Timeline, wanted: Sequence[int]) -> list[Run]:
    """Runs of packets that hold the wanted pictures (ascending ordinals), in order."""
    if not timeline.exact:  # pictures are told apart by counting from the first
        last = len(timeline.packet_pts) - 1
        return [Run(0, last, list(wanted))] if len(wanted) else []
    runs: list[Run] = []
    for ordinal in sorted(wanted, key=lambda one: int(timeline.position[one])):
        start, position = timeline.start_of(ordinal), int(timeline.position[ordinal])
        if runs and start <= runs[-1].stop + SEEK_COST_PACKETS:
            runs[-1].stop = position
            runs[-1].wanted.append(ordinal)
        else:
            runs.append(Run(start, position, [ordinal]))
    for run in runs:
        run.wanted.sort()
    return runs


class Reader:
    """Decodes runs of one video; its counters tell how it went."""

    def __init__(
        self, reopen: Callable[[], tuple[InputContainer, VideoStream]], timeline: Timeline
    ) -> None:
        self._reopen = reopen
        self._timeline = timeline
        self._container, self._stream = reopen()
        self._touched = False
        self.frames_decoded = 0
        self.damaged = 0
        """Packets or pictures that could not be used."""
        self.unordered = 0
        """Pictures left out because their times contradict their order."""

    def pictures(self, wanted: Sequence[int]) -> Iterator[tuple[int, float, VideoFrame]]:
        """Yield (ordinal, pts_seconds, picture) for the wanted ordinals, in display order.

        Where a wanted picture is damaged the next good one that is not itself wanted stands in,
        with its own time; where there is none the ordinal is left out.
        """
        for run in plan(self._timeline, wanted):
            match = self._match_pts if self._timeline.exact else self._match_count
            yield from match(run, self._decode(run))

    def _decode(self, run: Run) -> Iterator[VideoFrame]:
        context = self._stream.codec_context
        wanted_pts = {int(self._timeline.pts[ordinal]) for ordinal in run.wanted}
        skipping = self._timeline.exact and context.name in _SKIPPABLE
        for position, packet in self._packets_from(run.start):
            if position < run.start:
                continue
            context = self._stream.codec_context
            if position == run.start and context.name == "h264":
                # It guesses this from the first pictures, and a wrong guess drops pictures. A depth
                # beyond the standard's limit would abort the process.
                depth = min(self._timeline.reorder_depth, _H264_MAX_REORDER)
                context.reorder_depth = max(context.reorder_depth, depth)
            if skipping:
                context.skip_frame = "DEFAULT" if packet.pts in wanted_pts else "NONREF"
            yield from self._send(packet)
            if position >= run.stop:
                break
        yield from self._send(None)
        context.flush_buffers()

    def _send(self, packet: Packet[VideoStream] | None) -> Iterator[VideoFrame]:
        try:
            frames = self._stream.codec_context.decode(packet)
        except PYAV_ERRORS:
            self.damaged += 1
            return
        for frame in frames:
            self.frames_decoded += 1
            if frame.is_corrupt:
                self.damaged += 1
            else:
                yield frame

    def _packets_from(self, start: int) -> Iterator[tuple[int, Packet[VideoStream]]]:
        """Packets with their numbers, from ``start`` or a little before it."""
        if not self._touched and start <= SEEK_COST_PACKETS:
            self._touched = True
            yield from self._numbered(0, self._demux())
            return
        self._touched = True
        for target in (self._timeline.packet_pts[start], self._timeline.packet_dts[start]):
            packets = self._seek(int(target))
            first = next(packets, None)
            landed = self._timeline.packet_at(first.pts if first else None)
            if first is not None and landed is not None and landed <= start:
                yield landed, first
                yield from self._numbered(landed + 1, packets)
                return
        # This container cannot seek: walk there from the beginning.
        self._container.close()
        self._container, self._stream = self._reopen()
        yield from self._numbered(0, self._demux())

    def _seek(self, ticks: int) -> Iterator[Packet[VideoStream]]:
        try:
            self._container.seek(ticks, stream=self._stream)
        except PYAV_ERRORS:
            return
        yield from self._demux()

    def _demux(self) -> Iterator[Packet[VideoStream]]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except PYAV_ERRORS:  # the scan has noted that the container breaks off
                return
            if packet.size or packet.pts is not None or packet.dts is not None:
                yield packet

    @staticmethod
    def _numbered(
        first: int, packets: Iterator[Packet[VideoStream]]
    ) -> Iterator[tuple[int, Packet[VideoStream]]]:
        yield from enumerate(packets, first)

    def _match_pts(
        self, run: Run, frames: Iterator[VideoFrame]
    ) -> Iterator[tuple[int, float, VideoFrame]]:
        pending = [(int(self._timeline.pts[ordinal]), ordinal) for ordinal in run.wanted]
        origin, at = int(self._timeline.pts[0]), 0
        for pts, frame in self._in_order(frames):
            missed = None
            while at < len(pending) and pending[at][0] < pts:
                missed, at = pending[at][1], at + 1
            if at < len(pending) and pending[at][0] == pts:
                ordinal, at = pending[at][1], at + 1
            elif missed is not None:
                ordinal = missed
            else:
                continue
            yield ordinal, (pts - origin) * self._timeline.tick_seconds, frame

    def _in_order(self, frames: Iterator[VideoFrame]) -> Iterator[tuple[int, VideoFrame]]:
        """Pass pictures on with their pts, strictly ascending; those that contradict are left out.

        One picture is held back, so that one stamp far ahead does not shut out all that follow.
        """
        held: tuple[int, VideoFrame] | None = None
        last: int | None = None
        for frame in frames:
            pts = frame.pts
            if pts is None or (last is not None and pts <= last):
                self.unordered += 1
                continue
            if held is not None and pts <= held[0]:
                self.unordered += 1
            elif held is not None:
                yield held
                last = held[0]
            held = pts, frame
        if held is not None:
            yield held

    def _match_count(
        self, run: Run, frames: Iterator[VideoFrame]
    ) -> Iterator[tuple[int, float, VideoFrame]]:
        wanted = set(run.wanted)
        for ordinal, frame in enumerate(frames):
            if ordinal in wanted:
                yield ordinal, float(self._timeline.seconds[ordinal]), frame
                if ordinal == run.wanted[-1]:
                    return
