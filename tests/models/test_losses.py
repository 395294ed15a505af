"""Losses against values worked out by hand."""

import math

import pytest
import torch

from unmask.config import LossConfig
from unmask.models import Output, build_loss
from unmask.models.losses import binary_cross_entropy, focal

# A logit of ln 3 means P(fake) = 0.75.
LOGIT = math.log(3)


@pytest.mark.parametrize(
    ("label", "alpha", "gamma", "expected"),
    [
        (1, 0.25, 2.0, 0.25 * 0.25**2 * -math.log(0.75)),
        (0, 0.25, 2.0, 0.75 * 0.75**2 * -math.log(0.25)),
        (1, 0.5, 0.0, 0.5 * -math.log(0.75)),
        (0, 0.9, 1.0, 0.1 * 0.75 * -math.log(0.25)),
    ],
)
def test_focal(label: int, alpha: float, gamma: float, expected: float) -> None:
    value = focal(torch.tensor([LOGIT]), torch.tensor([label]), alpha, gamma)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_focal_with_smoothing_shares_out_the_label() -> None:
    value = focal(torch.tensor([LOGIT]), torch.tensor([1]), 0.25, 2.0, label_smoothing=0.2)
    as_fake = 0.25 * 0.25**2 * -math.log(0.75)
    as_real = 0.75 * 0.75**2 * -math.log(0.25)
    assert value.item() == pytest.approx(0.9 * as_fake + 0.1 * as_real, rel=1e-5)


@pytest.mark.parametrize(
    ("label", "smoothing", "expected"),
    [
        (1, 0.0, -math.log(0.75)),
        (0, 0.0, -math.log(0.25)),
        (1, 0.1, -0.95 * math.log(0.75) - 0.05 * math.log(0.25)),
    ],
)
def test_cross_entropy(label: int, smoothing: float, expected: float) -> None:
    value = binary_cross_entropy(torch.tensor([LOGIT]), torch.tensor([label]), smoothing)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([-200.0, 200.0], requires_grad=True)
    loss = focal(logits, torch.tensor([1, 0]), 0.5, 2.0).sum()
    loss.backward()
    assert loss.item() == pytest.approx(200)
    assert torch.isfinite(logits.grad).all()


def test_frames_count_by_their_weight_and_only_where_they_are() -> None:
    output = Output(torch.tensor([[LOGIT, -99.0], [LOGIT, -LOGIT]]), torch.tensor([LOGIT, LOGIT]))
    labels, mask = torch.tensor([1, 1]), torch.tensor([[True, False], [True, True]])
    value = build_loss(LossConfig(name="bce", frame_weight=0.5))(output, labels, mask)
    right, wrong = -math.log(0.75), -math.log(0.25)
    frames = (right + (right + wrong) / 2) / 2  # each clip's mean first
    assert value.item() == pytest.approx(right + 0.5 * frames, rel=1e-5)


def test_without_frame_weight_the_frames_do_not_count() -> None:
    frames = torch.tensor([[5.0]], requires_grad=True)
    clip = torch.tensor([0.0], requires_grad=True)
    loss = build_loss(LossConfig())(
        Output(frames, clip), torch.tensor([1]), torch.ones(1, 1).bool()
    )
    loss.backward()
    assert frames.grad is None
    assert loss.item() == pytest.approx(0.5 * 0.25 * math.log(2), rel=1e-5)
