"""Perceptual hashes of crops: near-duplicates have nearly the same bits.

The difference hash (dHash, N. Krawetz) of a crop: shrink to 17 x 16 grey pixels and note for every
pixel whether its right neighbour is brighter: 256 bits that survive re-encoding and scaling.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.types import Clip, UInt8Array

SIDE = 16
BITS = SIDE * SIDE
CROPS = 3  # hashed a clip: the first, the middle and the last
INFORMATIVE_BITS = range(BITS // 8, BITS * 7 // 8)  # set; a black or flat crop has fewer


def fingerprint(clip: Clip) -> tuple[str, ...]:
    """Hashes (64 hex digits each) of a clip's first, middle and last crop.

    Crops with next to no structure are left out: all black pictures look the same.
    """
    there = np.flatnonzero(clip.mask)
    chosen = sorted({there[round(share * (len(there) - 1))] for share in np.linspace(0, 1, CROPS)})
    hashes = (dhash(clip.frames[slot]) for slot in chosen)
    return tuple(bits for bits in hashes if int(bits, 16).bit_count() in INFORMATIVE_BITS)


def dhash(image: UInt8Array) -> str:
    """The 256-bit difference hash of an RGB crop ``(H, W, 3)``, as 64 hex digits."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes().hex()


def as_words(hashes: list[str]) -> NDArray[np.uint64]:
    """Hashes as ``(n, 4)`` 64-bit words, for counting bits."""
    raw = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64)
    return raw.reshape(-1, BITS // 64)
