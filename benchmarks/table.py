"""Every row of docs/performance.md in one command: what was promised, its limit, what was measured.

    python benchmarks/table.py [--only ROW[,ROW]] [--quick] [--repeat 5]
        [--media DIR] [--gpu FILE] [--out docs/performance.md]

Each row is a ratio within one run: the limit or the rival runs in turn with what is measured. The
lines of the measured rows replace those between the two marks in the document; the others stay.
Media and untrained models are made into DIR (default bench_media) on the first call. `--quick`
measures the smallest size once, prints, and writes nothing. Rows that need a GPU are read from the
JSON file that `benchmarks/gpu.py --out FILE` writes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import material
from detect import decode, peak_mib
from measure import Cost, Figure, Row, ratio, rounds, wait_without_spinning
from unmask.files import write_text
from unmask.inference import load_model
from unmask.verbs.detect import bundled_model, detect, open_faces, open_model

if TYPE_CHECKING:
    from train_loop import Setting

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = (
    "| row | what | limit or rival | target | measured | processor | met | date |\n"
    "|---|---|---|---|---|---|---|---|"
)
PACKAGES = ("unmask", "numpy", "av", "opencv-python-headless", "onnxruntime", "torch", "timm")


@dataclass(frozen=True)
class Options:
    """How much is measured, and on what."""

    media: Path
    repeat: int
    quick: bool

    def video(self, height_px: int, seconds: int) -> Path:
        """A portrait; small and a second long where it must be quick."""
        if self.quick:
            height_px, seconds = (360, 1 if seconds < 60 else 2)
        width_px = {2160: 3840, 1080: 1920, 480: 854, 360: 640}[height_px]
        return material.video(self.media, width_px, height_px, seconds)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", help=f"of {', '.join([*ROWS, *GPU_ROWS])}")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--media", type=Path, default=Path("bench_media"))
    parser.add_argument("--gpu", type=Path, help="what benchmarks/gpu.py wrote")
    parser.add_argument("--out", type=Path, default=Path("docs/performance.md"))
    given = parser.parse_args()
    names = given.only.split(",") if given.only else [*ROWS, *GPU_ROWS]
    unknown = sorted(set(names) - {*ROWS, *GPU_ROWS})
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; known: {', '.join([*ROWS, *GPU_ROWS])}")
    options = Options(given.media, 1 if given.quick else given.repeat, given.quick)
    wait_without_spinning()
    lines = {}
    if given.quick:
        print("--quick: the smallest size, once; the figures say nothing", file=sys.stderr)
    print(HEAD)
    for name in names:
        row = ROWS[name](options) if name in ROWS else gpu_row(name, given.gpu)
        lines[name] = line(row)
        print(lines[name], flush=True)
    if not given.quick:
        document = given.out.read_text(encoding="utf-8")
        write_text(given.out, with_lines(document, lines))


# ------------------------------------------------------------------ detect


def detect_row(options: Options) -> Row:
    """The detector that ships against decoding alone."""
    return _detect("detect", "the detector that ships", open_model(bundled_model()), options)


def detect_lite0_row(options: Options) -> Row:
    """A network of EfficientNet-Lite0's size."""
    model = load_model(material.detector(options.media, "lite0"))
    return _detect("detect-lite0", "EfficientNet-Lite0, 224 px", model, options)


def _detect(name: str, words: str, model: object, options: Options) -> Row:
    path, faces = options.video(1080, 10), open_faces()
    costs = rounds(
        {"limit": lambda: decode(path), "what": lambda: detect(path, model=model, faces=faces)},
        options.repeat,
    )
    wall, processor = ratio(costs["what"], costs["limit"])
    what = f"detect, 1080p 10 s, 32 frames, {words}"
    return Row(name, what, "decoding the same file", "<=", 1.5, "x", wall, processor)


def rival_row(options: Options) -> Row:
    """The usual pipeline against the detector that ships."""
    row = Row(
        "rival",
        "detect, 1080p 10 s, 32 frames, how many times as fast",
        "OpenCV, MTCNN on 32 frames, ResNeXt50 at 112 px in torch (random weights)",
        ">=",
        7,
    )
    try:
        from rival import usual_pipeline  # with torch, which the other rows do without

        usual = usual_pipeline()
    except ImportError as error:
        return replace(row, note=str(error))
    path, model, faces = options.video(1080, 10), open_model(bundled_model()), open_faces()
    costs = rounds(
        {"what": lambda: detect(path, model=model, faces=faces), "rival": lambda: usual(path)},
        min(options.repeat, 2),  # it is slow, and the distance is wide
    )
    wall, processor = ratio(costs["rival"], costs["what"])
    return replace(row, wall=wall, processor=processor)


