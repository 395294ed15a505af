"""Colour and orientation against what was put in."""

from pathlib import Path

import av
import numpy as np
import pytest

import make_media
from unmask.media import open_video

KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
PATCH = 16


def exact_rgb(yuv: np.ndarray, matrix: str, full: bool, bits: int = 8) -> np.ndarray:
    """RGB 0-255 of Y'CbCr codes by the definition of ITU-T H.273; yuv (..., 3)."""
    unit = 1 << (bits - 8)
    kr, kb = KR_KB[matrix]
    y, cb, cr = (yuv[..., i] / unit for i in range(3))
    if full:
        top = ((1 << bits) - 1) / unit
        y, cb, cr = y / top, (cb - 128) / top, (cr - 128) / top
    else:
        y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], -1), 0, 1) * 255


def patches(count_y: int, count_x: int, full: bool, bits: int = 8) -> np.ndarray:
    """Codes (count_y, count_x, 3) over the range that the flags allow, not too saturated."""
    rng = np.random.default_rng(5)
    low, high = (0, 256) if full else (16, 236)
    luma = rng.integers(low, high, (count_y, count_x))
    chroma = rng.integers(88, 169, (count_y, count_x, 2))
    return np.concatenate([luma[..., None], chroma], -1) << (bits - 8)


