"""How many pairs of an authentic face and its pseudo-fake are made a second, by kind?

    python benchmarks/pseudo_fakes.py [--bank faces.npz] [--size 196] [--frames 1] [--pairs 150]

One core. Without a bank, faces are made from the public-domain astronaut. Prints milliseconds of
processor time a pair and the ratio to plain cropping (kind `none`, nothing degraded): what forging
and degrading cost.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from skimage.data import astronaut

from unmask.augment.degrade import DegradeConfig
from unmask.data.facebank import BankedFace, FaceBank
from unmask.data.landmarks import mean_face
from unmask.data.pseudo import KIND_NAMES, PairConfig, PairSource


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bank", type=Path)
    parser.add_argument("--size", type=int, default=196)
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=150)
    options = parser.parse_args()
    cv2.setNumThreads(0)
    bank = FaceBank.load(options.bank) if options.bank else astronauts()
    config = PairConfig(size_px=options.size, frames=options.frames)
    if not (bank.label == 1).any():
        config.kinds.pop("dataset")
    clean = PairSource(bank, replace(config, degrade=DegradeConfig.off()))
    full = PairSource(bank, config)
    floor = milliseconds(clean, "none", options.pairs)
    print(f"{options.size} px, {options.frames} frame(s) a clip, one core")
    print(f"{'kind':10s} {'forged ms':>10s} {'degraded too ms':>16s} {'pairs/s':>8s} {'ratio':>6s}")
    for kind in KIND_NAMES:
        if kind == "dataset" and kind not in config.kinds:
            continue
        forged = milliseconds(clean, kind, options.pairs)
        total = milliseconds(full, kind, options.pairs)
        print(f"{kind:10s} {forged:10.2f} {total:16.2f} {1e3 / total:8.0f} {total / floor:6.1f}")
    mixed = milliseconds(full, None, options.pairs)
    print(f"{'mixed':10s} {'':10s} {mixed:16.2f} {1e3 / mixed:8.0f} {mixed / floor:6.1f}")


def milliseconds(source: PairSource, kind: str | None, pairs: int) -> float:
    """Processor time of one pair."""
    source.pair(np.random.default_rng(0), kind=kind)
    start = time.process_time()
    for i in range(pairs):
        source.pair(np.random.default_rng((1, i)), kind=kind)
    return 1e3 * (time.process_time() - start) / pairs


def astronauts() -> FaceBank:
    """Forty guises of one portrait."""
    keypoints = np.array([(204, 108), (243, 107), (228, 128), (208, 147), (244, 146)], np.float32)
    faces = []
    for i in range(40):
        image = cv2.convertScaleAbs(astronaut()[25:225, 125:325], alpha=0.7 + 0.015 * i)
        jpeg = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
        points = mean_face(keypoints - np.array([125, 25], np.float32))
        name = f"portraits/{i}"
        faces.append(BankedFace(jpeg, points, 1.0, name, "portraits", name, "train", 0))
    return FaceBank.of(faces)


if __name__ == "__main__":
    main()
