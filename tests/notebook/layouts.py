"""The same few clips as the four layouts that Kaggle's datasets come in."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from train_demo import make_dataset

PER_SPLIT = {"train": 6, "val": 3, "test": 3}


def make_clips(folder: Path, frames: int = 10) -> Path:
    """``train|val|test/{real,fake}/sceneNN[_swap].mp4``."""
    return make_dataset(folder, PER_SPLIT, frames=frames)


def _pairs(clips: Path) -> list[tuple[Path, Path]]:
    """Authentic clips and the fakes made from them, numbered by their scene."""
    return [
        (real, clips / split / "fake" / f"{real.stem}_swap.mp4")
        for split in PER_SPLIT
        for real in sorted((clips / split / "real").glob("*.mp4"))
    ]


def as_folders(clips: Path, out: Path) -> Path:
    """The folder layout itself."""
    shutil.copytree(clips, out)
    return out


def as_dfdc(clips: Path, out: Path) -> Path:
    """``train_sample_videos/metadata.json`` beside its videos; unlabelled ones in test_videos."""
    folder = out / "train_sample_videos"
    folder.mkdir(parents=True)
    (out / "test_videos").mkdir()
    table = {}
    for real, fake in _pairs(clips):
        shutil.copy(real, folder / real.name)
        shutil.copy(fake, folder / fake.name)
        table[real.name] = {"label": "REAL", "split": "train", "original": None}
        table[fake.name] = {"label": "FAKE", "split": "train", "original": real.name}
    shutil.copy(real, out / "test_videos" / "unknown.mp4")
    (folder / "metadata.json").write_text(json.dumps(table))
    return out


def as_faceforensics(clips: Path, out: Path) -> Path:
    """Originals and one method; each fake binds two neighbouring ids."""
    originals = out / "original_sequences" / "youtube" / "c23" / "videos"
    fakes = out / "manipulated_sequences" / "Deepfakes" / "c23" / "videos"
    originals.mkdir(parents=True)
    fakes.mkdir(parents=True)
    for number, (real, fake) in enumerate(_pairs(clips)):
        shutil.copy(real, originals / f"{number:03d}.mp4")
        shutil.copy(fake, fakes / f"{number:03d}_{number ^ 1:03d}.mp4")
    return out


def as_celeb_df(clips: Path, out: Path) -> Path:
    """Celeb-real and Celeb-synthesis with the official list of test videos."""
    names = []
    for number, (real, fake) in enumerate(_pairs(clips)):
        original = out / "Celeb-real" / f"id{number}_0000.mp4"
        synthesis = out / "Celeb-synthesis" / f"id{number}_id{number ^ 1}_0000.mp4"
        for source, target in ((real, original), (fake, synthesis)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        if number >= 8:
            names += [f"1 Celeb-real/{original.name}", f"0 Celeb-synthesis/{synthesis.name}"]
    (out / "List_of_testing_videos.txt").write_text("\n".join(names) + "\n")
    return out


LAYOUTS: dict[str, Callable[[Path, Path], Path]] = {
    "split folders": as_folders,
    "DFDC": as_dfdc,
    "FaceForensics++": as_faceforensics,
    "Celeb-DF": as_celeb_df,
}
