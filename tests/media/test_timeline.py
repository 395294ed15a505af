"""Times: variable rate, late start, resets and missing stamps."""

import itertools
import struct
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from PIL import Image

import make_media
from unmask.config import ClipSpec
from unmask.media import open_video, probe, sample


def warnings_of(path: Path) -> set[str]:
    with open_video(path) as video:
        list(video.frames())
    return {warn.code for warn in video.coverage.warnings}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_variable_rate_times_are_exact(tmp_path: Path, suffix: str) -> None:
    times = [0, 0.04, 0.05, 0.5, 0.52, 2.0, 2.1, 2.125, 4.0, 4.5]
    path = make_media.write_video(
        tmp_path / f"vfr{suffix}", make_media.numbered_frames(10), times_seconds=times
    )
    with open_video(path) as video:
        frames = list(video.frames())
    tolerance = 1e-3 if suffix == ".mkv" else 2e-5  # Matroska counts milliseconds
    assert [frame.pts_seconds for frame in frames] == pytest.approx(times, abs=tolerance)
    assert [make_media.read_number(frame.image) for frame in frames] == list(range(10))


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_late_start_counts_from_the_first_frame(tmp_path: Path, suffix: str) -> None:
    path = make_media.write_video(
        tmp_path / f"late{suffix}",
        make_media.numbered_frames(10),
        times_seconds=[7 + index / 25 for index in range(10)],
    )
    with open_video(path) as video:
        times = [frame.pts_seconds for frame in video.frames()]
    assert times == pytest.approx([index / 25 for index in range(10)], abs=1e-3)


def test_a_clock_that_restarts_is_replaced_by_counting(tmp_path: Path) -> None:
    part = make_media.write_video(tmp_path / "a.ts", make_media.numbered_frames(50))
    path = tmp_path / "twice.ts"
    path.write_bytes(part.read_bytes() * 2)
    with open_video(path) as video:
        frames = list(video.frames())
        few = list(sample(video, ClipSpec(frames=4)))
    assert "timestamps_synthesised" in {warn.code for warn in video.coverage.warnings}
    assert len(frames) >= 99
    times = [frame.pts_seconds for frame in frames]
    assert times == pytest.approx([index / 25 for index in range(len(times))])
    assert [make_media.read_number(frame.image) for frame in few] == [12, 37, 12, 37]


def test_pictures_of_an_avi_that_are_stored_out_of_order_are_all_seen(tmp_path: Path) -> None:
    path = make_media.write_video(tmp_path / "b.avi", make_media.numbered_frames(60))
    with open_video(path) as video:
        frames = list(video.frames())
        few = list(sample(video, ClipSpec(frames=6)))
    assert [make_media.read_number(frame.image) for frame in frames] == list(range(60))
    times = [frame.pts_seconds for frame in frames]
    assert times[:-1] == pytest.approx([index / 25 for index in range(59)])  # x264's last is off
    numbers = [make_media.read_number(frame.image) for frame in few]
    assert numbers == [round(25 * frame.pts_seconds) for frame in few]
    assert "timestamps_not_monotonic" not in warnings_of(path)


def test_a_last_picture_that_is_held_is_no_damage(tmp_path: Path) -> None:
    pictures = [Image.fromarray(image) for image in make_media.numbered_frames(8)]
    path = tmp_path / "held.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100] * 7 + [3000])
    with open_video(path) as video:
        few = [frame.pts_seconds for frame in sample(video, ClipSpec(frames=1, clips=8))]
        assert few == pytest.approx([index / 10 for index in range(8)])  # all of them, once each
        list(video.frames())
        assert not video.coverage.partial
    assert "shorter_than_header" not in warnings_of(path)


def test_a_raw_stream_without_times_is_counted(tmp_path: Path) -> None:
    source = make_media.write_video(tmp_path / "a.mp4", make_media.numbered_frames(30))
    path = tmp_path / "raw.h264"
    with av.open(str(source)) as container, av.open(str(path), "w", format="h264") as sink:
        stream = sink.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    with open_video(path) as video:
        frames = list(video.frames())
    assert [make_media.read_number(frame.image) for frame in frames] == list(range(30))
    times = [frame.pts_seconds for frame in frames]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert "timestamps_synthesised" in warnings_of(path)


def test_a_lying_header_does_not_change_the_sampling(tmp_path: Path) -> None:
    path = make_media.write_video(
        tmp_path / "lies.mkv", make_media.numbered_frames(100), options={"g": "20"}
    )
    content = bytearray(path.read_bytes())
    at = content.index(b"\x44\x89\x88") + 3  # Matroska's Duration: a double, in milliseconds
    content[at : at + 8] = struct.pack(">d", 3_600_000)
    path.write_bytes(content)
    assert probe(path).duration_seconds_from_header == pytest.approx(3600)
    with open_video(path) as video:
        frames = list(sample(video, ClipSpec(frames=4)))
    assert [make_media.read_number(frame.image) for frame in frames] == [12, 37, 62, 87]
    assert "shorter_than_header" in {warn.code for warn in video.coverage.warnings}


def test_probe_tells_the_header(numbered_video: Path) -> None:
    info = probe(numbered_video)
    assert info.codec == "h264"
    assert info.frames_from_header == 600
    assert info.duration_seconds_from_header == pytest.approx(24.0)
    assert info.frame_rate_from_header == pytest.approx(25.0)
    assert info.size_bytes == numbered_video.stat().st_size
    assert info.warnings == ()


def test_probe_names_the_codec_and_who_decodes_it(tmp_path: Path) -> None:
    frames = make_media.gradient_frames(2, 64, 64)
    info = probe(make_media.write_video(tmp_path / "a.mp4", frames, codec="libsvtav1"))
    assert (info.codec, info.decoder) == ("av1", "libdav1d")


def test_stamps_far_ahead_leave_out_only_themselves(tmp_path: Path) -> None:
    path = restamped(tmp_path, lambda index: 28.5 if index % 30 == 10 else 0)
    with open_video(path) as video:
        numbers = [make_media.read_number(frame.image) for frame in video.frames()]
    assert numbers == [number for number in range(120) if number % 30 != 10]
    assert "timestamps_not_monotonic" in {warn.code for warn in video.coverage.warnings}


def test_contradictory_reordering_does_not_abort(tmp_path: Path) -> None:
    """Stamps that ask for more reordering than H.264 allows: its decoder must not be told."""
    path = restamped(tmp_path, lambda index: 31.5 if index % 60 < 20 else 0)
    with open_video(path) as video:
        assert video.timeline.exact
        assert video.timeline.reorder_depth > 16
        assert list(video.frames())
        assert list(sample(video, ClipSpec(frames=6)))


def restamped(folder: Path, late_frames: Callable[[int], float]) -> Path:
    """120 numbered frames without B-frames, each with its pts put off by some frames."""
    source = make_media.write_video(
        folder / "a.mp4", make_media.numbered_frames(120), options={"bf": "0", "g": "120"}
    )
    path = folder / "restamped.mkv"
    with av.open(str(source)) as container, av.open(str(path), "w") as sink:
        stream = sink.add_stream_from_template(container.streams.video[0])
        for index, packet in enumerate(container.demux(video=0)):
            if packet.dts is not None:
                packet.stream = stream
                packet.pts = packet.dts + round(3600 * late_frames(index))  # 90 kHz, 25 fps
                sink.mux(packet)
    return path
