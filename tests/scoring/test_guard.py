"""Which crops are left out, and that well-shown faces are not."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from unmask.errors import ModelError
from unmask.scoring import Calibration, Familiarity, Guard, GuardLimits, fit_familiarity
from unmask.scoring.pose import pose
from unmask.scoring.sharpness import look
from unmask.types import Clip

FRONT = np.array([(70, 80), (130, 80), (100, 115), (78, 145), (122, 145)], np.float32)


def crop(gain: float = 1.0, blur_share: float = 0.0) -> np.ndarray:
    face = astronaut()[40:210, 140:310].astype(np.float32) * gain
    if blur_share:
        face = cv2.GaussianBlur(face, (0, 0), blur_share * 148)
    return np.clip(face, 0, 255).astype(np.uint8)


def clip(image: np.ndarray, size_px: float = 120.0, points: np.ndarray = FRONT) -> Clip:
    return Clip(
        frames=np.stack([image, np.zeros_like(image)]),
        mask=np.array([True, False]),
        pts_seconds=np.array([0.0, np.nan], np.float32),
        boxes_xyxy_px=np.array([(0, 0, size_px, size_px), (np.nan,) * 4], np.float32),
        keypoints_px=np.stack([points, np.full((5, 2), np.nan)]).astype(np.float32),
        track_id=0,
    )


def lit(brightness: float) -> np.ndarray:
    """The face with so much light that a tenth of it exceeds this luma."""
    return crop(brightness / look(crop()).brightness)


def profile() -> np.ndarray:
    """Both eyes near each other, the nose beside them."""
    return np.array([(118, 80), (130, 80), (146, 112), (122, 145), (130, 145)], np.float32)


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (clip(crop()), ""),
        (clip(crop(0.5)), ""),
        (clip(crop(), size_px=20.0), "face_too_small"),
        (clip(crop(0.05)), "face_dark"),
        (clip(lit(38)), "face_dark"),
        (clip(lit(45)), ""),
        (clip(crop(6.0)), "face_overexposed"),
        (clip(crop(blur_share=0.07)), "face_blurry"),
        (clip(crop(), points=profile()), "face_turned"),
        (clip(crop(), points=np.full((5, 2), np.nan)), ""),  # not known is no reason
    ],
)
def test_each_fault_has_its_code(seen: Clip, code: str) -> None:
    assert Guard().check(seen).tolist() == [code, ""]  # where there is no crop nothing is said


@pytest.mark.parametrize(
    ("wide_px", "high_px", "code"), [(40, 20, ""), (20, 40, ""), (20, 20, "face_too_small")]
)
def test_a_face_is_as_large_as_its_longer_side(wide_px: float, high_px: float, code: str) -> None:
    seen = clip(crop())
    box = np.array([(300, 500, 300 + wide_px, 500 + high_px), (np.nan,) * 4], np.float32)
    assert Guard().check(replace(seen, boxes_xyxy_px=box))[0] == code


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    from unmask.scoring.pose import _FACE_CM

    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    seen = about_z @ about_x @ about_y @ _FACE_CM.T
    return (17 * seen[:2].T + 90).astype(np.float32)


def looking(yaw: float, pitch: float) -> Clip:
    return clip(crop(), points=turned(yaw, pitch, 0))


def glaring(share: float) -> np.ndarray:
    """The face, so much of it white."""
    face = cv2.resize(crop(), (112, 112))
    face[22 : 22 + round(68 * share), 22:90] = 255
    return face


@pytest.mark.parametrize(
    ("passes", "fails", "code"),
    [
        (clip(crop(), size_px=32), clip(crop(), size_px=31.9), "face_too_small"),
        (clip(lit(41)), clip(lit(39.5)), "face_dark"),
        (clip(glaring(0.29)), clip(glaring(0.31)), "face_overexposed"),
        (clip(crop(blur_share=0.015)), clip(crop(blur_share=0.016)), "face_blurry"),
        (looking(59, 0), looking(61, 0), "face_turned"),
        (looking(-59, 0), looking(-61, 0), "face_turned"),
        (looking(0, 29), looking(0, 31), "face_turned"),
        (looking(0, -29), looking(0, -31), "face_turned"),
    ],
)
def test_each_limit_stands_where_the_guide_says(passes: Clip, fails: Clip, code: str) -> None:
    assert [Guard().check(seen)[0] for seen in (passes, fails)] == ["", code]


@pytest.mark.parametrize("angles", [(0, 0, 0), (35, 0, 0), (-50, 0, 0), (0, 30, 0), (0, 0, -25)])
def test_the_pose_of_the_mean_face_is_found(angles: tuple[float, float, float]) -> None:
    found = pose(turned(*angles))
    assert found is not None
    assert (found.yaw_deg, found.pitch_deg, found.roll_deg) == pytest.approx(angles, abs=0.1)


def test_looking_up_is_a_negative_pitch_and_looking_right_a_positive_yaw() -> None:
    up, right = FRONT.copy(), FRONT.copy()
    up[2, 1] -= 15
    right[2, 0] += 15
    straight = pose(FRONT)
    looks_up, looks_right = pose(up), pose(right)
    assert straight is not None
    assert looks_up is not None
    assert looks_right is not None
    assert looks_up.pitch_deg < straight.pitch_deg - 10
    assert looks_right.yaw_deg > straight.yaw_deg + 10
    assert pose(np.zeros((5, 2), np.float32)) is None


def features(count: int, seed: int) -> np.ndarray:
    """Forty numbers that vary along three directions, and hardly elsewhere."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(np.random.default_rng(99).normal(size=(40, 3)))[0].T
    return rng.normal(size=(count, 3)) * (5, 3, 2) @ axes + 0.1 * rng.normal(size=(count, 40)) + 7


