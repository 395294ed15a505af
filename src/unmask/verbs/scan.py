"""The verb `scan`: many files in, a verdict on each, tables and a page out.

list -> hash what may be a copy -> (workers: detect) -> journal -> results. Run again to go on: what
is judged stays judged, whatever ended the last run.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

import unmask
from unmask import weights
from unmask.config import FRAMES_LOOKED_AT
from unmask.errors import ConfigError, ModelError, UnmaskError
from unmask.faces import DEFAULT as DEFAULT_FACES
from unmask.faces import load_detector
from unmask.faces.detect import FACE_DETECTORS
from unmask.files import atomic_path, path_text, sha256_file, sweep
from unmask.inference import Model, load_model
from unmask.jobs import (
    Found,
    Inputs,
    Journal,
    Outcome,
    TaskLimits,
    find_inputs,
    run_on_ray,
    run_tasks,
)
from unmask.machine import usable_cores
from unmask.progress import Progress
from unmask.report.json import as_dict
from unmask.report.scan_files import FILES, RESULTS_FILE, result_line, write_results
from unmask.report.scan_page import thumbnail_path
from unmask.report.scan_report import ScanReport
from unmask.report.thumbnail import Onlooker
from unmask.types import Verdict, Warn
from unmask.verbs.detect import TASK, bundled_model, detect_many

TIMEOUT_SECONDS = 600.0
MEMORY_LIMIT_MIB = 4096

_HASHED_AT_ONCE = 256
_Tree = dict[str, Any]


@dataclass(frozen=True)
class _Work:
    """What every worker is told."""

    model: str
    weights_sha256: str
    faces: str
    frames: int
    thumbnails: str | None
    """The results folder, where thumbnails are wanted."""
    trust_anchors: str | None


@dataclass(frozen=True)
class _Task:
    path: str
    work: _Work


def scan(
    paths: Iterable[str | Path],
    out: str | Path,
    *,
    list_file: str | Path | None = None,
    model: str | Path | None = None,
    faces: str = DEFAULT_FACES,
    frames: int = FRAMES_LOOKED_AT,
    workers: int | None = None,
    engine: Literal["local", "ray"] = "local",
    timeout_seconds: float = TIMEOUT_SECONDS,
    memory_limit_mib: int = MEMORY_LIMIT_MIB,
    cpu_seconds: float | None = None,
    thumbnails: bool = True,
    trust_anchors: str | None = None,
    retry_failed: bool = False,
    show_progress: bool = True,
) -> ScanReport:
    """Judge many files; ended at any moment and run again, it goes on where it was.

    Workers are spawned processes: a script that calls this needs the usual
    ``if __name__ == "__main__":`` guard.

    Args:
        paths: folders, files and patterns (see `unmask.jobs.find_inputs`).
        out: the results folder; one that was begun is continued.
        list_file: a file of further paths; ``-`` reads standard input.
        model: a bundled model's name or an exported ``.onnx`` file; the bundled one by default.
        faces: name of a face detector.
        frames: looked at in each video.
        workers: processes, with one thread each; as many as there are cores by default, with
            ``ray`` those of the cluster.
        engine: ``local`` processes, or a ``ray`` cluster that sees the same paths.
        timeout_seconds: a file that takes longer is given up.
        memory_limit_mib: memory of a worker; a file that wants more is given up.
        cpu_seconds: processor time of a file; ``timeout_seconds`` by default.
        thumbnails: whether a small frame of every file is kept for the page.
        trust_anchors: PEM certificates by which the signers of Content Credentials are trusted.
        retry_failed: judge files that failed once more, e.g. with other limits.
        show_progress: a bar in a terminal, lines in a log.

    Raises:
        ScanError: nothing to scan; ``out`` is in use, foreign, or made with other settings.
        ModelError: no model, or one that cannot be used.
        MissingExtraError: ``engine="ray"`` without Ray.
    """
    began = time.monotonic()
    if engine not in ("local", "ray"):
        raise ValueError(f"engine must be local or ray, got {engine!r}")
    if frames < 1 or (workers is not None and workers < 1):
        raise ValueError(f"frames and workers must be at least 1, got {frames} and {workers}")
    out = Path(os.path.abspath(out))  # noqa: PTH100 - workers elsewhere need the same path
    inputs = find_inputs(paths, list_file=list_file, leave_out=out)
    work, about, limitations = _prepare_work(
        model, faces, frames, out if thumbnails else None, trust_anchors
    )
    settings = {
        "model": f"{about['name']} {about['version']} ({about['weights_sha256'][:12]})",
        "faces": faces,
        "frames": frames,
        "trust_anchors": trust_anchors and hashlib.sha256(trust_anchors.encode()).hexdigest()[:12],
        "tool": f"unmask {unmask.__version__}",
    }
    limits = TaskLimits(timeout_seconds, memory_limit_mib, cpu_seconds or timeout_seconds)
    crew = workers or (usable_cores() if engine == "local" else 2**16)

    def outcomes(files: Sequence[Found]) -> Generator[Outcome[_Task], None, None]:
        run = run_tasks if engine == "local" else run_on_ray
        tasks = (_Task(found.path, work) for found in files)
        return run(_judge, tasks, workers=crew, **asdict(limits))

    with Journal(out, settings) as journal:
        sweep(out, *FILES)
        for folder in (out / "thumbnails").glob("*"):
            sweep(folder, "*.jpg")
        state = _Scan(journal, inputs, about, limits, show_progress)
        if retry_failed:
            state.forget_failed()
        state.hash_lookalikes(usable_cores())
        return state.finish(state.judge(outcomes), limitations, began)


def _prepare_work(
    model: str | Path | None,
    faces: str,
    frames: int,
    thumbnails: Path | None,
    trust_anchors: str | None,
) -> tuple[_Work, dict[str, Any], tuple[str, ...]]:
    """What workers are told, what verdicts say of the model, and its limitations.

    The model is opened once here, so that a wrong one is told before anything starts.
    """
    if faces not in FACE_DETECTORS:
        raise ConfigError(f"No face detector '{faces}'; known: {', '.join(FACE_DETECTORS)}.")
    name = _model_for_workers(model or bundled_model())
    network = load_model(name, threads=1)
    about = {
        "name": network.name,
        "version": network.version,
        "weights_sha256": network.sha256,
        "task": TASK,
    }
    folder = None if thumbnails is None else str(thumbnails)
    work = _Work(name, network.sha256, faces, frames, folder, trust_anchors)
    return work, about, tuple(network.metadata.get("limitations", ()))


def _judge(task: _Task) -> _Tree:
    """In a worker: the verdict on one file, as JSON has it, and its thumbnail."""
    network, finder = _networks(task.work)
    finder.forget()
    path = Path(task.path)
    verdicts = detect_many(
        [path],
        model=network,
        faces=finder,
        frames=task.work.frames,
        trust_anchors=task.work.trust_anchors,
        threads=1,
    )
    tree: _Tree = as_dict(next(verdicts))
    if tree["input"]["sha256"] is None and path.is_symlink() and path.is_file():
        # `detect` leaves links alone; here one is as good as the file behind it.
        try:
            facts = {"size_bytes": path.stat().st_size, "sha256": sha256_file(path)}
        except OSError:
            facts = {}
        tree["input"] |= facts
    sha256 = tree["input"]["sha256"]
    if task.work.thumbnails and sha256 and tree["status"] == "completed":
        finder.write_thumbnail(tree, thumbnail_path(Path(task.work.thumbnails), sha256))
    return tree


@lru_cache(maxsize=1)
def _networks(work: _Work) -> tuple[Model, Onlooker]:
    network = load_model(work.model, threads=1)
    if network.sha256 != work.weights_sha256:
        raise ModelError(
            f"The model {work.model} is not the one that the scan began with.",
            code="model_altered",
            hint="Leave the file alone while a scan runs; every node needs the same.",
        )
    return network, Onlooker(load_detector(work.faces, threads=1))


class _Scan:
    """A scan under way: the files, the journal, and what one makes of the other."""

    def __init__(
        self,
        journal: Journal,
        inputs: Inputs,
        about: dict[str, Any],
        limits: TaskLimits,
        show_progress: bool,
    ) -> None:
        self._journal, self._inputs, self._about = journal, inputs, about
        self._limits, self._shows = limits, show_progress
        self._forgotten: set[int] = set()

    def forget_failed(self) -> None:
        """Let files be judged again whose verdict is that they failed."""
        for found in self._inputs.files:
            place = self._journal.place(found)
            if place is not None and self._journal.read(place)["status"] == "failed":
                self._forgotten.add(place)

    def hash_lookalikes(self, threads: int) -> None:
        """Learn the content of files that may be copies: those that share their size with others.

        The rest is hashed when it is judged.
        """
        sizes = Counter(found.size_bytes for found in self._inputs.files if found.regular)
        met = self._journal.sizes_bytes
        todo = [
            found
            for found in self._inputs.files
            if found.regular
            and self._journal.content(found) is None
            and (sizes[found.size_bytes] > 1 or found.size_bytes in met)
        ]
        if not todo:
            return
        with (
            ThreadPoolExecutor(threads) as pool,
            Progress("hash", len(todo), "files", shown=self._shows) as progress,
        ):
            for start in range(0, len(todo), _HASHED_AT_ONCE):
                part = todo[start : start + _HASHED_AT_ONCE]
                for found, sha256 in zip(part, pool.map(_sha256, part), strict=True):
                    if sha256 is not None:
                        self._journal.note_content(found, sha256)
                    progress.advance()

    def judge(
        self, outcomes: Callable[[Sequence[Found]], Generator[Outcome[_Task], None, None]]
    ) -> int:
        """Judge what has no verdict yet; returns how many files that were."""
        tried: set[str] = set()
        with self._live() as live:
            # More than one round only where a file vanished that stood for its copies.
            while todo := [found for found in self._todo() if found.path not in tried]:
                tried.update(found.path for found in todo)
                self._judge_round(todo, outcomes, live)
        return len(tried)

    def finish(self, judged: int, limitations: Sequence[str], began: float) -> ScanReport:
        """Write the results, each read from the journal when it is wanted."""
        groups = self._groups()
        duplicates, skipped = len(self._inputs.files) - len(groups), len(self._inputs.skipped)
        tally = write_results(
            self._journal.folder,
            len(groups),
            lambda place: self._result(groups[place]),
            duplicates=duplicates,
            skipped=skipped,
            model=self._about,
            limitations=limitations,
        )
        return ScanReport(
            out=self._journal.folder,
            paths=len(self._inputs.files),
            skipped=skipped,
            files=len(groups),
            duplicates=duplicates,
            judged=judged,
            failed=tally.failed,
            labels=tally.labels,
            reasons=tally.reasons,
            seconds=time.monotonic() - began,
            written=tally.written,
        )

    def _todo(self) -> Iterator[Found]:
        """The first of every content that has no verdict."""
        claimed: set[str] = set()
        for found in self._inputs.files:
            place = self._journal.place(found)
            if place is not None and place not in self._forgotten:
                continue
            content = self._journal.content(found) or found.path
            if content not in claimed:
                claimed.add(content)
                yield found

    def _judge_round(
        self,
        todo: Sequence[Found],
        outcomes: Callable[[Sequence[Found]], Generator[Outcome[_Task], None, None]],
        live: IO[bytes],
    ) -> None:
        copies = {group[0].path: group for group in self._groups()}
        listed = {found.path: found for found in todo}

        def take_in(found: Found, verdict: _Tree) -> None:
            self._journal.note_verdict(found, verdict)
            live.write(result_line(_with_file(verdict, copies.get(found.path, [found]))))
            live.flush()

        for found in todo:
            if found.problem:
                take_in(found, self._failed(found, "scan_folder", found.problem))
        files = [found for found in todo if not found.problem]
        if not files:
            return
        with (
            closing(outcomes(files)) as stream,
            Progress("scan", len(files), "files", shown=self._shows) as progress,
        ):
            for outcome in stream:
                found = listed[outcome.task.path]
                take_in(found, self._verdict(found, outcome))
                progress.advance()

    def _verdict(self, found: Found, outcome: Outcome[_Task]) -> _Tree:
        status, value, limits = outcome.status, outcome.value, self._limits
        if status == "done":
            tree: _Tree = value
            return tree
        if status == "error":
            if isinstance(value, UnmaskError):
                raise value  # not the file's fault: the model is gone, for one
            return self._failed(found, "scan_internal", f"{type(value).__name__}: {value}")
        code, message = {
            "timeout": ("scan_timeout", f"Given up after {limits.timeout_seconds:g} s."),
            "memory": (
                "scan_memory",
                f"Given up: it wants over {limits.memory_mib} MiB of memory.",
            ),
            "cpu": ("scan_cpu", f"Given up after {limits.cpu_seconds:g} s of processor time."),
            "died": ("scan_crashed", f"The worker that read it died (exit code {value})."),
        }[status]
        return self._failed(found, code, message)

    def _failed(self, found: Found, code: str, message: str) -> _Tree:
        """A verdict of the same shape as `detect`'s for a file that never got through it."""
        content = self._journal.content(found)
        facts: _Tree = {"name": path_text(Path(found.path).name)}
        if found.regular:
            facts |= {
                "size_bytes": found.size_bytes,
                "sha256": content.split()[0] if content else None,
            }
        verdict = Verdict(
            status="failed",
            input=facts,
            label="inconclusive",
            score=None,
            text=f"Not judged: {message}",
            reasons=(Warn(code, message),),
            model=self._about,
            runtime={"tool_version": unmask.__version__},
            error={"code": code, "message": message, "hint": _HINTS.get(code, "")},
        )
        return as_dict(verdict)

    def _live(self) -> IO[bytes]:
        """``results.jsonl`` while the scan runs: what is known, then every verdict as it comes."""
        file = self._journal.folder / RESULTS_FILE
        with atomic_path(file) as temporary, temporary.open("wb") as known:
            for group in self._groups():
                place = self._journal.place(group[0])
                if place is not None and place not in self._forgotten:
                    known.write(result_line(self._result(group)))
        return file.open("ab")

    def _groups(self) -> list[list[Found]]:
        """Files by content, as far as that is known; both levels in the order of their paths."""
        groups: dict[str, list[Found]] = {}
        for found in self._inputs.files:
            groups.setdefault(self._journal.content(found) or found.path, []).append(found)
        return list(groups.values())

    def _result(self, group: Sequence[Found]) -> _Tree:
        place = self._journal.place(group[0])
        if place is None:
            raise RuntimeError(f"{group[0].path} has no verdict")
        return _with_file(self._journal.read(place), group)


