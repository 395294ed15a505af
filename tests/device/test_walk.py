"""The whole walk in torch, on a CPU device, against the CPU's own; and who takes which file."""

from itertools import islice
from pathlib import Path
from types import ModuleType

import av
import cv2
import numpy as np
import pytest
import torch

import make_media
from unmask.clips import VideoClips
from unmask.clips import clips_of as clips_of_on_cpu
from unmask.config import ClipSpec
from unmask.device import picture, walk
from unmask.device.picture import DeviceConverter
from unmask.device.trial import trial
from unmask.errors import MediaError
from unmask.faces import FaceDetector
from unmask.media import Limits, open_video
from unmask.media.hardware import HardwareRefusal
from unmask.media.sample import sample_as
from unmask.types import Face, UInt8Array

CPU = torch.device("cpu")
SPEC = ClipSpec(frames=4, size_px=64, clips=3)  # more pictures than go in one batch


def assert_alike(got: VideoClips, want: VideoClips, levels: int = 1) -> None:
    assert (got.tracks, got.frames_with_face) == (want.tracks, want.frames_with_face)
    assert got.coverage == want.coverage
    assert len(got.clips) == len(want.clips)
    for a, b in zip(got.clips, want.clips, strict=True):
        assert np.abs(a.frames.astype(int) - b.frames).max() <= levels
        np.testing.assert_array_equal(a.mask, b.mask)
        np.testing.assert_array_equal(a.pts_seconds, b.pts_seconds)
        np.testing.assert_allclose(a.boxes_xyxy_px, b.boxes_xyxy_px, atol=0.5)


def test_clips_as_on_the_cpu(two_people_video: Path, detector: FaceDetector) -> None:
    want = clips_of_on_cpu(two_people_video, SPEC, detector)
    got = walk.clips_of(two_people_video, SPEC, detector, device=CPU)
    assert len(want.clips) == 6
    assert_alike(got, want)
    assert got.warnings == want.warnings
    assert got.decoder == "cpu"


def test_pictures_with_no_one_and_two_faces_side_by_side(
    tmp_path: Path, detector: FaceDetector
) -> None:
    """Each face keeps its own crops, however many there are in the pictures around it."""
    two = list(make_media.two_people_frames(16, 480, 270))
    half = np.full_like(two[0], 128)
    half[:, :240] = two[0][:, :240]
    for k in range(16):
        if k % 4 == 3:
            two[k] = half if k % 8 == 3 else np.full_like(half, 128)
    path = make_media.write_video(tmp_path / "a.mp4", two)
    want = clips_of_on_cpu(path, SPEC, detector)
    assert 0 < want.frames_with_face < want.coverage.frames_analysed
    assert want.tracks == 2
    assert_alike(walk.clips_of(path, SPEC, detector, device=CPU), want)


def test_a_still_is_none_of_the_gpus_business(tmp_path: Path, detector: FaceDetector) -> None:
    path = tmp_path / "a.PNG"
    cv2.imwrite(str(path), next(iter(make_media.portrait_frames(1, 96, 64))))
    one = ClipSpec(frames=1, size_px=64)
    want = clips_of_on_cpu(path, one, detector)
    got = walk.clips_of(path, one, detector, device=CPU)
    assert len(want.clips) == 1
    assert_alike(got, want, levels=0)
    assert (got.info, got.warnings) == (None, ())


def test_limits_hold_on_the_device_as_well(
    two_people_video: Path, tmp_path: Path, detector: FaceDetector
) -> None:
    still = tmp_path / "a.png"
    cv2.imwrite(str(still), np.zeros((270, 480, 3), np.uint8))
    small = Limits(max_pixels=480 * 270 - 1)
    for path in (two_people_video, still):
        with pytest.raises(MediaError) as on_cpu:
            clips_of_on_cpu(path, SPEC, detector, small)
        with pytest.raises(MediaError) as caught:
            walk.clips_of(path, SPEC, detector, small, device=CPU)
        assert caught.value.code == on_cpu.value.code
    with pytest.raises(MediaError):
        walk.clips_of_video(two_people_video, SPEC, detector, small, device=CPU)


