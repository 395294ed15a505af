"""Landmarks: the mean face follows five keypoints; the mesh names what it lacks."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from unmask.data.landmarks import MESH_POINTS, FaceMesh, keypoints_of, mean_face
from unmask.errors import MissingExtraError

UPRIGHT = np.array([(70, 80), (130, 80), (100, 115), (76, 145), (124, 145)], np.float32)


def test_the_mean_face_lies_on_its_keypoints() -> None:
    points = mean_face(UPRIGHT)
    assert points.shape == (MESH_POINTS, 2)
    assert np.abs(keypoints_of(points) - UPRIGHT).max() < 8
    chin, forehead, left, right = points[152], points[10], points[234], points[454]
    assert forehead[1] < 70 < 150 < chin[1]
    assert left[0] < 60 < 140 < right[0]


def test_the_mean_face_turns_and_grows_with_the_keypoints() -> None:
    turn = np.array([[0, -1.5], [1.5, 0]], np.float32)
    np.testing.assert_allclose(mean_face(UPRIGHT @ turn.T), mean_face(UPRIGHT) @ turn.T, atol=0.05)


@pytest.mark.parametrize(
    "keypoints", [np.zeros((5, 2), np.float32), np.ones((4, 2), np.float32)], ids=["line", "four"]
)
def test_keypoints_that_show_no_face_are_refused(keypoints: np.ndarray) -> None:
    with pytest.raises(ValueError, match="keypoints_px"):
        mean_face(keypoints)


@pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is not None, reason="the mesh runtime is installed"
)
def test_a_missing_mesh_runtime_names_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match="pip install ai-edge-litert"):
        FaceMesh()
