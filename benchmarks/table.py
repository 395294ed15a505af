"""Every row of docs/performance.md in one command: what was promised, its limit, what was measured.

    python benchmarks/table.py [--only ROW[,ROW] ...] [--quick] [--repeat 5]
        [--media DIR] [--gpu FILE] [--out docs/performance.md]

Each row is a ratio within one run: the limit or the rival runs in turn with what is measured. The
lines of the measured rows replace those between the two marks in the document; the others stay.
Media and untrained models are made into DIR (default bench_media) on the first call. `--quick`
measures the smallest size once, prints, and writes nothing. Rows that need a GPU are read from the
JSON file that `benchmarks/gpu.py --out FILE` writes.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import rows_detect
import rows_training
from measure import Figure, Row, wait_without_spinning
from options import Options
from page import inside, put
from rows_gpu import GPU_ROWS, gpu_row
from unmask.files import write_text

HEAD = (
    "| row | what | limit or rival | target | measured | processor | met | date |\n"
    "|---|---|---|---|---|---|---|---|"
)
PACKAGES = ("unmask", "numpy", "av", "opencv-python-headless", "onnxruntime", "torch", "timm")
ROWS: dict[str, Callable[[Options], Row]] = {
    "detect": rows_detect.detect_row,
    "detect-lite": rows_detect.detect_lite_row,
    "crops": rows_detect.crops_row,
    "rival": rows_detect.rival_row,
    "start": rows_detect.start_row,
    "memory-4k": rows_detect.memory_4k_row,
    "memory-hour": rows_detect.memory_hour_row,
    "hour": rows_detect.hour_row,
    "train": rows_training.train_row,
    "train-pairs": rows_training.train_pairs_row,
    "augmentation": rows_training.augmentation_row,
    "prepare": rows_training.prepare_row,
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    rows = f"of {', '.join([*ROWS, *GPU_ROWS])}"
    parser.add_argument("--only", action="append", default=[], help=rows)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--media", type=Path, default=Path("bench_media"))
    parser.add_argument("--gpu", type=Path, help="what benchmarks/gpu.py wrote")
    parser.add_argument("--out", type=Path, default=Path("docs/performance.md"))
    given = parser.parse_args()
    names = ",".join(given.only).split(",") if given.only else [*ROWS, *GPU_ROWS]
    unknown = sorted(set(names) - {*ROWS, *GPU_ROWS})
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; known: {', '.join([*ROWS, *GPU_ROWS])}")
    options = Options(given.media, 1 if given.quick else given.repeat, given.quick)
    wait_without_spinning()
    lines: dict[str, str] = {}
    page = "" if given.quick else given.out.read_text(encoding="utf-8")
    measured = _measured(inside(page, "table")) if page else set()
    if given.quick:
        print("--quick: the smallest size, once; the figures say nothing", file=sys.stderr)
    print(HEAD)
    for name in names:
        row = ROWS[name](options) if name in ROWS else gpu_row(name, given.gpu)
        print(line(row), flush=True)
        if row.wall is not None or name not in measured:
            lines[name] = line(row)  # what was measured before outlasts what cannot be, here
    if page:
        write_text(given.out, with_lines(page, lines))


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
    table = inside(document, "table").splitlines()
    kept = {text.split("|")[1].strip(): text for text in table if text[:2] == "| "}
    empty = "| {} |  |  |  | not measured yet |  |  |  |"
    rows = [lines.get(name) or kept.get(name) or empty.format(name) for name in (*ROWS, *GPU_ROWS)]
    return put(document, "table", "\n".join([facts(), "", HEAD, *rows]))


def _measured(table: str) -> set[str]:
    """Names of the rows that hold a figure."""
    rows = [text.split("|") for text in table.splitlines() if text[:2] == "| "]
    return {row[1].strip() for row in rows if "not measured" not in row[5]}


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
