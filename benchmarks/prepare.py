"""How near does `unmask prepare` with two workers come to decoding alone with two workers?

    python benchmarks/prepare.py [--data DIR] [--videos 8] [--workers 2] [--rounds 2]

Without --data a folder of 720p portraits of 4 seconds is made. Decode-only means: the same worker
processes take the same files and decode every picture of them, nothing converted. Starting the
workers counts on both sides; their processor time is not told apart, so only walls are printed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av

from unmask.config import ClipSpec
from unmask.jobs.workers import run_tasks
from unmask.verbs.prepare import prepare

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from make_media import portrait_frames, write_video


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="with real/ and fake/")
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or make_dataset(Path(folder) / "data", options.videos)
        files = sorted(str(path) for path in data.rglob("*.mp4"))
        walls: dict[str, list[float]] = {"decode only": [], "prepare": []}
        for _ in range(options.rounds):
            walls["decode only"].append(wall(lambda: decode_all(files, options.workers)))
            store = Path(folder) / "store"
            walls["prepare"].append(
                wall(lambda to=store: prepare(data, to, clip=ClipSpec(), workers=options.workers))
            )
            shutil.rmtree(store)
    least = {name: min(values) for name, values in walls.items()}
    print(f"{len(files)} files, {options.workers} workers, least of {options.rounds}")
    for name, seconds in least.items():
        print(f"{name:12s} {seconds:7.2f} s  {len(files) / seconds:6.2f} files/s")
    print(f"prepare / decode only, by speed: {least['decode only'] / least['prepare']:.2f}")


def decode_all(files: list[str], workers: int) -> None:
    """Decode every picture of every file."""
    outcomes = run_tasks(decode, files, workers=workers, timeout_seconds=600)
    failed = [outcome for outcome in outcomes if outcome.status != "done"]
    if failed:
        raise RuntimeError(f"could not decode {failed[0].task}")


def decode(file: str) -> int:
    """In a worker: every picture, one thread."""
    with av.open(file) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def make_dataset(folder: Path, videos: int) -> Path:
    """``real`` and ``fake`` portraits; the label plays no part here."""
    for number in range(videos):
        path = folder / ("fake" if number % 2 else "real") / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, portrait_frames(100, 1280, 720, seed=number))
    return folder


def wall(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
