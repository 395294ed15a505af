"""Does a scan that is killed again and again end as an undisturbed one, how fast, in what memory?

    python benchmarks/scan.py kills CLIPS [ODD] [--files 500] [--kills 10]
    python benchmarks/scan.py speed CLIPS [--files 24]

CLIPS and ODD are folders of videos; a folder of ``--files`` paths is made of them: the files,
copies with a changed tail (which decode alike), copies with flipped bytes, cut off copies, exact
copies, and things that are no files. A toy model judges, so that the time is that of reading,
decoding and finding faces, unless ``--model`` names another. `kills` prints the memory of the
undisturbed scan by its progress, and whether the results are equal line by line; `speed` the ratio
of two workers to one, by the clock and by processor time: where others use the machine, two workers
get no two cores, and what counts is that a file costs them no more.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from make_model import write_blueness


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("question", choices=["kills", "speed"])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--files", type=int)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", help="a bundled model's name or an .onnx file")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-kib", type=int, default=2**20, help="leave larger videos out")
    options = parser.parse_args()
    options.files = options.files or {"kills": 500, "speed": 24}[options.question]
    sources = [
        file for file in videos(options.folders) if file.stat().st_size <= options.most_kib * 2**10
    ]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        model = options.model or write_blueness(work / "toy.onnx")
        command = [sys.executable, "-m", "unmask", "scan", "in", "--model", str(model)]
        command += ["--frames", str(options.frames)]
        if options.question == "kills":
            make_folder(work / "in", sources, options.files, options.seed)
            kills(work, command, options)
        else:
            plain_folder(work / "in", sources, options.files)
            speed(work, command, options)


def plain_folder(folder: Path, sources: list[Path], count: int) -> None:
    """Distinct videos that all decode."""
    folder.mkdir()
    for number, source in zip(range(count), cycle(sources), strict=False):
        target = folder / f"{number:04d}{source.suffix}"
        target.write_bytes(with_tail(source.read_bytes(), number))


def make_folder(folder: Path, sources: list[Path], count: int, seed: int) -> None:
    """``count`` paths: see above."""
    draw = random.Random(seed)
    folder.mkdir()
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("This is no video.")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "dangling.mp4").symlink_to("nowhere")
    (folder / "circle.mp4").symlink_to("circle.mp4")
    (folder / os.fsdecode(b"odd\xff\nname.mp4")).write_bytes(b"\0\0\0\x18ftyp")
    made = 6
    for number, source in enumerate(cycle(sources)):
        if made >= count:
            return
        content = source.read_bytes()
        kind = "file" if number < len(sources) else draw.choice(
            ["tail"] * 6 + ["flipped", "cut", "copy"]
        )  # fmt: skip
        if kind == "tail":
            content = with_tail(content, number)
        elif kind == "flipped":
            bytes_ = bytearray(content)
            for _ in range(30):
                bytes_[draw.randrange(len(bytes_))] ^= 255
            content = bytes(bytes_)
        elif kind == "cut":
            content = content[: draw.randrange(1, len(content))]
        (folder / f"{number:04d}-{kind}-{source.name}").write_bytes(content)
        made += 1


def with_tail(content: bytes, number: int) -> bytes:
    """The same pictures under another hash: a ``free`` box, which readers skip."""
    return content + struct.pack(">I4sI", 12, b"free", number)


def videos(folders: list[Path]) -> list[Path]:
    """All files under the folders, in one order."""
    return sorted(path for folder in folders for path in folder.rglob("*.*") if path.is_file()
                  and path.suffix not in (".csv", ".txt", ".md"))  # fmt: skip


def kills(work: Path, command: list[str], options: argparse.Namespace) -> None:
    """One undisturbed scan, and one that is killed."""
    command += ["--workers", str(options.workers), "--out"]
    curve = Curve(work / "whole")
    whole_seconds = watch([*command, "whole"], work, curve.look)
    curve.print()
    draw, killed = random.Random(options.seed), 0
    while killed < options.kills:
        delay = draw.uniform(0.2, whole_seconds / options.kills)
        with (work / "said").open("w+b") as said:
            process = subprocess.Popen(
                [*command, "killed"], cwd=work, stdout=subprocess.DEVNULL, stderr=said
            )
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                continue
            said.seek(0)
            last = said.read().decode(errors="replace").splitlines()[-3:]
        print(f"ended by itself with {process.returncode} after {killed} kills: {last}")
        if process.returncode in (0, 3):  # nothing is left to do
            break
    watch([*command, "killed"], work, lambda _: None)
    whole, again = results(work / "whole"), results(work / "killed")
    rows = (json.loads(line) for line in (work / "killed" / "journal.jsonl").open("rb"))
    judged = Counter(row["path"] for row in rows if "verdict" in row)
    shutil.rmtree(work / "killed")
    reasons = Counter(result["error"]["code"] for result in whole if result["error"])
    print(f"undisturbed: {len(whole)} distinct files in {whole_seconds:.0f} s")
    print(f"  failed: {dict(reasons)}")
    print(f"killed {killed} times, then let end: {len(again)} distinct files")
    print(f"  paths twice in the results: {len(again) - len({paths(r)[0] for r in again})}")
    print(f"  judged more than once: {sum(count > 1 for count in judged.values())}")
    print(f"  equal line by line: {whole == again}")


def speed(work: Path, command: list[str], options: argparse.Namespace) -> None:
    """Rounds of one and of two workers in turn; the rate counts from a fifth of the files on."""
    rates: dict[int, list[float]] = {1: [], options.workers: []}
    costs: dict[int, list[float]] = {1: [], options.workers: []}
    for _ in range(options.rounds):
        for workers, found in rates.items():
            out = work / "speed"
            clock = Clock(out, options.files)
            before = processor_seconds()
            watch([*command, "--workers", str(workers), "--out", "speed"], work, clock.look, 0.02)
            first = options.files // 5
            seconds = clock.seconds(first)
            found.append((options.files - first) / seconds)
            costs[workers].append((processor_seconds() - before) / options.files)
            busy = sum(judging_seconds(out)[first:])
            shutil.rmtree(out)
            print(
                f"{workers} worker(s): {found[-1]:.2f} files/s, "
                f"judging {busy / workers / seconds:.0%} of the time, "
                f"{costs[workers][-1]:.3f} processor s a file",
                flush=True,
            )
    best = {workers: max(found) for workers, found in rates.items()}
    print(f"ratio of the best rounds: {best[options.workers] / best[1]:.2f}")
    dearer = min(costs[options.workers]) / min(costs[1])
    print(f"a file costs {dearer:.2f} times the processor time, the start of the workers included")


def watch(
    command: list[str], work: Path, look: Callable[[int], None], step_seconds: float = 0.5
) -> float:
    """Run a scan to its end; seconds."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None:
        look(process.pid)
        time.sleep(step_seconds)
    if process.returncode not in (0, 3):
        raise SystemExit(f"the scan ended with {process.returncode}")
    return time.monotonic() - began