def test_a_detector_that_wants_whole_pictures(
    two_people_video: Path, detector: FaceDetector
) -> None:
    class Plain:
        name = "plain"

        def __call__(self, image: UInt8Array) -> list[Face]:
            return detector(image)

    want = clips_of_on_cpu(two_people_video, SPEC, detector)
    assert_alike(walk.clips_of(two_people_video, SPEC, Plain(), device=CPU), want)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ({"pix_fmt": "yuv444p"}, "gpu_decode_format"),
        ({"codec": "ffv1"}, "gpu_decode_codec"),
        ({"codec": "libsvtav1"}, "gpu_decode_codec"),
        ({"size": (65, 48), "codec": "libvpx-vp9"}, "gpu_decode_size"),
    ],
)
def test_files_for_the_cpu_are_told_and_read_there(
    tmp_path: Path, detector: FaceDetector, kind: dict[str, object], code: str
) -> None:
    width, height = kind.pop("size", (96, 64))  # type: ignore[misc]
    path = tmp_path / "a.mkv"
    make_media.write_video(path, make_media.portrait_frames(4, width, height), **kind)
    want = clips_of_on_cpu(path, SPEC, detector)
    got = walk.clips_of(path, SPEC, detector, device=CPU)
    assert_alike(got, want, levels=0)
    assert [warn.code for warn in got.warnings] == [*(w.code for w in want.warnings), code]
    assert got.warnings[-1].message.startswith("Decoded on the CPU: ")
    assert got.decoder == "cpu"


def test_without_a_gpu_the_cpu_takes_over(two_people_video: Path, detector: FaceDetector) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    got = walk.clips_of(two_people_video, SPEC, detector)
    assert [warn.code for warn in got.warnings] == ["gpu_decode_failed"]
    assert_alike(got, clips_of_on_cpu(two_people_video, SPEC, detector), levels=0)


