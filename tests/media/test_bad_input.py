"""Every kind of bad file ends in a typed outcome: no hang, no traceback of another library."""

import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest

import make_media
from unmask.config import ClipSpec
from unmask.errors import MediaError
from unmask.media import Limits, open_video, probe, sample

SPEC = ClipSpec(frames=8)


def code_of(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(MediaError) as caught, open_video(path, limits) as video:
        list(sample(video, SPEC))
    with pytest.raises(MediaError) as probed:
        probe(path, limits)
    assert probed.value.code == caught.value.code
    return caught.value.code


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_missing_file(tmp_path: Path) -> None:
    assert code_of(tmp_path / "none.mp4") == "media_not_found"


def test_empty_file(tmp_path: Path) -> None:
    assert code_of(written(tmp_path / "empty.mp4", b"")) == "media_empty"


def test_a_photo_in_tiles_is_not_judged_by_one_of_them(tmp_path: Path) -> None:
    image = next(make_media.gradient_frames(1, 256, 128))
    path = make_media.write_tiled_photo(tmp_path / "photo.heic", image)
    assert code_of(path) == "media_in_tiles"


def test_text_file(tmp_path: Path) -> None:
    assert code_of(written(tmp_path / "text.mp4", b"not a video\n" * 200)) == "media_format"


def test_noise_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 40_000, np.uint8).tobytes()
    assert code_of(written(tmp_path / "noise.mp4", noise)) in {"media_format", "media_damaged"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{video}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{video}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile {video}\n"),
        ("list.mpd", '<?xml version="1.0"?><MPD><Period><AdaptationSet/></Period></MPD>'),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n"),
    ],
    ids=lambda value: value if value.startswith("list") else "",
)
def test_playlists_are_not_followed(
    tmp_path: Path, portrait_video: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content.format(video=portrait_video))
    assert code_of(path) == "media_format"


