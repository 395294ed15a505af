import dataclasses

import cv2
import numpy as np
import pytest
from clip_files import SPEC, clip_of

from make_media import portrait_frames
from unmask.clips.fingerprint import BITS, as_words, dhash, fingerprint
from unmask.types import UInt8Array


def distance(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


def picture(seed: int) -> UInt8Array:
    """Blurred noise: structure at every scale, as a photograph has."""
    noise = np.random.default_rng(seed).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 9).astype(float)
    return np.clip((smooth - smooth.mean()) * 8 + 128, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("how", ["jpeg", "scale", "brighter"])
def test_the_same_picture_encoded_anew_is_near(how: str) -> None:
    image = next(portrait_frames(1, 160, 160, face_px=120))
    other = image
    if how == "jpeg":
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])
        other = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if how == "scale":
        other = cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA)
    if how == "brighter":
        other = np.clip(image.astype(int) * 0.9 + 10, 0, 255).astype(np.uint8)
    assert distance(dhash(image), dhash(other)) <= 24


def test_other_pictures_are_far() -> None:
    hashes = [dhash(picture(seed)) for seed in range(12)]
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 60
    assert dhash(picture(0)) == dhash(picture(0))


def test_flat_pictures_say_nothing() -> None:
    clip = clip_of(0)
    black = dataclasses.replace(clip, frames=np.zeros_like(clip.frames))
    assert fingerprint(black) == ()
    nearly, ramp = black.frames.copy(), black.frames.copy()
    nearly[:, 10:20, 10:20] = 9
    ramp[:] = (np.arange(SPEC.size_px) * 7)[:, None]
    for frames in (nearly, ramp):  # a spot in the dark; brighter from left to right and no more
        assert fingerprint(dataclasses.replace(clip, frames=frames)) == ()


def test_a_picture_that_is_lit_from_one_side_says_something() -> None:
    """Three quarters of it grow brighter to the right, or to the left."""
    clip = clip_of(0)
    light = np.minimum(np.arange(SPEC.size_px) * 4, (SPEC.size_px - np.arange(SPEC.size_px)) * 12)
    for row in (light, light[::-1]):
        frames = np.broadcast_to(row[:, None], clip.frames.shape).astype(np.uint8)
        assert len(fingerprint(dataclasses.replace(clip, frames=frames))) == 3


def test_first_middle_and_last_crop_that_is_there() -> None:
    clip = clip_of(0)  # slot 1 of 4 is empty
    there = [dhash(clip.frames[slot]) for slot in (0, 2, 3)]
    assert list(fingerprint(clip)) == there
    single = dataclasses.replace(clip, mask=np.arange(SPEC.frames) == 2)
    assert list(fingerprint(single)) == [there[1]]


def test_words_keep_every_bit() -> None:
    hashes = [dhash(picture(seed)) for seed in range(3)]
    words = as_words(hashes)
    assert words.shape == (3, BITS // 64)
    for a in range(3):
        for b in range(3):
            bits = int(np.bitwise_count(words[a] ^ words[b]).sum())
            assert bits == distance(hashes[a], hashes[b])
