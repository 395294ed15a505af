"""Run the cheap commands of README and docs, in a folder that holds what their words name."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import make_media
from make_model import write_blueness
from train_demo import make_dataset
from unmask import weights

ROOT = Path(__file__).resolve().parent.parent
CHEAP_VERBS = {"--version", "detect", "doctor", "prepare", "scan"}
OUTPUT_OPTIONS = {"--out", "-o", "--html", "--annotate"}
FRAMES = 12
LIMIT_SECONDS = 300


def run_all(lines: Sequence[str], folder: Path) -> Iterator[str]:
    """Run each distinct cheap command once; yields those that fail.

    Args:
        lines: commands as the pages have them.
        folder: an empty one; it is filled with media, data and models under the pages' names.
    """
    stage(folder)
    distinct = dict.fromkeys(line for line in map(_without_comment, lines) if line)
    # What makes a file comes before what reads it: pages are not read in the order of their names.
    for line in sorted(distinct, key=lambda line: "make_media" not in line):
        script = runnable(line, folder)
        if script is None:
            continue
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        print(f"{time.monotonic() - began:6.1f} s  exit {done.returncode}  {script}", flush=True)
        if done.returncode:
            yield f"'{script}' ends with {done.returncode}: {done.stderr.strip()[-500:]}"


def stage(folder: Path) -> None:
    """Lay out what the pages' commands name: clip.mp4, FOLDER, DATA, models, the repository."""
    for name in (
        "scripts",
        "configs",
        "kaggle_cells",
        "benchmarks",
        "Makefile",
        "pyproject.toml",
        "constraints.txt",
        "src",
    ):
        (folder / name).symlink_to(ROOT / name)
    make_media.write_video(folder / "clip.mp4", make_media.portrait_frames(FRAMES, 320, 240))
    (folder / "FOLDER").mkdir()
    shutil.copy(folder / "clip.mp4", folder / "FOLDER" / "a.mp4")
    shutil.copy(folder / "clip.mp4", folder / "VIDEO")
    data = make_dataset(folder / "DATA", {"train": 1, "val": 1, "test": 1}, FRAMES)
    (folder / "demo" / "train").mkdir(parents=True)
    (folder / "demo" / "train" / "data").symlink_to(data)
    for place in ("MODEL.onnx", "runs/mine/models/best_model.onnx"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        write_blueness(folder / place)


def _without_comment(line: str) -> str:
    try:
        return shlex.join(shlex.split(line, comments=True)) if "#" in line else line.strip()
    except ValueError:
        return ""


def runnable(line: str, folder: Path) -> str | None:
    """The line as it is run here, or None for one that takes long or needs what is not here."""
    words = shlex.split(line)
    if any(word in ("|", "&&") for word in words):
        return None
    program, *rest = words
    if program == "unmask" and rest and rest[0] in CHEAP_VERBS:
        judges = rest[0] in ("detect", "scan")
        if (
            judges
            and not {"--model", "-m"} & set(rest)
            and weights.DEFAULT_DETECTOR not in weights.names()
        ):
            line += " --model MODEL.onnx"
        # shlex quotes patterns that the shell shall expand
        line = re.sub(r"'(\*\.\w+)'", r"\1", line)
        given = [word for before, word in pairwise(rest) if before not in OUTPUT_OPTIONS]
        return line if all(_is_here(word, folder) for word in given) else None
    if program == "make":
        return f"make -n {shlex.join(rest)}"
    if program == "python" and rest[0] == "-c":
        return line
    if program == "python" and rest[0].endswith(".py"):
        cheap = rest[0] == "scripts/make_media.py"
        return line if cheap else f"python {rest[0]} --help"
    return None


def _is_here(word: str, folder: Path) -> bool:
    """False for the name of an input that the folder lacks; outputs and settings pass."""
    inputs = {"STORE", "OTHER_DATA", "FACES", "roots.pem", "faces.npz", "PATH...", "-"}
    if word in inputs:
        return False
    if word.endswith((".mp4", ".onnx", ".yaml")) and "*" not in word:
        return (folder / word).exists()
    return True


def _environment() -> dict[str, str]:
    """This Python first, and this source: pages say `unmask` and `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    source = os.pathsep.join((str(ROOT / "src"), str(ROOT / "scripts")))
    return {**os.environ, "PATH": path, "PYTHONPATH": source, "NO_COLOR": "1"}