def start_row(options: Options) -> Row:
    """How long until `--help`, and whether torch is loaded by `detect`."""
    words = {
        "limit": [sys.executable, "-c", "import numpy"],
        "what": [sys.executable, "-m", "unmask", "--help"],
    }
    runs = {
        name: lambda command=command: subprocess.run(command, check=True, capture_output=True)
        for name, command in words.items()
    }
    wall, processor = _twice_as_often(runs, options)
    code = (
        "import atexit, sys; from unmask.cli import main; "
        "atexit.register(lambda: sys.stderr.write('TORCH' * ('torch' in sys.modules))); "
        f"sys.argv = ['unmask', 'detect', {str(options.video(360, 1))!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    light = b"TORCH" not in done.stderr
    note = "" if light else "detect loads torch"
    what = "`unmask --help`; no torch in `unmask detect`"
    return Row(
        "start", what, '`python -c "import numpy"`', "<=", 3, "x", wall, processor, note, light
    )


def _twice_as_often(runs: dict[str, Callable[[], object]], options: Options) -> tuple[Figure, ...]:
    costs = rounds(runs, 2 * options.repeat)
    return ratio(costs["what"], costs["limit"])


def memory_4k_row(options: Options) -> Row:
    """Peak memory by the size of the picture."""
    return _memory("memory-4k", "2160p 10 s", options.video(2160, 10), options)


def memory_hour_row(options: Options) -> Row:
    """Peak memory by length."""
    return _memory("memory-hour", "480p 1 hour", options.video(480, 3600), options)


def _memory(name: str, words: str, path: Path, options: Options) -> Row:
    model, small = Path(bundled_model()), options.video(480, 10)
    pairs = [(peak_mib(path, model), peak_mib(small, model)) for _ in range(min(options.repeat, 2))]
    figure = Figure.of([large / least for large, least in pairs])
    note = f"{max(large for large, _ in pairs):.0f} MiB"
    what = f"peak memory of `unmask detect`, {words}"
    return Row(name, what, "480p 10 s", "<=", 3, "x", figure, note=note)


def hour_row(options: Options) -> Row:
    """An hour against a minute."""
    model, faces = open_model(bundled_model()), open_faces()
    short, long = options.video(480, 60), options.video(480, 3600)
    costs = rounds(
        {
            "what": lambda: detect(long, model=model, faces=faces),
            "limit": lambda: detect(short, model=model, faces=faces),
        },
        min(options.repeat, 3),
    )
    wall, processor = ratio(costs["what"], costs["limit"])
    return Row("hour", "detect, 480p 1 hour", "480p 1 minute", "<=", 6, "x", wall, processor)


# ------------------------------------------------------------------ training


def train_row(options: Options) -> Row:
    """Clips of a store."""
    return _train("train", "clips", options)


def train_pairs_row(options: Options) -> Row:
    """Pairs made of a bank of faces."""
    return _train("train-pairs", "pairs", options)


def augmentation_row(options: Options) -> Row:
    """Augmentation beside the step that it belongs to."""
    from train_loop import AUGMENT, RESIDENT

    setting = _setting("clips", options)
    costs = _loop_costs(setting, min(options.repeat, 3))
    wall, processor = ratio(costs[AUGMENT], costs[RESIDENT])
    what = f"augmentation, {setting}, on the CPU"
    return Row("augmentation", what, "the whole step", "<=", 0.1, "%", wall, processor)


def _train(name: str, data: str, options: Options) -> Row:
    from train_loop import LOOP, RESIDENT

    setting = _setting(data, options)
    costs = _loop_costs(setting, min(options.repeat, 3))
    wall, processor = ratio(costs[RESIDENT], costs[LOOP])
    words = {"clips": "clips of a store", "pairs": "pairs made by one worker beside it"}[data]
    what = f"training loop by speed, {setting}, {words}"
    against = "the same steps on one resident batch"
    return Row(name, what, against, ">=", 0.95, "x", wall, processor)


@lru_cache
def _loop_costs(setting: Setting, repeat: int) -> dict[str, list[Cost]]:
    """Two rows come of one measurement."""
    from train_loop import loop_costs

    return loop_costs(setting, repeat)


def _setting(data: str, options: Options) -> Setting:
    from train_loop import Setting

    if options.quick:
        return Setting(data, "test_vit", size_px=64, frames=1, batch=2, steps=2)
    if data == "pairs":
        return Setting(data, frames=1, batch=24, steps=6)
    return Setting(data, steps=6)


def prepare_row(options: Options) -> Row:
    """Cutting clips against decoding alone, both with two workers."""
    from prepare import DECODE, PREPARE, prepare_costs

    count, size_px = (2, (160, 120)) if options.quick else (8, (1280, 720))
    data = material.dataset(options.media / f"dataset_{size_px[1]}p", count, size_px)
    costs = prepare_costs(data, workers=2, repeat=min(options.repeat, 2))
    wall, processor = ratio(costs[DECODE], costs[PREPARE])
    what = f"prepare by speed, 2 workers, {count} files of {size_px[1]}p 4 s"
    return Row("prepare", what, "decoding with 2 workers", ">=", 0.6, "x", wall, processor)


ROWS: dict[str, Callable[[Options], Row]] = {
    "detect": detect_row,
    "detect-lite0": detect_lite0_row,
    "rival": rival_row,
    "start": start_row,
    "memory-4k": memory_4k_row,
    "memory-hour": memory_hour_row,
    "hour": hour_row,
    "train": train_row,
    "train-pairs": train_pairs_row,
    "augmentation": augmentation_row,
    "prepare": prepare_row,
}

_AMP = "training memory at batch 8, mixed precision"
GPU_ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row("gpu-use", "GPU in use in the training loop", "all of the time", ">=", 0.9, "%"),
        Row(
            "gpu-loop",
            "training loop on a GPU by speed",
            "the same steps on one resident batch",
            ">=",
            0.95,
        ),
        Row(
            "gpu-train",
            "240 videos x 16 frames x 160 px x 25 epochs, ResNet50-BiLSTM-attention",
            "1-1.5 h claimed on a T4",
            "<=",
            180,
            "s",
        ),
        Row(
            "gpu-infer",
            "8 clips x 16 frames x 160 px, same model, host to logits",
            "5-10 ms a batch claimed on a T4",
            "<=",
            4,
            "ms",
        ),
        Row("gpu-memory", _AMP, "fp32", "<=", 0.6),
        Row("gpu-memory-gb", _AMP, "4-6 GB claimed", "<=", 4, "GB"),
        Row("gpu-prepare", "prepare on the GPU by speed, 1080p", "all CPU cores", ">=", 3),
    )
}
_IN_GPU_FILE = {
    "gpu-use": ("GPU utilisation", "%"),
    "gpu-loop": ("training loop", "of its speed"),
    "gpu-train": ("240 videos", "s"),
    "gpu-infer": ("inference of", "ms"),
    "gpu-memory": ("AMP training memory", "of it"),
    "gpu-memory-gb": ("AMP training memory", "GB"),
    "gpu-prepare": ("GPU prepare", "times as fast"),
}
"""How benchmarks/gpu.py calls each row: the beginning of its words, and its unit."""


