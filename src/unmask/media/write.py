"""Write a video: RGB frames with their own times become H.264, and another file's sound goes along.

Sound is copied packet by packet where MP4 takes its codec, and else made AAC.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from unmask.media.container import PYAV_ERRORS, VIDEO_FORMATS
from unmask.types import UInt8Array, Warn

_TICK = Fraction(1, 90_000)
_BT709 = 1  # ITU-T H.273
# AVI and Matroska do not say where the channels of plain samples stand; MP4 must.
_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo"}
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_LEAD_SECONDS = 0.5  # how far sound is written ahead of the pictures


class VideoWriter:
    """Takes frames one at a time; made by `open_writer`."""

    def __init__(
        self, container: OutputContainer, size_px: tuple[int, int], rate: float, sound: _Sound
    ) -> None:
        self._container, self._sound = container, sound
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        # The rate is a hint only: every frame brings its own time.
        stream = cast(
            VideoStream, container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        )
        stream.width, stream.height = self.size_px = size_px
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = _TICK
        context.colorspace = context.color_trc = context.color_primaries = _BT709
        context.color_range = ColorRange.MPEG
        if codec == "libx264":
            context.options = {"preset": "veryfast", "crf": "20"}
        self._stream, self._reformatter, self._last = stream, VideoReformatter(), -1

    def write(self, image: UInt8Array, pts_seconds: float) -> None:
        """Add a frame, ``(height, width, 3)`` RGB uint8, shown from ``pts_seconds`` on.

        Raises:
            ValueError: a frame of another size than the video's.
        """
        if image.shape != (self.size_px[1], self.size_px[0], 3):
            raise ValueError(f"image must be {self.size_px[::-1]}, got {image.shape}")
        self._sound.write_until(pts_seconds + _LEAD_SECONDS)
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(image, format="rgb24"),
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
        )
        self._last = max(self._last + 1, round(pts_seconds / _TICK))
        picture.pts, picture.time_base = self._last, _TICK
        picture.pict_type = 0
        self._container.mux(self._stream.encode(picture))

    def finish(self) -> None:
        """Write what the encoder holds back, and the rest of the sound."""
        self._container.mux(self._stream.encode(None))
        self._sound.write_until(None)

    @property
    def warnings(self) -> tuple[Warn, ...]:
        """What became of the sound; complete once the video is finished."""
        return tuple(self._sound.warnings)


@contextmanager
def open_writer(
    path: Path,
    size_px: tuple[int, int],
    *,
    rate: float,
    sound_of: Path | None = None,
    origin_seconds: float = 0.0,
) -> Iterator[VideoWriter]:
    """Open an MP4 file for writing; it is complete when the context ends without an error.

    Args:
        path: where to.
        size_px: width and height, both even.
        rate: about how many frames come a second.
        sound_of: every sound track of this file goes along.
        origin_seconds: the time in that file at which ``pts_seconds`` is 0.
    """
    if size_px[0] % 2 or size_px[1] % 2:
        raise ValueError(f"width and height must be even, got {size_px}")
    with ExitStack() as stack:
        container = stack.enter_context(
            av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        )
        sound = _Sound(container, sound_of, origin_seconds, stack)
        writer = VideoWriter(container, size_px, rate, sound)
        yield writer
        writer.finish()


class _Sound:
    """Brings the sound tracks of a file over, as far as the pictures have come."""

    def __init__(
        self, out: OutputContainer, path: Path | None, origin_seconds: float, stack: ExitStack
    ) -> None:
        self.warnings: list[Warn] = []
        self._out, self._origin = out, origin_seconds
        self._targets: dict[int, AudioStream] = {}
        self._resamplers: dict[int, av.AudioResampler] = {}  # of those that are encoded anew
        self._packets: Iterator[Packet[Any]] = iter(())
        self._held: Packet[Any] | None = None
        if path is not None:
            self._open(path, stack)

    def _open(self, path: Path, stack: ExitStack) -> None:
        options = {"protocol_whitelist": "file", "format_whitelist": VIDEO_FORMATS}
        try:
            source = av.open(str(path), options=options, metadata_errors="replace")
        except PYAV_ERRORS:
            self._lost()
            return
        stack.enter_context(source)
        streams = []
        for stream in source.streams:
            if stream.type == "audio" and getattr(stream, "codec_context", None) is not None:
                streams.append(cast(AudioStream, stream))
            else:
                stream.discard = Discard.all
        for stream in streams:
            context = stream.codec_context
            if context.sample_rate and context.channels and stream.time_base:
                self._add(stream)
            else:  # FFmpeg's muxer divides by these
                self._lost()
        if self._targets:
            self._packets = self._demux(source, streams)

    def _add(self, stream: AudioStream) -> None:
        name = stream.codec_context.name
        try:
            fits = av.Codec(name, "r").canonical_name in self._out.supported_codecs
            said = stream.codec_context.layout.name
            if fits and (said in _LAYOUTS or not said.endswith(" channels")):
                target = self._out.add_stream_from_template(stream)
                if said in _LAYOUTS:
                    target.codec_context.layout = _LAYOUTS[said]
                self._targets[stream.index] = target
                return
            context = stream.codec_context
            rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48_000
            layout = "mono" if context.channels == 1 else "stereo"
            self._targets[stream.index] = self._out.add_stream("aac", rate=rate, layout=layout)
            self._resamplers[stream.index] = av.AudioResampler("fltp", layout, rate)
            message = f"The sound ({name}) does not fit into MP4 and was made AAC."
            self.warnings.append(Warn("sound_converted", message))
        except PYAV_ERRORS:
            self._lost()

    def _demux(self, source: InputContainer, streams: list[AudioStream]) -> Iterator[Packet[Any]]:
        try:
            yield from source.demux(streams)
        except PYAV_ERRORS:
            self._lost()

    def write_until(self, seconds: float | None) -> None:
        """Write what is heard before ``seconds``; all that is left for None."""
        while True:
            packet, self._held = self._held or next(self._packets, None), None
            if packet is None:
                return
            if seconds is not None and self._starts(packet) > seconds:
                self._held = packet
                return
            try:
                self._write(packet)
            except PYAV_ERRORS:
                self._lost()

    def _starts(self, packet: Packet[Any]) -> float:
        if packet.dts is None or packet.time_base is None:
            return float("-inf")
        return float(packet.dts * packet.time_base) - self._origin

    def _write(self, packet: Packet[Any]) -> None:
        target = self._targets.get(packet.stream.index)
        if target is None:
            return
        resampler = self._resamplers.get(packet.stream.index)
        if resampler is not None:
            for frame in cast(list[av.AudioFrame], packet.decode()):
                frame.pts = self._shifted(frame.pts, frame.time_base)
                for piece in resampler.resample(frame):
                    self._out.mux(target.encode(piece))
            if packet.dts is None:  # the last, empty one
                for piece in resampler.resample(None):
                    self._out.mux(target.encode(piece))
                self._out.mux(target.encode(None))
        elif packet.dts is not None and packet.size:
            packet.dts = self._shifted(packet.dts, packet.time_base)
            packet.pts = self._shifted(packet.pts, packet.time_base)
            packet.stream = target
            self._out.mux(packet)

    def _shifted(self, ticks: int | None, tick: Fraction | None) -> int | None:
        return None if ticks is None or not tick else ticks - round(self._origin / tick)

    def _lost(self) -> None:
        warn = Warn("sound_damaged", "Some of the sound could not be brought over.")
        if warn not in self.warnings:
            self.warnings.append(warn)
