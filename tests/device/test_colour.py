"""Planes to RGB in torch against `RgbConverter`, in every matrix, range, depth and siting.

The stated bound of docs/gpu.md: at most 3 levels, 1 in the mean. On x86-64 not one pixel differs,
which is tested there; elsewhere libswscale takes other paths.
"""

import platform
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import make_media
from unmask.device.colour import MATRICES, Siting, rgb_of_planes
from unmask.device.picture import DeviceConverter
from unmask.device.siting import siting_of
from unmask.media import open_video
from unmask.media.hardware import SURFACES
from unmask.media.picture import RgbConverter

CPU = torch.device("cpu")
CODES = {"ITU709": 1, "FCC": 4, "ITU601": 6, "SMPTE240M": 7, "BT2020": 9}  # H.273
MOST, MEAN = (0, 0.0) if platform.machine() in ("x86_64", "AMD64") else (3, 1.0)
ODD = Path(__file__).parents[3] / "shared" / "data" / "odd"
FILES = sorted(path for path in ODD.glob("*.*") if path.is_file()) if ODD.is_dir() else []


def random_planes(height: int, width: int, bits: int) -> tuple[np.ndarray, ...]:
    """Luma and two chroma planes of any code that fits, with no regard to the range."""
    rng = np.random.default_rng(bits)
    kind = np.uint8 if bits == 8 else np.uint16
    sides = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    return tuple(rng.integers(0, 1 << bits, side).astype(kind) for side in sides)


def as_frame(planes: tuple[np.ndarray, ...], bits: int) -> av.VideoFrame:
    packed = np.concatenate([plane.reshape(-1) for plane in planes])
    name = "yuv420p" if bits == 8 else "yuv420p10le"
    return av.VideoFrame.from_ndarray(packed.reshape(-1, planes[0].shape[1]), format=name)


