"""Writing videos: times, colours, and above all the sound of the original."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import make_media
from unmask.media import open_video
from unmask.media.write import open_writer

SIZE = (160, 96)
RATE = 48_000


def write_with_sound(
    path: Path, codec: str, *, start_seconds: float = 0.0, tracks: int = 1, layout: str = "mono"
) -> Path:
    """Two seconds of numbered frames, and a tone that begins at ``start_seconds``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        sounds = [container.add_stream(codec, rate=RATE, layout=layout) for _ in range(tracks)]
        for image in make_media.numbered_frames(50, *SIZE):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
        wave = (np.sin(np.arange(RATE * 2) * 2 * np.pi * 440 / RATE) * 8000).astype(np.int16)
        for sound in sounds:
            for at in range(0, len(wave), 960):
                heard = np.repeat(wave[None, at : at + 960], sounds[0].channels, 1)
                piece = av.AudioFrame.from_ndarray(heard, "s16", layout)
                piece.sample_rate, piece.time_base = RATE, Fraction(1, RATE)
                piece.pts = at + round(start_seconds * RATE)
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
    return path


def packets(path: Path, track: int = 0) -> tuple[str, list[tuple[float, bytes]]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        found = [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(stream) if p.size]
        return stream.codec_context.name, found


def rewrite(source: Path, out: Path) -> list[str]:
    with open_video(source) as video:
        timeline = video.timeline
        origin = float(timeline.pts[0]) * timeline.tick_seconds if timeline.exact else 0.0
        with open_writer(out, SIZE, rate=25, sound_of=source, origin_seconds=origin) as writer:
            for frame in video.frames():
                writer.write(frame.image, frame.pts_seconds)
        return [warn.code for warn in writer.warnings]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.mov", "pcm_s16le"), ("a.avi", "libmp3lame")],
)
def test_sound_is_copied_bit_by_bit(tmp_path: Path, name: str, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder {codec} here")
    source = write_with_sound(tmp_path / name, codec)
    assert rewrite(source, tmp_path / "out.mp4") == []
    before, after = packets(source), packets(tmp_path / "out.mp4")
    assert after[0] == before[0]
    whole = [b"".join(content for _, content in found) for _, found in (before, after)]
    assert whole[0] == whole[1]


@pytest.mark.parametrize(
    ("name", "layout", "told"),
    [
        ("a.avi", "stereo", []),
        ("a.mkv", "stereo", []),
        ("a.mkv", "mono", []),
        ("a.mkv", "5.1", ["sound_converted"]),
    ],
)
def test_plain_samples_of_unnamed_channels_go_along(
    tmp_path: Path, name: str, layout: str, told: list[str]
) -> None:
    source = write_with_sound(tmp_path / name, "pcm_s16le", layout=layout)
    assert rewrite(source, tmp_path / "out.mp4") == told
    codec, found = packets(tmp_path / "out.mp4")
    assert codec == ("aac" if told else "pcm_s16le")
    assert found[-1][0] == pytest.approx(2.0, abs=0.06)


def test_every_sound_track_goes_along(tmp_path: Path) -> None:
    source = write_with_sound(tmp_path / "a.mp4", "aac", tracks=2)
    rewrite(source, tmp_path / "out.mp4")
    assert packets(tmp_path / "out.mp4", 1)[1] == packets(source, 1)[1]


def test_sound_that_mp4_does_not_take_becomes_aac(tmp_path: Path) -> None:
    source = write_with_sound(tmp_path / "a.mov", "pcm_mulaw")
    assert rewrite(source, tmp_path / "out.mp4") == ["sound_converted"]
    codec, found = packets(tmp_path / "out.mp4")
    assert codec == "aac"
    assert found[-1][0] == pytest.approx(2.0, abs=0.05)
    with av.open(str(tmp_path / "out.mp4")) as container:
        wave = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    spectrum = np.abs(np.fft.rfft(wave[10_000:58_000]))
    assert spectrum.argmax() == pytest.approx(440, abs=1)  # one bin a hertz


@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_sound_stays_in_step_with_the_pictures(tmp_path: Path, suffix: str) -> None:
    """The container's clock may begin anywhere (a transport stream's begins at 1.4 s)."""
    source = write_with_sound(tmp_path / f"a.{suffix}", "aac", start_seconds=0.5)
    rewrite(source, tmp_path / "out.mp4")

    def lag(path: Path) -> float:
        with av.open(str(path)) as container:
            first = min(
                float(p.pts * p.time_base) for p in container.demux(video=0) if p.pts is not None
            )
        return packets(path)[1][0][0] - first

    assert lag(tmp_path / "out.mp4") == pytest.approx(lag(source), abs=0.002)


def test_a_video_without_sound(numbered_video: Path, tmp_path: Path) -> None:
    assert rewrite(numbered_video, tmp_path / "out.mp4") == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams) == 1


def test_pictures_keep_their_times_content_and_colours(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.51, 1.25]
    images = list(make_media.portrait_frames(5, 320, 180))
    with open_writer(tmp_path / "out.mp4", (320, 180), rate=25) as writer:
        for image, time in zip(images, times, strict=True):
            writer.write(image, time)
    with open_video(tmp_path / "out.mp4") as video:
        read = list(video.frames())
    assert [frame.pts_seconds for frame in read] == pytest.approx(times, abs=1e-4)
    for frame, image in zip(read, images, strict=True):
        off = frame.image.astype(int) - image
        assert np.abs(off.mean(axis=(0, 1))).max() < 2  # no colour cast
        assert np.abs(off).mean() < 6


def test_times_that_do_not_rise_are_set_apart(tmp_path: Path) -> None:
    image = next(make_media.gradient_frames(1, *SIZE))
    with open_writer(tmp_path / "out.mp4", SIZE, rate=25) as writer:
        for time in (0.0, 0.0, 0.0):
            writer.write(image, time)
    with open_video(tmp_path / "out.mp4") as video:
        assert len(video.timeline) == 3


def test_wrong_sizes_are_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even"), open_writer(tmp_path / "o.mp4", (5, 4), rate=1):
        pass
    with (
        pytest.raises(ValueError, match="image must be"),
        open_writer(tmp_path / "o.mp4", SIZE, rate=25) as writer,
    ):
        writer.write(np.zeros((8, 8, 3), np.uint8), 0.0)