def halves(count: int) -> np.ndarray:
    """Two sources that do not differ."""
    return np.arange(count) % 2


def test_unseen_faces_of_the_kind_pass_and_strange_ones_do_not() -> None:
    known = fit_familiarity(features(600, 0), halves(600), axes=8)
    assert known is not None
    fresh = known.distances(features(2000, 1))
    assert (fresh > known.limit).mean() == pytest.approx(0.01, abs=0.008)
    assert np.median(fresh) == pytest.approx(1.0, abs=0.1)
    beside = features(50, 2) + np.random.default_rng(3).normal(size=40)  # off the three directions
    assert (known.distances(beside) > known.limit).all()


def test_a_reference_survives_the_record_and_stays_small() -> None:
    known = fit_familiarity(np.random.default_rng(0).normal(size=(500, 768)), halves(500))
    assert known is not None
    record = Calibration().to_dict() | Guard(familiarity=known).to_record()
    assert Calibration.from_dict(record) == Calibration()  # it does not mind
    guard = Guard.from_record(record)
    assert guard.familiarity is not None
    rows = np.random.default_rng(1).normal(size=(5, 768))
    np.testing.assert_array_equal(guard.familiarity.distances(rows), known.distances(rows))
    assert len(str(record)) < 70_000


def test_models_without_features_or_reference_are_judged_without() -> None:
    known = fit_familiarity(features(200, 0), halves(200), axes=8)
    mask = np.array([[True, False]])
    far = np.full((1, 2, 40), 90.0, np.float32)
    assert Guard(familiarity=known).unfamiliar(far, mask).tolist() == [["face_unfamiliar", ""]]
    assert Guard(familiarity=known).unfamiliar(None, mask).tolist() == [["", ""]]
    assert Guard(familiarity=known).unfamiliar(far[..., :7], mask).tolist() == [["", ""]]
    assert Guard().unfamiliar(far, mask).tolist() == [["", ""]]
    assert Guard.from_record({}) == Guard()
    assert Guard(GuardLimits()).to_record() == {}


def test_too_few_or_constant_faces_or_one_source_give_no_reference() -> None:
    assert fit_familiarity(features(99, 0), halves(99)) is None
    assert fit_familiarity(np.zeros((200, 8)), halves(200)) is None
    assert fit_familiarity(np.empty((0, 0)), np.empty(0)) is None
    assert fit_familiarity(features(200, 0), np.zeros(200)) is None
    assert fit_familiarity(features(200, 0), np.arange(200) < 10) is None
    with pytest.raises(ValueError, match="sources"):
        fit_familiarity(features(200, 0), np.zeros(3))


def test_a_source_that_lies_apart_widens_the_limit() -> None:
    """Else the next one, which nobody has seen, would be called unfamiliar as a whole."""
    offset = np.random.default_rng(5).normal(size=40) * 0.08
    values = np.concatenate([features(600, 0), features(300, 1) + offset])
    apart = np.arange(900) >= 600
    tight, wide = (fit_familiarity(values, s, axes=8) for s in (halves(900), apart))
    assert tight is not None
    assert wide is not None
    assert wide.limit > 1.1 * tight.limit
    other = features(300, 2) - offset  # on the other side
    assert (wide.distances(other) > wide.limit).mean() < (
        tight.distances(other) > tight.limit
    ).mean() / 2


@pytest.mark.parametrize("spoilt", [{"mean": "?"}, {"axes": "AAAA"}, {"limit": None}])
def test_a_damaged_reference_is_told(spoilt: dict[str, object]) -> None:
    known = fit_familiarity(features(200, 0), halves(200), axes=8)
    assert known is not None
    with pytest.raises(ModelError) as caught:
        Familiarity.from_dict(known.to_dict() | spoilt)
    assert caught.value.code == "model_calibration"
