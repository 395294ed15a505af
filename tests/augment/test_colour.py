"""Colour matrices by what they must do to known pixels."""

import math

import torch

from unmask.augment.colour import Colour, recolour


def colour(**change: float) -> Colour:
    neutral = {"brightness": 0.0, "contrast": 1.0, "saturation": 1.0, "hue_deg": 0.0}
    return Colour(**{name: torch.tensor([value]) for name, value in (neutral | change).items()})


def pixel(red: float, green: float, blue: float) -> torch.Tensor:
    return torch.tensor([red, green, blue], dtype=torch.float32).reshape(1, 1, 3, 1, 1)


def check(change: Colour, before: torch.Tensor, after: torch.Tensor) -> None:
    torch.testing.assert_close(recolour(before, change), after, atol=1e-3, rtol=0)


def test_neutral() -> None:
    check(colour(), pixel(10, 20, 30), pixel(10, 20, 30))


def test_brightness_adds() -> None:
    check(colour(brightness=7), pixel(10, 20, 30), pixel(17, 27, 37))


def test_contrast_turns_about_mid_grey() -> None:
    check(colour(contrast=2), pixel(127.5, 100, 0), pixel(127.5, 72.5, -127.5))


def test_no_saturation_is_bt601_grey() -> None:
    grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    check(colour(saturation=0), pixel(200, 100, 50), pixel(grey, grey, grey))


def test_hue_turns_red_to_green_and_leaves_grey() -> None:
    check(colour(hue_deg=120), pixel(90, 0, 0), pixel(0, 90, 0))
    check(colour(hue_deg=33), pixel(80, 80, 80), pixel(80, 80, 80))


def test_who_changes_and_who_turns_grey() -> None:
    drawn = Colour(*(torch.full((4,), value) for value in (5.0, 1.5, 1.2, 3.0)))
    jittered = torch.tensor([True, True, False, False])
    gray = torch.tensor([False, True, False, True])
    kept = drawn.only(jittered, gray)
    assert [math.isnan(value) for value in kept.contrast.tolist()] == [False, False, True, False]
    assert kept.saturation[1].item() == kept.saturation[3].item() == 0
    assert kept.contrast[3].item() == 1
    assert kept[torch.tensor([1])].brightness.tolist() == [5.0]