def test_name_that_looks_like_a_protocol(
    tmp_path: Path, portrait_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("concat:a|b.mp4").symlink_to(portrait_video)
    assert probe("concat:a|b.mp4").width_px == 320


def test_audio_only(tmp_path: Path) -> None:
    assert code_of(make_media.write_audio(tmp_path / "tone.m4a")) == "media_no_video"
    assert code_of(make_media.write_audio(tmp_path / "tone.mp4")) == "media_no_video"


def test_directory(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "media_not_regular"


def test_device() -> None:
    assert code_of(Path("/dev/zero")) == "media_not_regular"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_fifo_does_not_hang(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.mp4"
    os.mkfifo(fifo)
    codes: list[str] = []
    worker = threading.Thread(target=lambda: codes.append(code_of(fifo)), daemon=True)
    worker.start()
    worker.join(timeout=10)
    assert codes == ["media_not_regular"]


def test_link_to_a_video_is_followed(tmp_path: Path, portrait_video: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(portrait_video)
    assert probe(link).width_px == 320


def test_bad_links(tmp_path: Path) -> None:
    dangling, folder, loop = tmp_path / "dangling.mp4", tmp_path / "folder.mp4", tmp_path / "loop"
    dangling.symlink_to(tmp_path / "gone.mp4")
    folder.symlink_to(tmp_path)
    loop.symlink_to(loop)
    assert code_of(dangling) == "media_not_found"
    assert code_of(folder) == "media_not_regular"
    assert code_of(loop) == "media_unreadable"


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path, portrait_video: Path) -> None:
    path = written(tmp_path / "locked.mp4", portrait_video.read_bytes())
    path.chmod(0)
    assert code_of(path) == "media_unreadable"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_truncated_at_20_places(tmp_path: Path, suffix: str) -> None:
    whole = make_media.write_video(
        tmp_path / f"whole{suffix}",
        make_media.portrait_frames(40, 160, 120),
        options={"g": "10", "movflags": "faststart"},
    )
    if suffix == ".mp4":
        whole = faststart(whole)
    outcomes = []
    for share in np.linspace(0.02, 0.97, 20):
        path = make_media.write_truncated(whole, tmp_path / f"cut{suffix}", float(share))
        try:
            with open_video(path) as video:
                frames = list(sample(video, SPEC))
        except MediaError as error:
            outcomes.append(error.code)
        else:
            assert frames
            assert all(frame.image.shape == (120, 160, 3) for frame in frames)
            outcomes.append("partial" if video.coverage.partial else "whole")
    assert set(outcomes) <= {"partial", "whole", "media_damaged", "media_no_frames", "media_format"}
    assert outcomes[-1] in {"partial", "whole"}
    assert outcomes.count("partial") + outcomes.count("whole") >= 10
    if suffix == ".mp4":  # its header tells what is missing
        assert "whole" not in outcomes


def faststart(path: Path) -> Path:
    """The same video with its index first, as files for streaming are written."""
    target = path.with_name(f"fast{path.suffix}")
    with (
        av.open(str(path)) as source,
        av.open(str(target), "w", options={"movflags": "faststart"}) as sink,
    ):
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    return target


def test_mp4_cut_before_its_index_is_damaged(tmp_path: Path, portrait_video: Path) -> None:
    path = make_media.write_truncated(portrait_video, tmp_path / "cut.mp4", 0.5)
    assert code_of(path) == "media_damaged"


def test_damage_in_the_middle_gives_the_rest(tmp_path: Path, numbered_video: Path) -> None:
    content = bytearray(numbered_video.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    with open_video(written(tmp_path / "hurt.mp4", bytes(content))) as video:
        numbers = [make_media.read_number(frame.image) for frame in video.frames()]
    assert video.coverage.partial
    assert "damaged_pictures" in {warn.code for warn in video.coverage.warnings}
    assert 300 < len(numbers) < 600


def test_header_without_frames(tmp_path: Path) -> None:
    path = tmp_path / "zero.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    assert code_of(path) in {"media_no_frames", "media_damaged"}


def test_one_frame(tmp_path: Path) -> None:
    path = make_media.write_video(tmp_path / "one.mp4", make_media.gradient_frames(1, 64, 48))
    with open_video(path) as video:
        frames = list(sample(video, SPEC))
    assert [frame.pts_seconds for frame in frames] == [0.0]
    assert not video.coverage.partial


def test_8192_pixel_bomb_is_refused(tmp_path: Path) -> None:
    flat = av.VideoFrame.from_ndarray(np.zeros((8192, 8192), np.uint8), format="gray")
    path = make_media.write_video(tmp_path / "bomb.mp4", [flat], options={"preset": "ultrafast"})
    assert path.stat().st_size < 200_000
    assert code_of(path) == "media_too_large"


def test_pixel_limit_holds_within_the_decoder(tmp_path: Path) -> None:
    """A stream may grow after its header: the decoder itself must refuse."""
    small = make_media.write_video(tmp_path / "a.ts", make_media.gradient_frames(10, 64, 48))
    large = make_media.write_video(tmp_path / "b.ts", make_media.gradient_frames(10, 640, 480))
    path = written(tmp_path / "grows.ts", small.read_bytes() + large.read_bytes())
    with open_video(path, Limits(max_pixels=100 * 100)) as video:
        assert {frame.image.shape for frame in video.frames()} == {(48, 64, 3)}
    assert video.coverage.partial
    with open_video(path) as video:
        shapes = {frame.image.shape for frame in video.frames()}
    assert shapes == {(48, 64, 3), (480, 640, 3)}


def test_duration_limit_counts_packets_not_the_header(tmp_path: Path) -> None:
    frames = make_media.gradient_frames(3, 64, 48)
    path = make_media.write_video(tmp_path / "long.mkv", frames, times_seconds=[0, 1, 20_000])
    with pytest.raises(MediaError) as caught, open_video(path):
        pass
    assert caught.value.code == "media_too_long"
    with open_video(path, Limits(max_duration_seconds=1e6)) as video:
        assert len(list(video.frames())) == 3


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        Limits(max_pixels=0)
