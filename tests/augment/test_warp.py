"""Flows: they carry points where they say, and stay smooth."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.augment import warp


def dots(points: np.ndarray, size: int = 96) -> np.ndarray:
    """A picture with a soft bright dot at every point."""
    y, x = np.mgrid[:size, :size]
    total = np.zeros((size, size))
    for px, py in points:
        total += np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8)
    return (255 * np.clip(total, 0, 1)).astype(np.uint8)


@pytest.mark.parametrize("move", [(4.0, 0.0), (0.0, -3.0), (-2.5, 2.5)])
def test_landmark_flow_carries_a_dense_group_of_points(move: tuple[float, float]) -> None:
    before = np.array([(x, y) for x in range(32, 65, 4) for y in range(32, 65, 4)], np.float32)
    flow = warp.landmark_flow(before, before + np.array(move, np.float32), 96)
    middle = flow[44:52, 44:52].mean((0, 1))
    np.testing.assert_allclose(middle, -np.array(move), atol=0.4)
    out = warp.warp(dots(np.array([(48, 48)])), flow).astype(float)
    y, x = np.mgrid[:96, :96]
    found = np.array([(out * x).sum(), (out * y).sum()]) / out.sum()
    np.testing.assert_allclose(found, np.array([48, 48]) + move, atol=0.6)


def test_landmark_flow_fades_to_rest_far_away_and_ignores_points_outside() -> None:
    before = np.array([(48, 48), (50, 50), (-30, 400)], np.float32)
    flow = warp.landmark_flow(before, before + np.float32(5), 96)
    assert np.abs(flow[:8, :8]).max() < 0.05
    assert np.isfinite(flow).all()


def test_a_small_phase_moves_a_random_flow_a_little() -> None:
    flows = [
        warp.random_flow(np.random.default_rng(3), 64, 4.0, 6, phase) for phase in (0.0, 0.05, 1.5)
    ]
    near, far = (np.abs(flows[0] - other).mean() for other in flows[1:])
    assert 0 < near < 0.1 * far
    assert np.abs(flows[0]).std() > 0.5


def test_affinities_are_recovered_and_applied() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (20, 2)).astype(np.float32)
    matrix = np.array([[0.8, 0.3, 5], [-0.2, 1.1, -7]], np.float32)
    moved = warp.transform(points, matrix)
    np.testing.assert_allclose(warp.affine_between(points, moved), matrix, atol=1e-3)
