"""What do float16 and int8 copies of a detector gain, and how far do their logits move?

    python benchmarks/precision.py RUN/models/best_model.pth [--faces faces-00.tar] [--count 96]

Exports the checkpoint in every precision, runs face crops through each on one core, and compares
frame logits with float32's. Crops come from a tar of JPEGs, else from the moving astronaut.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

import material
from make_media import portrait_frames
from unmask.errors import ModelError
from unmask.inference import Model, load_model
from unmask.types import FloatArray, UInt8Array
from unmask.verbs.export import TOLERANCE, export

AT_ONCE = 16


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path, nargs="?", help="default: an untrained ViT")
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--count", type=int, default=96)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = options.checkpoint
        if checkpoint is None:
            checkpoint = material.detector(Path(folder), "vit").with_name("vit.pth")
        models: dict[str, tuple[Model, float]] = {}
        for precision in TOLERANCE:
            try:
                file = export(checkpoint, Path(folder) / f"{precision}.onnx", precision=precision)
            except ModelError as error:
                print(f"{precision}: {error}")
                continue
            models[precision] = load_model(file, threads=1), file.stat().st_size / 1e6
        side = models["fp32"][0].spec.size_px
        crops = read_crops(options.faces, options.count // AT_ONCE * AT_ONCE, side)
        report(models, crops)


def report(models: dict[str, tuple[Model, float]], crops: UInt8Array) -> None:
    """One line a precision."""
    logits, expected = {name: run(model, crops) for name, (model, _) in models.items()}, None
    print(f"{len(crops)} crops, one core")
    print("        MB   ms a crop   logit: spread  rms error  largest  largest of a mean of 16")
    for name, (values, seconds) in logits.items():
        expected = values if expected is None else expected
        error = values - expected
        means = error.reshape(-1, AT_ONCE).mean(axis=1)
        print(
            f"{name:5s} {models[name][1]:5.1f} {1e3 * seconds:10.1f} {expected.std():16.3f} "
            f"{np.sqrt((error**2).mean()):10.4f} {np.abs(error).max():8.4f} "
            f"{np.abs(means).max():12.4f}"
        )


def run(model: Model, crops: UInt8Array) -> tuple[FloatArray, float]:
    """Frame logits, and the least processor seconds a crop over the batches."""
    logits, seconds = [], []
    for clip in crops.reshape(-1, 1, AT_ONCE, *crops.shape[1:]):
        began = time.process_time()
        logits.append(model.logits(clip, np.ones((1, AT_ONCE), bool))[0][0])
        seconds.append((time.process_time() - began) / AT_ONCE)
    return np.concatenate(logits), min(seconds)


def read_crops(tar: Path | None, count: int, side: int) -> UInt8Array:
    """``(count, side, side, 3)`` RGB."""
    if tar is None:
        return np.stack(list(portrait_frames(count, side, side, face_px=0.85 * side)))
    crops = []
    with tarfile.open(tar) as shard:
        members = [member for member in shard.getmembers() if member.isfile()]
        for member in members[:: max(1, len(members) // count)][:count]:
            image = material.tar_picture(shard, member)
            crops.append(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
    return np.stack(crops)


if __name__ == "__main__":
    main()