_HINTS = {
    "scan_timeout": "Raise --timeout-seconds and add --retry-failed.",
    "scan_memory": "Raise --memory-limit-mib and add --retry-failed.",
    "scan_cpu": "Raise --timeout-seconds and add --retry-failed.",
    "scan_crashed": "Try the file alone with 'unmask detect', and keep it away from other readers.",
    "scan_internal": "This is a fault of unmask; please report it.",
}


def _with_file(verdict: _Tree, group: Sequence[Found]) -> _Tree:
    """A line of the results: the verdict, and the paths that it holds for."""
    first, *others = (
        {"path": path_text(found.path), "uri": Path(found.path).as_uri()} for found in group
    )
    head = {name: verdict[name] for name in ("schema_version", "status")}
    named = {"input": verdict["input"] | {"name": path_text(Path(group[0].path).name)}}
    return {**head, "file": {**first, "duplicates": others}, **verdict, **named}


def _sha256(found: Found) -> str | None:
    try:
        return sha256_file(Path(found.path))
    except OSError:  # judging it will say why
        return None


def _model_for_workers(model: str | Path) -> str:
    """A name that means the same wherever a worker starts."""
    path = Path(model).expanduser()
    named = str(model) in weights.names() or not path.exists()
    return str(model) if named else str(path.absolute())