def processor_seconds() -> float:
    """Of all processes that this one has started and that have ended, theirs included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Clock:
    """When each share of the files was judged."""

    def __init__(self, out: Path, files: int) -> None:
        self._journal, self._files = out / "journal.jsonl", files
        self._seen: list[tuple[float, int]] = []

    def look(self, _: int) -> None:
        """Count the verdicts."""
        if self._journal.exists():
            count = self._journal.read_bytes().count(b'"verdict": {"schema')
            self._seen.append((time.monotonic(), count))

    def seconds(self, first: int) -> float:
        """From the verdict on file number ``first`` to the last one."""
        began = next(t for t, n in self._seen if n >= first)
        return next(t for t, n in self._seen if n == self._files) - began


def judging_seconds(out: Path) -> list[float]:
    """Wall time that each file took its worker, in the order of completion."""
    rows = (json.loads(line) for line in (out / "journal.jsonl").open("rb"))
    return [row["verdict"]["runtime"]["seconds"] for row in rows if "verdict" in row]


class Curve:
    """Memory of a scan by its progress."""

    def __init__(self, out: Path) -> None:
        self._journal = out / "journal.jsonl"
        self._points: list[tuple[int, float, float]] = []

    def look(self, pid: int) -> None:
        """Note how far it is, and the resident memory of the scan and of its largest worker."""
        if not self._journal.exists():
            return
        count = self._journal.read_bytes().count(b'"verdict": {"schema')
        children = subprocess.run(
            ["ps", "--ppid", str(pid), "-o", "pid="], check=False, capture_output=True, text=True
        ).stdout.split()
        workers = max((resident_mib(int(child)) for child in children), default=0.0)
        self._points.append((count, resident_mib(pid), workers))

    def print(self) -> None:
        """Ten rows: the largest values of each tenth."""
        total = max(count for count, _, _ in self._points)
        print(f"{'files judged':>14s} {'scan MiB':>9s} {'largest worker MiB':>19s}")
        for tenth in range(10):
            low, high = total * tenth / 10, total * (tenth + 1) / 10
            part = [point for point in self._points if low < point[0] <= high]
            if part:
                print(
                    f"{high:14.0f} {max(p[1] for p in part):9.0f} {max(p[2] for p in part):19.0f}"
                )


def resident_mib(pid: int) -> float:
    """0 where the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmRSS")), 0.0)


def paths(result: dict[str, Any]) -> list[str]:
    """All paths that a result holds for."""
    return [result["file"]["path"], *(copy["path"] for copy in result["file"]["duplicates"])]


def results(out: Path) -> list[dict[str, Any]]:
    """Lines of the results without what a clock measured."""
    found = [json.loads(line) for line in (out / "results.jsonl").open("rb")]
    for result in found:
        runtime = result["runtime"]
        result["runtime"] = {name: runtime[name] for name in runtime if "seconds" not in name}
    return found


if __name__ == "__main__":
    main()
