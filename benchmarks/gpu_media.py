"""Videos for benchmarks/gpu.py, made once into a folder and kept there."""

from __future__ import annotations

from pathlib import Path

import material  # before make_media, which it makes importable
from make_media import portrait_frames, write_video

FPS = 25
_ENCODED_SECONDS = 10  # a longer video repeats this one, packet by packet
_DISTINCT = 4


def video(folder: Path, width_px: int, height_px: int, seconds: int, seed: int = 0) -> Path:
    """A portrait that moves, H.264."""
    path = folder / f"gpu_{height_px}p_{seconds}s_{seed}.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.mp4")
    if seconds > _ENCODED_SECONDS:
        once = video(folder, width_px, height_px, _ENCODED_SECONDS, seed)
        material.repeated(once, part, seconds, _ENCODED_SECONDS)
    else:
        frames = portrait_frames(seconds * FPS, width_px, height_px, seed=seed)
        options = {"preset": "veryfast", "threads": "0"}
        write_video(part, frames, fps=FPS, options=options)
    return part.rename(path)


def dataset(folder: Path, width_px: int, height_px: int, seconds: int, files: int) -> Path:
    """Splits of as many files in all; the labels play no part here.

    A few videos are encoded; the others are copies that differ in an empty box at their end, so
    that each counts as a file of its own.
    """
    data = folder / f"gpu_dataset_{height_px}p_{seconds}s_{files}"
    if data.exists():
        return data
    part = data.with_name(data.name + ".part")
    for number in range(files):
        source = video(folder, width_px, height_px, seconds, seed=number % _DISTINCT)
        split, label = ("train", "val", "test")[number % 3], ("real", "fake")[number // 3 % 2]
        path = part / split / label / f"{number:04d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        free = (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big")
        path.write_bytes(source.read_bytes() + free)
    return part.rename(data)