def write_patches(path: Path, codes: np.ndarray, bits: int = 8, **tags: object) -> Path:
    """A lossless video whose stored planes hold the codes in squares of PATCH pixels."""
    kind = np.uint8 if bits == 8 else np.uint16
    planes = [
        np.kron(codes[..., i], np.ones((side, side), int)).astype(kind)
        for i, side in enumerate((PATCH, PATCH // 2, PATCH // 2))
    ]
    height, width = planes[0].shape
    packed = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, width)
    assert packed.shape[0] == height * 3 // 2
    pix_fmt = "yuv420p" if bits == 8 else "yuv420p10le"
    frames = [av.VideoFrame.from_ndarray(packed, format=pix_fmt) for _ in range(2)]
    return make_media.write_video(path, frames, options={"qp": "0"}, **tags)


def decoded_patches(path: Path) -> np.ndarray:
    with open_video(path) as video:
        image = next(video.frames()).image
    return image[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH].astype(float)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", sorted(KR_KB))
def test_tagged_colour_is_within_3_levels(tmp_path: Path, matrix: str, full: bool) -> None:
    codes = patches(12, 20, full)
    path = write_patches(tmp_path / "a.mp4", codes, matrix=matrix, full_range=full)
    error = np.abs(decoded_patches(path) - exact_rgb(codes, matrix, full))
    assert error.max() <= 3.0
    assert error.mean() <= 1.0
    for other in set(KR_KB) - {matrix}:  # a wrong matrix would be seen
        assert np.abs(decoded_patches(path) - exact_rgb(codes, other, full)).max() > 5


@pytest.mark.parametrize(("rows", "matrix"), [(44, "bt601"), (45, "bt709")])
def test_untagged_colour_goes_by_the_height(tmp_path: Path, rows: int, matrix: str) -> None:
    codes = patches(rows, 8, full=False)
    path = write_patches(tmp_path / "a.mp4", codes)
    assert rows * PATCH in (704, 720)
    assert np.abs(decoded_patches(path) - exact_rgb(codes, matrix, False)).max() <= 3.0


def test_10_bits_are_reduced_with_a_warning(tmp_path: Path) -> None:
    codes = patches(12, 20, full=False, bits=10)
    path = write_patches(tmp_path / "a.mp4", codes, bits=10, matrix="bt2020")
    error = np.abs(decoded_patches(path) - exact_rgb(codes, "bt2020", False, bits=10))
    assert error.max() <= 3.0
    with open_video(path) as video:
        assert {warn.code for warn in video.info.warnings} == {
            "high_bit_depth",
            "wide_gamut_not_mapped",
        }


@pytest.mark.parametrize("matrix", ["bt2020_pq", "bt2020_hlg"])
def test_hdr_is_told(tmp_path: Path, matrix: str) -> None:
    codes = patches(4, 4, full=False, bits=10)
    path = write_patches(tmp_path / "a.mp4", codes, bits=10, matrix=matrix)
    with open_video(path) as video:
        assert "hdr_tone_not_mapped" in {warn.code for warn in video.info.warnings}
        assert len(list(video.frames())) == 2


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation_deg", [0, 90, -90, 180])
def test_orientation_is_applied(tmp_path: Path, rotation_deg: int, mirrored: bool) -> None:
    shown = next(make_media.portrait_frames(1, 96, 64))
    path = make_media.write_video(
        tmp_path / "a.mp4",
        [shown],
        rotation_deg=rotation_deg,
        mirrored=mirrored,
        options={"qp": "1"},
    )
    with open_video(path) as video:
        image = next(video.frames()).image
        info = video.info
    assert image.shape == (64, 96, 3)
    assert np.abs(image.astype(int) - shown).mean() < 6
    assert (info.width_px, info.height_px) == (96, 64)
    assert (info.rotation_deg, info.mirrored) == (rotation_deg, mirrored)


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        # where the stored top-left corner must be shown: (row, column)
        ((1, 0, 0, 1), (0, 0)),
        ((-1, 0, 0, 1), (0, -1)),
        ((1, 0, 0, -1), (-1, 0)),
        ((-1, 0, 0, -1), (-1, -1)),
        ((0, 1, 1, 0), (0, 0)),
        ((0, 1, -1, 0), (0, -1)),
        ((0, -1, 1, 0), (-1, 0)),
        ((0, -1, -1, 0), (-1, -1)),
    ],
)
def test_display_matrix_moves_the_corner(
    tmp_path: Path, matrix: tuple[int, int, int, int], corner: tuple[int, int]
) -> None:
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:16, :16] = 255
    path, (a, b, c, d) = tmp_path / "a.mp4", matrix
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_matrix([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")))
        container.mux(stream.encode(None))
    with open_video(path) as video:
        image = next(video.frames()).image
    assert image.shape == ((48, 64, 3) if a else (64, 48, 3))
    bright = [at for at in ((0, 0), (0, -1), (-1, 0), (-1, -1)) if image[at].mean() > 128]
    assert bright == [corner]


def test_transparent_gif_over_black(tmp_path: Path) -> None:
    path = make_media.write_gif_with_alpha(tmp_path / "a.gif")
    with open_video(path) as video:
        frames = list(video.frames())
    assert [frame.pts_seconds for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert frames[3].image[0, 0].tolist() == [255, 0, 0]
    assert frames[3].image[24, 24].tolist() == [0, 0, 0]
    assert "alpha_over_black" in {warn.code for warn in video.coverage.warnings}


def test_an_opaque_gif_has_nothing_to_be_laid_over_black(tmp_path: Path) -> None:
    frames = make_media.gradient_frames(2, 64, 48)
    path = make_media.write_video(tmp_path / "a.gif", frames, fps=10, codec="gif", pix_fmt="rgb8")
    with open_video(path) as video:
        assert len(list(video.frames())) == 2
    assert "alpha_over_black" not in {warn.code for warn in video.coverage.warnings}


@pytest.mark.parametrize("size", [(65, 48), (64, 49), (65, 49)])
def test_odd_sizes_in_444(tmp_path: Path, size: tuple[int, int]) -> None:
    shown = next(make_media.gradient_frames(1, *size))
    path = make_media.write_video(
        tmp_path / "a.mp4", [shown], pix_fmt="yuv444p", options={"qp": "0"}
    )
    with open_video(path) as video:
        image = next(video.frames()).image
    assert image.shape == shown.shape
    assert np.abs(image.astype(int) - shown).max() <= 6
