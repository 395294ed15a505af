"""A small dataset of short videos for the verbs that read one."""

from pathlib import Path

import cv2
import numpy as np

import make_media

FRAMES, FPS, SIDE_PX = 8, 8, 160


def smooth_face(portrait: np.ndarray, index: int) -> np.ndarray:
    """A crude manipulation: the face is blurred."""
    x, y = (int(v) for v in make_media.FACE_CENTRE_XY)
    out = portrait.copy()
    box = np.s_[y - 50 : y + 50, x - 40 : x + 40]
    out[box] = cv2.GaussianBlur(portrait[box], (0, 0), 6)
    return out


def make_dataset(root: Path, scenes: dict[str, int], first_seed: int = 1) -> Path:
    """``SPLIT/{real,fake}/sNN.mp4`` (or ``{real,fake}`` where the split's name is empty)."""
    seed = first_seed
    for split, count in scenes.items():
        for _ in range(count):
            for label, retouch in (("real", None), ("fake", smooth_face)):
                path = root / split / label / f"s{seed:02d}{'x' if retouch else ''}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                frames = make_media.portrait_frames(
                    FRAMES, SIDE_PX, SIDE_PX, seed=seed, fps=FPS, retouch=retouch
                )
                make_media.write_video(path, frames, fps=FPS, options={"preset": "ultrafast"})
            seed += 1
    return root


SETTINGS = (
    "clip={frames: 4, size_px: 48}",
    "model={name: frame, backbone: test_resnet, weights: random}",
    "optim={lr: 3.0e-3, head_lr: 3.0e-3, warmup_steps: 2}",
    "data={allow_leaks: [near_duplicate, group], workers: 1}",
    "loop={epochs: 2, batch_size: 4, accelerator: cpu, precision: fp32}",
)
"""The smallest run: a few seconds."""