@pytest.mark.parametrize("step", [(walk, "align_faces"), (picture, "rgb_of_planes")])
def test_too_little_memory_is_told(
    two_people_video: Path,
    detector: FaceDetector,
    monkeypatch: pytest.MonkeyPatch,
    step: tuple[ModuleType, str],
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(*step, full)
    got = walk.clips_of(two_people_video, SPEC, detector, device=CPU)
    assert [warn.code for warn in got.warnings] == ["gpu_memory"]
    assert len(got.clips) == 6


@pytest.mark.parametrize(
    "error",
    [MediaError("The file is broken.", code="media_decode"), RuntimeError("CUDA error\nmore")],
)
def test_a_device_that_fails_leaves_the_file_to_the_cpu(
    two_people_video: Path,
    detector: FaceDetector,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """Not the file is told to be at fault, but the device."""

    def fail(*_: object, **__: object) -> None:
        raise error from OSError("the driver went away")

    monkeypatch.setattr(walk, "align_faces", fail)
    got = walk.clips_of(two_people_video, SPEC, detector, device=CPU)
    assert [warn.code for warn in got.warnings] == ["gpu_decode_failed"]
    assert got.warnings[0].message.endswith("the driver went away")
    assert len(got.clips) == 6


def test_small_files_are_left_to_the_cpu_in_silence(
    two_people_video: Path, detector: FaceDetector
) -> None:
    megapixels = 16 * 480 * 270 / 1e6

    def read(least: float) -> VideoClips:
        return walk.clips_of_video(
            two_people_video, SPEC, detector, device=CPU, least_megapixels=least
        )

    assert read(megapixels * 0.99).clips
    with pytest.raises(HardwareRefusal) as caught:
        read(megapixels * 1.01)
    assert caught.value.warn is None
    assert walk.clips_of(two_people_video, SPEC, detector, least_megapixels=1e9).warnings == ()


@pytest.mark.parametrize("harm", [None, "damaged", "missing"])
def test_less_than_was_asked_for_is_refused(
    two_people_video: Path, tmp_path: Path, harm: str | None
) -> None:
    """A GPU that loses pictures is not believed: what a file holds must not depend on it."""
    path = tmp_path / "a.mp4"
    data = bytearray(two_people_video.read_bytes())
    with av.open(str(two_people_video)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    if harm == "damaged":
        start, size = packets[9]  # between two that are asked for
        data[start + 4 : start + size] = b"\xff" * (size - 4)
    path.write_bytes(data)
    with open_video(path) as video:
        pictures = sample_as(video, SPEC, DeviceConverter(CPU, video.info))
        for _ in islice(pictures, 7) if harm == "missing" else pictures:
            pass
        pictures.close()
        warned = [warning.code for warning in video.coverage.warnings]
        assert ("damaged_pictures" in warned) == (harm == "damaged")
        if harm is None:
            walk._check_whole(video, SPEC)
            return
        with pytest.raises(HardwareRefusal) as caught:
            walk._check_whole(video, SPEC)
    assert caught.value.warn is not None
    assert caught.value.warn.code == "gpu_decode_damaged"


def test_a_picture_of_another_size_is_refused(two_people_video: Path, tmp_path: Path) -> None:
    """A GPU does not crop a picture's left and top; and sizes can change on the way."""
    other = make_media.write_video(tmp_path / "b.mp4", make_media.gradient_frames(2, 64, 48))
    with open_video(two_people_video) as video, open_video(other) as small:
        convert = DeviceConverter(CPU, video.info)
        with pytest.raises(HardwareRefusal) as caught:
            list(small.converted([0], convert, gap_seconds=1.0))
    assert caught.value.warn is not None
    assert caught.value.warn.code == "gpu_decode_size"
    assert "64 x 48 instead of 480 x 270" in caught.value.warn.message


def test_what_nobody_can_read_is_an_error(tmp_path: Path, detector: FaceDetector) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    with pytest.raises(MediaError) as caught:
        walk.clips_of(path, SPEC, detector, device=CPU)
    assert caught.value.code == "media_format"


def test_the_trial_of_the_doctor_sees_pictures() -> None:
    assert trial(CPU) == ""


def test_the_trial_tells_what_is_wrong() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert trial().startswith("A trial failed: ")


@pytest.mark.gpu
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"matrix": "bt601", "full_range": True},
        {"rotation_deg": 90},
        {"codec": "libx265"},
        {"codec": "libx265", "pix_fmt": "yuv420p10le", "matrix": "bt2020_pq"},
        {"codec": "libvpx-vp9"},
    ],
)
def test_a_gpu_gives_the_cpus_pictures(
    gpu: torch.device, tmp_path: Path, detector: FaceDetector, kind: dict[str, object]
) -> None:
    """Both decoders are exact, so what differs is the conversion: nothing; crops by a level."""
    path = tmp_path / "a.mkv" if kind.get("codec") == "libvpx-vp9" else tmp_path / "a.mp4"
    make_media.write_video(path, make_media.two_people_frames(16, 480, 270), **kind)
    want = clips_of_on_cpu(path, SPEC, detector)
    got = walk.clips_of(path, SPEC, detector, device=gpu)
    assert got.decoder == "cuda", got.warnings
    assert got.warnings == want.warnings
    assert_alike(got, want)


@pytest.mark.gpu
def test_a_gpu_passes_the_trial(gpu: torch.device) -> None:
    assert trial(gpu) == ""


@pytest.mark.gpu
def test_a_gpu_hands_over_what_it_cannot_decode(
    gpu: torch.device, tmp_path: Path, detector: FaceDetector
) -> None:
    path = tmp_path / "a.mp4"
    make_media.write_video(path, make_media.portrait_frames(4, 96, 64), pix_fmt="yuv444p")
    got = walk.clips_of(path, SPEC, detector, device=gpu)
    assert [warn.code for warn in got.warnings] == ["gpu_decode_format"]
