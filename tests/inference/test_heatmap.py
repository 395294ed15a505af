"""Maps of where a network looked: of one that has patch logits, and of one that has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_models import GRID, SIDE, write_model

from unmask.errors import ModelError
from unmask.inference import heatmap, load_model
from unmask.inference.mirror import Mirrored

HALF = SIDE // 2


def crop_with_blue(top: int, left: int) -> np.ndarray:
    crop = np.full((SIDE, SIDE, 3), 100, np.uint8)
    crop[top : top + HALF, left : left + HALF, 2] = 250
    return crop


def test_patch_logits_become_probabilities(tmp_path: Path) -> None:
    made = heatmap(load_model(write_model(tmp_path / "m.onnx", patches=True)), crop_with_blue(0, 0))
    assert made.method == "patches"
    assert made.values.shape == (GRID, GRID)
    assert made.values[:2, :2] == pytest.approx(1 / (1 + np.exp(-15)), abs=1e-4)
    assert made.values[2:] == pytest.approx(0.5)


def test_a_mirrored_network_gives_its_map_the_right_way_round(tmp_path: Path) -> None:
    model = load_model(write_model(tmp_path / "m.onnx", patches=True))
    crop = crop_with_blue(0, 0)
    seen = heatmap(Mirrored.of(model), crop)
    np.testing.assert_array_equal(seen.values, heatmap(model, crop).values)


@pytest.mark.parametrize("corner", [(0, 0), (0, HALF), (HALF, 0), (HALF, HALF)])
def test_covering_shows_what_mattered(tmp_path: Path, corner: tuple[int, int]) -> None:
    made = heatmap(load_model(write_model(tmp_path / "m.onnx")), crop_with_blue(*corner))
    assert made.method == "occlusion"
    row, column = np.unravel_index(int(made.values.argmax()), made.values.shape)
    assert (row >= 3, column >= 3) == (corner[0] > 0, corner[1] > 0)
    assert made.values.max() == pytest.approx(1.0)
    assert made.values.min() == 0


def test_a_network_that_nothing_moves_gives_a_pale_map(tmp_path: Path) -> None:
    crop = np.full((SIDE, SIDE, 3), 100, np.uint8)
    crop[:HALF, :HALF, 2] = 103
    assert heatmap(load_model(write_model(tmp_path / "m.onnx")), crop).values.max() < 0.1


def test_a_crop_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="crop must be"):
        heatmap(load_model(write_model(tmp_path / "m.onnx")), np.zeros((8, 8, 3), np.uint8))


def test_a_third_output_changes_nothing_else(tmp_path: Path) -> None:
    plain = load_model(write_model(tmp_path / "plain.onnx"))
    rich = load_model(write_model(tmp_path / "rich.onnx", patches=True))
    assert (plain.has_patches, rich.has_patches) == (False, True)
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, SIDE, SIDE, 3), dtype=np.uint8)
    mask = np.ones((2, 3), bool)
    for one, other in zip(plain.logits(frames, mask), rich.logits(frames, mask), strict=True):
        np.testing.assert_array_equal(one, other)
    assert rich.patch_logits(frames, mask).shape == (2, 3, GRID, GRID)
    with pytest.raises(ValueError, match="no output patch_logits"):
        plain.patch_logits(frames, mask)


def test_outputs_in_another_order_are_refused(tmp_path: Path) -> None:
    import onnx

    path = write_model(tmp_path / "m.onnx", patches=True)
    model = onnx.load(path)
    outputs = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(outputs[::-1])
    onnx.save(model, path)
    with pytest.raises(ModelError, match="maps"):
        load_model(path)
