"""How near does `unmask prepare` with two workers come to decoding alone with two workers?

    python benchmarks/prepare.py [--data DIR] [--videos 8] [--workers 2] [--rounds 2]

Without --data a folder of 720p portraits of 4 seconds is made. Decode-only means: the same worker
processes take the same files and decode every picture of them, nothing converted. Starting the
workers counts on both sides.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import av

from material import dataset
from measure import Cost, least, ratio, rounds
from unmask.config import ClipSpec
from unmask.jobs.workers import run_tasks
from unmask.verbs.prepare import prepare

DECODE, PREPARE = "decode only", "prepare"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="with real/ and fake/")
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or dataset(Path(folder) / "data", options.videos)
        files = len(list(data.rglob("*.mp4")))
        costs = prepare_costs(data, options.workers, options.rounds)
    print(f"{files} files, {options.workers} workers, least of {options.rounds}")
    for name, found in costs.items():
        seconds = least(found).wall
        print(f"{name:12s} {seconds:7.2f} s  {files / seconds:6.2f} files/s")
    wall, _ = ratio(costs[DECODE], costs[PREPARE])
    print(f"prepare / decode only, by speed: {wall.value:.2f}")


def prepare_costs(data: Path, workers: int, repeat: int) -> dict[str, list[Cost]]:
    """`DECODE` and `PREPARE` of the same files."""
    files = sorted(str(path) for path in data.rglob("*.mp4"))

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            prepare(data, Path(folder) / "store", clip=ClipSpec(), workers=workers)

    return rounds({DECODE: lambda: _decode_all(files, workers), PREPARE: work}, repeat)


def _decode_all(files: list[str], workers: int) -> None:
    """Decode every picture of every file."""
    outcomes = run_tasks(_decode, files, workers=workers, timeout_seconds=600)
    failed = [outcome for outcome in outcomes if outcome.status != "done"]
    if failed:
        raise RuntimeError(f"could not decode {failed[0].task}")


def _decode(file: str) -> int:
    """In a worker: every picture, one thread."""
    with av.open(file) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


if __name__ == "__main__":
    main()
