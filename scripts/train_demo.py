"""The demo: make a small dataset, train on it, evaluate, export and detect, by the public verbs.

    python scripts/train_demo.py demo      # leaves demo/data, demo/run and every result file
    python scripts/train_demo.py demo --clips 4 loop.epochs=2    # smaller still

All clips show one public-domain portrait. The manipulated ones are self-blended: a shifted,
re-coloured and softened copy of the face is pasted back through a moving mask. So the demo shows
that the whole way works; it says nothing about how well a detector does on real fakes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

import unmask
from make_media import FACE_CENTRE_XY, FACE_SIDE_PX, Image, portrait_frames, write_video
from unmask.report import verdict_text

CONFIG = Path(__file__).parent.parent / "configs" / "demo.yaml"
SCENES = {"train": 16, "val": 8, "test": 8}  # authentic clips a split; as many manipulated ones
FRAMES, FPS, SIDE_PX = 30, 12, 320


class FaceSwap:
    """A self-blend (Shiohara & Yamasaki, CVPR 2022) whose mask and colour flicker over time."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._shift = rng.uniform(2, 5, 2) * rng.choice([-1, 1], 2)
        self._scale = rng.choice([0.95, 1.06])
        self._colour = rng.uniform(8, 20, 3) * rng.choice([-1, 1], 3)
        self._soften = rng.uniform(1.0, 2.0)
        self._phase = rng.uniform(0, 2 * np.pi)

    def __call__(self, portrait: Image, index: int) -> Image:
        """The manipulated portrait of frame ``index``."""
        wave = np.sin(self._phase + index * 0.9)
        x, y = FACE_CENTRE_XY
        move = cv2.getRotationMatrix2D((x, y), 1.5 * wave, self._scale)
        move[:, 2] += self._shift + 0.5 * wave
        source = cv2.warpAffine(portrait, move, portrait.shape[1::-1], flags=cv2.INTER_CUBIC)
        source = cv2.GaussianBlur(source, (0, 0), self._soften).astype(np.float32)
        source += self._colour * (1 + 0.3 * wave)
        mask = np.zeros(portrait.shape[:2], np.float32)
        axes = (int(0.36 * FACE_SIDE_PX), int((0.45 + 0.02 * wave) * FACE_SIDE_PX))
        cv2.ellipse(mask, (int(x), int(y + 6)), axes, 0, 0, 360, 1.0, -1)
        share = cv2.GaussianBlur(mask, (0, 0), 4)[..., None]
        blended = share * source + (1 - share) * portrait
        return np.clip(blended, 0, 255).astype(np.uint8)


def make_dataset(root: Path, scenes: dict[str, int] = SCENES, frames: int = FRAMES) -> Path:
    """``train|val|test/{real,fake}/*.mp4``; skips what is there.

    Args:
        root: the dataset's folder.
        scenes: authentic clips a split; as many manipulated ones.
        frames: of a clip.
    """
    seed = 0
    for split, count in scenes.items():
        for number in range(count):
            seed += 1
            for label, retouch in (("real", None), ("fake", FaceSwap(seed))):
                path = root / split / label / f"scene{seed:02d}{'_swap' if retouch else ''}.mp4"
                if path.exists():
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                pictures = portrait_frames(
                    frames, SIDE_PX, SIDE_PX, seed=seed, fps=FPS, retouch=retouch
                )
                quality = str(20 + number % 3 * 3)  # both classes get the same
                write_video(path, pictures, fps=FPS, options={"crf": quality, "preset": "veryfast"})
    return root


def main() -> None:
    """Run the whole way."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path, help="where data and results go")
    arguments.add_argument("--clips", type=int, help="at most this many a split and class")
    arguments.add_argument("words", nargs="*", default=[], help="settings, e.g. loop.epochs=2")
    options = arguments.parse_intermixed_args()
    folder = options.folder
    scenes = {name: min(count, options.clips or count) for name, count in SCENES.items()}
    data = make_dataset(folder / "data", scenes)
    print(f"Made {2 * sum(scenes.values())} clips in {data}.")
    report = unmask.train(data, config=CONFIG, out=folder / "run", overrides=options.words)
    print((report.run / "results" / "experiment_report.txt").read_text(encoding="utf-8"))
    model = report.run / "models" / "best_model.onnx"
    for label in ("real", "fake"):
        video = next((data / "test" / label).iterdir())
        print(f"\n$ unmask detect {video} --model {model}")
        print(verdict_text(unmask.detect(video, model=str(model))))


if __name__ == "__main__":
    main()