def as_surface(planes: tuple[np.ndarray, ...], bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same as NVDEC lays it out: NV12, or P010 with the value in the upper bits."""
    luma, chroma = planes[0], np.stack(planes[1:], axis=-1)
    if bits > 8:
        luma, chroma = (
            (plane << (16 - bits)).astype(np.uint16).view(np.int16) for plane in (luma, chroma)
        )
    return torch.from_numpy(luma), torch.from_numpy(chroma)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("matrix", MATRICES)
def test_every_code_as_on_the_cpu(matrix: str, bits: int, full: bool) -> None:
    for height, width in ((48, 64), (50, 70), (2, 2), (16, 514)):
        planes = random_planes(height, width, bits)
        frame = as_frame(planes, bits)
        frame.colorspace, frame.color_range = CODES[matrix], 2 if full else 1
        want = RgbConverter()(frame).astype(int)
        luma, chroma = as_surface(planes, bits)
        got = rgb_of_planes(luma, chroma, matrix=matrix, full=full, bits=bits).numpy()
        error = np.abs(got - want)
        assert error.max() <= MOST
        assert error.mean() <= MEAN


def test_a_wrong_matrix_range_or_siting_would_be_seen() -> None:
    planes = as_surface(random_planes(48, 64, 10), 10)

    def made(**how: object) -> np.ndarray:
        settings = {"matrix": "ITU709", "full": False, "bits": 10} | how
        return rgb_of_planes(*planes, **settings).numpy().astype(int)  # type: ignore[arg-type]

    right = made()
    for wrong in (
        {"matrix": "ITU601"}, {"full": True}, {"siting": Siting(left=True)},
        {"siting": Siting(down="top")}, {"siting": Siting(down="bottom")},
    ):  # fmt: skip
        assert np.abs(made(**wrong) - right).max() > 5


def test_planes_that_do_not_fit_are_refused() -> None:
    luma, chroma = as_surface(random_planes(8, 8, 8), 8)
    with pytest.raises(ValueError, match="do not fit"):
        rgb_of_planes(luma[:7], chroma, matrix="ITU709", full=False)
    with pytest.raises(ValueError, match="do not fit"):
        rgb_of_planes(luma, chroma[:2], matrix="ITU709", full=False)
    with pytest.raises(ValueError, match="no conversion"):
        rgb_of_planes(luma, chroma, matrix="RGB", full=False)
    with pytest.raises(ValueError, match="do not hold"):
        rgb_of_planes(luma, chroma, matrix="ITU709", full=False, bits=10)


VIDEOS = {
    "8 bits, untagged, below 720 lines": {},
    "8 bits, BT.709": {"matrix": "bt709"},
    "8 bits, BT.2020": {"matrix": "bt2020"},
    "8 bits, BT.601, full": {"matrix": "bt601", "full_range": True},
    "8 bits, turned": {"rotation_deg": 90},
    "8 bits, turned and mirrored": {"rotation_deg": -90, "mirrored": True},
    "8 bits, upside down": {"rotation_deg": 180},
    "10 bits, PQ": {"matrix": "bt2020_pq", "pix_fmt": "yuv420p10le"},
    "10 bits, HLG": {"matrix": "bt2020_hlg", "pix_fmt": "yuv420p10le"},
    "10 bits, BT.709, full": {
        "matrix": "bt709", "full_range": True, "pix_fmt": "yuv420p10le",
    },
    "10 bits, chroma on the upper left": {
        "pix_fmt": "yuv420p10le", "options": {"x264-params": "chromaloc=2"},
    },
    "10 bits, chroma in the middle": {
        "pix_fmt": "yuv420p10le", "options": {"x264-params": "chromaloc=1"},
    },
    "10 bits, chroma on the lower left": {
        "pix_fmt": "yuv420p10le", "options": {"x264-params": "chromaloc=4"},
    },
}  # fmt: skip


def differences(path: Path) -> np.ndarray:
    """Levels by which the device's pictures differ from the CPU's, over a few pictures."""
    with open_video(path) as video:
        on_device, on_cpu = DeviceConverter(CPU, video.info), RgbConverter()
        ordinals = np.unique(np.linspace(0, len(video.timeline) - 1, 3).astype(int)).tolist()
        pairs = video.converted(
            ordinals, lambda frame: (on_cpu(frame), on_device(frame).numpy()), gap_seconds=1.0
        )
        return np.stack([np.abs(a.astype(int) - b) for _, _, (a, b) in pairs])


@pytest.mark.parametrize(
    ("place", "siting"),
    [
        (0, Siting(left=True)), (1, Siting()), (2, Siting(left=True, down="top")),
        (3, Siting(down="top")), (4, Siting(left=True, down="bottom")), (5, Siting(down="bottom")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tags", [{}, {"matrix": "bt601", "full_range": True}])
def test_the_siting_is_found(
    tmp_path: Path, place: int, siting: Siting, tags: dict[str, object]
) -> None:
    """As tagged (x264 counts as H.264 does), even where the picture itself does not show it."""
    path = tmp_path / "a.mp4"
    black = np.zeros((64, 96, 3), np.uint8)
    options = {"x264-params": f"chromaloc={place}"}
    make_media.write_video(path, [black], pix_fmt="yuv420p10le", options=options, **tags)
    with open_video(path) as video:
        found = next(video.converted([0], siting_of, gap_seconds=1.0))[2]
    assert found == siting


@pytest.mark.parametrize("kind", VIDEOS)
def test_decoded_videos_as_on_the_cpu(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mp4"
    make_media.write_video(path, make_media.portrait_frames(4, 96, 64), **VIDEOS[kind])
    error = differences(path)
    assert error.max() <= MOST
    assert error.mean() <= MEAN


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_of_a_collection_as_on_the_cpu(path: Path) -> None:
    """Those that a GPU would be given."""
    with open_video(path) as video:
        info = video.info
    if info.pixel_format not in SURFACES or info.width_px % 2 or info.height_px % 2:
        pytest.skip(f"{info.pixel_format}, {info.width_px} x {info.height_px}: left to the CPU")
    error = differences(path)
    assert error.max() <= MOST
    assert error.mean() <= MEAN