def gpu_row(name: str, file: Path | None) -> Row:
    """A row as the GPU's results tell it."""
    row, (begins, unit) = GPU_ROWS[name], _IN_GPU_FILE[name]
    if file is None:
        return replace(row, note="not measured: no GPU")
    found = json.loads(file.read_text(encoding="utf-8"))
    for one in found["rows"]:
        if one["what"].startswith(begins) and one["unit"] == unit and one["value"] is not None:
            value = one["value"] / (100 if unit == "%" else 1)
            device = found["machine"]["device"]
            return replace(row, wall=Figure(value, value, value), note=device)
    return replace(row, note=f"not measured: not in {file.name}")


# ------------------------------------------------------------------ Markdown


def line(row: Row) -> str:
    """The row as a line of the table."""
    met = {None: "", True: "yes", False: "**no**"}[row.met]
    measured = "; ".join(part for part in (_words(row.wall, row.unit), row.note) if part)
    cells = (
        row.name,
        row.what,
        row.against,
        f"{'at most' if row.sense == '<=' else 'at least'} {_number(row.target, row.unit, 0)}",
        measured,
        _words(row.processor, row.unit),
        met,
        date.today().isoformat() if row.wall else "",
    )
    return f"| {' | '.join(cells)} |"


def with_lines(document: str, lines: dict[str, str]) -> str:
    """The document with these lines of its table, and the facts above it, brought up to date.

    Raises:
        ValueError: the document lacks the marks.
    """
    before, begin, rest = document.partition(BEGIN)
    table, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document must hold {BEGIN} and {END}")
    kept = {text.split("|")[1].strip(): text for text in table.splitlines() if text[:2] == "| "}
    empty = "| {} |  |  |  | not measured yet |  |  |  |"
    rows = [lines.get(name) or kept.get(name) or empty.format(name) for name in (*ROWS, *GPU_ROWS)]
    return f"{before}{BEGIN}\n{facts()}\n\n{HEAD}\n" + "\n".join(rows) + f"\n{END}{after}"


def facts() -> str:
    """On what and with what was measured."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = os.getloadavg()[1]
    return (
        f"{date.today().isoformat()}: {len(os.sched_getaffinity(0))} cores of {_processor()}, load "
        f"{load:.0f}; Python {platform.python_version()}, {packages}."
    )


def _processor() -> str:
    from unmask.training.environment import describe_environment

    return str(describe_environment()["processor"])


def _words(figure: Figure | None, unit: str) -> str:
    if figure is None:
        return ""
    value, low, high = (_number(part, unit) for part in (figure.value, figure.low, figure.high))
    return value if low == high else f"{value} ({low} to {high})"


def _number(value: float, unit: str, digits: int = 2) -> str:
    if unit == "%":
        return f"{100 * value:.{max(digits - 1, 0)}f} %"
    number = f"{value:.{digits}f}" if digits else f"{value:g}"
    return f"{number}x" if unit == "x" else f"{number} {unit}"


if __name__ == "__main__":
    main()
