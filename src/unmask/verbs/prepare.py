"""The verb `prepare`: a dataset folder in, a store of clips out.

manifest -> (worker processes: decode, faces, crops, clips) -> store. Runs again to resume: what is
done and unchanged is skipped. Every video ends up in the store's index, with clips or with the
reason why it has none.
"""

from __future__ import annotations

import dataclasses
import io
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from unmask.clips import StoreEntry, StoreWriter, VideoClips, clips_of, write_records
from unmask.clips.store import RECORDS_FILE
from unmask.config import ClipSpec, DataConfig
from unmask.data import Manifest, Source, as_file, find_twins, locate, read_manifest, sha256_of
from unmask.device.choice import Choice, Wanted, choose
from unmask.errors import ConfigError, DatasetError, MediaError, UnmaskError
from unmask.faces.detect import (
    DEFAULT,
    FACE_DETECTORS,
    FaceDetector,
    SmallPictureDetector,
    load_detector,
)
from unmask.files import csv_table, place_digest, printable, write_text
from unmask.jobs import Outcome, run_tasks
from unmask.progress import Progress
from unmask.types import Face, UInt8Array, VideoRecord, Warn

TIMEOUT_SECONDS = 600.0
MEMORY_MIB = 4096  # for one file
PROBLEMS_FILE = "problems.csv"
# Beginnings of codes that say nothing of the content: such files are tried again on the next run.
RETRIED = ("prepare_", "media_unreadable")


@dataclass(frozen=True)
class Problem:
    """A video that gave no clips."""

    path: str
    status: str
    """``no_face`` or ``failed``."""
    code: str
    message: str


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did."""

    store: Path
    videos: int
    """In the manifest."""
    worked: int
    """Read in this run."""
    skipped: int
    """In the store already, with or without clips."""
    ok: int
    """Gave clips, now or before; with the next two, all videos."""
    no_face: int
    """Could be read, but show no usable face."""
    failed: int
    """Could not be read."""
    clips: int
    """Of all videos."""
    seconds: float
    counts: Mapping[str, tuple[int, int]]
    """Authentic and manipulated videos with clips, by split."""
    notes: tuple[str, ...]
    """How the dataset was understood."""
    problems: tuple[Problem, ...]
    """Every video without clips; also in ``problems.csv``."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        tree = dataclasses.asdict(self)
        return tree | {"store": str(self.store), "seconds": round(self.seconds, 3)}

    def summary(self) -> str:
        """A few lines for people."""
        lines = [
            f"{self.store}: {self.clips} clips of {self.videos} videos in {self.seconds:.1f} s "
            f"({self.worked} read now, {self.skipped} were there)",
            *(
                f"  {split}: {real} authentic, {fake} manipulated"
                for split, (real, fake) in self.counts.items()
            ),
            *(f"  {note}" for note in self.notes),
        ]
        if self.problems:
            lines.append(
                f"  without clips: {self.no_face} show no usable face, {self.failed} failed "
                f"({self.store / 'problems.csv'})"
            )
            lines += [f"    {p.path}: [{p.code}] {p.message}" for p in self.problems[:5]]
        return "\n".join(map(printable, lines))


@dataclass(frozen=True)
class _Task:
    """What a worker is told."""

    record: VideoRecord
    source: Source
    spec: ClipSpec
    detector: str
    known_sha256: str
    """Of the content that the store's clips were cut from, where it has some."""
    choice: Choice


@dataclass(frozen=True)
class _Cut:
    """What a worker answers."""

    sha256: str
    clips: VideoClips | None = None
    """None where the file cannot be read, or is what the store knows already."""
    error: MediaError | None = None
    timings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """As in `unmask.clips.StoreEntry`."""


def store_name(data: Path, clip: ClipSpec) -> str:
    """A folder's name for the store of a dataset: another for each place and way of cutting, since
    two datasets may share the name of their folder."""
    return f"{data.resolve().name}-{place_digest(data)[:6]}-{clip.hash}"


def prepare(
    data: Path | str,
    out: Path | str,
    *,
    clip: ClipSpec | None = None,
    data_config: DataConfig | None = None,
    seed: int = 0,
    workers: int | None = None,
    detector: str = DEFAULT,
    decoder: Wanted | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    show_progress: bool = True,
) -> PrepareReport:
    """Cut every video of a dataset into clips of faces.

    Worker processes are spawned: a script that calls this needs the usual
    ``if __name__ == "__main__":`` guard.

    Args:
        data: a dataset folder (docs/data.md).
        out: the store's folder; one that was begun is continued.
        clip: how clips are cut.
        data_config: splits and limits.
        seed: of splits that the data does not give.
        workers: processes; None: ``data_config.workers``; 0 works in this process, unprotected
            against crashing decoders.
        detector: name of a face detector.
        decoder: where videos are decoded; None: ``data_config.decoder``.
        timeout_seconds: a video that takes longer is given up.
        show_progress: a bar in a terminal, lines in a log.

    Raises:
        DatasetError: the folder is no dataset.
        StoreError: ``out`` is locked, damaged or made with other settings.
        ModelError: the face detector's weights are missing or altered.
        RunError: ``run_decoder``: the GPU is to decode, and there is none.
    """
    began = time.monotonic()
    data, out = Path(data), Path(out)
    clip, data_config = clip or ClipSpec(), data_config or DataConfig()
    if detector not in FACE_DETECTORS:
        raise ConfigError(f"No face detector '{detector}'; known: {', '.join(FACE_DETECTORS)}.")
    choice = choose(decoder or data_config.decoder)
    workers = data_config.workers if workers is None else workers
    manifest = read_manifest(data, data_config, seed)
    with StoreWriter(out, clip) as writer:
        sources = locate(data, manifest.records)
        todo = _todo(manifest, sources, writer.entries)
        write_records(out / RECORDS_FILE, _with_hashes(manifest, writer.entries))
        tasks = []
        for record in todo:
            if record.path not in sources:
                _note_failure(writer, record, "media_not_found", f"There is no {record.path}.")
                continue
            known, source = _known_sha256(writer.entries.get(record.path)), sources[record.path]
            tasks.append(_Task(record, source, clip, detector, known, choice))
        outcomes = run_tasks(
            _cut,
            tasks,
            workers=workers,
            timeout_seconds=timeout_seconds,
            memory_mib=MEMORY_MIB if choice.decoder == "cpu" else None,  # CUDA takes its own
        )
        with (
            closing(outcomes),
            Progress("prepare", len(tasks), "videos", shown=show_progress) as progress,
        ):
            for outcome in outcomes:
                _take_in(writer, outcome, timeout_seconds)
                progress.advance()
        writer.commit()
        manifest = _with_twins_together(manifest, writer.entries, data_config, seed)
        records = _with_hashes(manifest, writer.entries)
        write_records(out / RECORDS_FILE, records)
        report = _report(manifest, writer, todo, choice, time.monotonic() - began)
    _write_problems(out / PROBLEMS_FILE, report.problems)
    return report


def _todo(
    manifest: Manifest, sources: Mapping[str, Source], entries: Mapping[str, StoreEntry]
) -> list[VideoRecord]:
    """Records that the store lacks, whose file was replaced, or whose work failed."""
    todo = []
    for record in manifest.records:
        entry, source = entries.get(record.path), sources.get(record.path)
        known = entry is not None and not entry.code.startswith(RETRIED)
        stamp = (source.size_bytes, source.mtime_ns) if source else (0, 0)
        if not known or entry is None or (entry.size_bytes, entry.mtime_ns) != stamp:
            todo.append(record)
    return todo


def _known_sha256(entry: StoreEntry | None) -> str:
    return "" if entry is None or entry.code.startswith(RETRIED) else entry.record.sha256


def _cut(task: _Task) -> _Cut:
    """In a worker: hash and cut one file."""
    sha256 = ""
    try:
        sha256 = sha256_of(task.source)
        if sha256 == task.known_sha256:
            return _Cut(sha256)
        with as_file(task.source) as path:
            finder = _Timed(_detector(task.detector, task.choice.decoder == "cuda"))
            began = time.perf_counter()
            clips = _clips(path, task, finder)
            rest = time.perf_counter() - began - finder.seconds
            timings = {"decode_seconds": rest, "faces_seconds": finder.seconds}
            return _Cut(
                sha256, clips, timings={name: round(part, 4) for name, part in timings.items()}
            )
    except MediaError as error:
        return _Cut(sha256, error=error)


def _clips(path: Path, task: _Task, detector: FaceDetector) -> VideoClips:
    if task.choice.decoder != "cuda":
        return clips_of(path, task.spec, detector, threads=1)
    from unmask.device.walk import clips_of as clips_of_on_gpu  # needs torch

    least = task.choice.least_megapixels
    return clips_of_on_gpu(path, task.spec, detector, least_megapixels=least)


@lru_cache(maxsize=1)
def _detector(name: str, on_gpu: bool) -> FaceDetector:
    return load_detector(name, threads=1, on_gpu=on_gpu)


class _Timed:
    """A face detector with a stop-watch."""

    def __init__(self, inner: FaceDetector) -> None:
        self.name, self.seconds, self._inner = inner.name, 0.0, inner
        if isinstance(inner, SmallPictureDetector):  # stay one, for pictures that lie on a GPU
            self.find = partial(self._timed, inner.find)

    def __call__(self, image: UInt8Array) -> list[Face]:
        return self._timed(self._inner, image)

    def _timed(self, find: Callable[..., list[Face]], *picture: Any) -> list[Face]:
        began = time.perf_counter()
        try:
            return find(*picture)
        finally:
            self.seconds += time.perf_counter() - began


def _take_in(writer: StoreWriter, outcome: Outcome[_Task], timeout_seconds: float) -> None:
    """Put what became of one file into the store."""
    task = outcome.task
    if outcome.status == "died":
        text = f"The worker was killed or crashed while reading it (exit code {outcome.value})."
        _note_failure(writer, task.record, "prepare_worker_died", text, task.source)
    elif outcome.status == "timeout":
        text = f"Given up after {timeout_seconds:g} s."
        _note_failure(writer, task.record, "prepare_timeout", text, task.source)
    elif outcome.status == "memory":
        text = f"Given up: it takes more than {MEMORY_MIB} MiB."
        _note_failure(writer, task.record, "prepare_memory", text, task.source)
    elif outcome.status == "error":
        if isinstance(outcome.value, UnmaskError):
            raise outcome.value  # not the file's fault: weights are missing, for one
        text = f"{type(outcome.value).__name__}: {outcome.value}"
        _note_failure(writer, task.record, "prepare_internal", text, task.source)
    else:
        _take_clips(writer, task, outcome.value)


def _take_clips(writer: StoreWriter, task: _Task, cut: _Cut) -> None:
    record = dataclasses.replace(task.record, sha256=cut.sha256)
    found, source = cut.clips, task.source
    if cut.error is not None:
        _note_failure(writer, record, cut.error.code, cut.error.message, source)
    elif found is None:
        writer.touch(record.path, size_bytes=source.size_bytes, mtime_ns=source.mtime_ns)
    else:
        code, text = ("", "") if found.clips else _why_none(found)
        entry = StoreEntry(
            record=record,
            status="ok" if found.clips else "no_face",
            code=code,
            message=text,
            media=_media_facts(found),
            coverage=_coverage_facts(found),
            timings=cut.timings,
            warnings=found.warnings + _altered(task.record, cut.sha256),
            size_bytes=source.size_bytes,
            mtime_ns=source.mtime_ns,
        )
        writer.append(entry, found.clips)


def _why_none(found: VideoClips) -> tuple[str, str]:
    seen, with_face = found.coverage.frames_analysed, found.frames_with_face
    if not with_face:
        return "no_face", f"No usable face in {seen} frames."
    return "face_too_few", f"A usable face in only {with_face} of {seen} frames."


def _media_facts(found: VideoClips) -> dict[str, Any]:
    info = found.info
    if info is None:
        return {}
    names = ("container", "codec", "pixel_format", "width_px", "height_px", "rotation_deg")
    headers = ("duration_seconds_from_header", "frame_rate_from_header", "frames_from_header")
    return {name: getattr(info, name) for name in (*names, "mirrored", *headers)}


def _coverage_facts(found: VideoClips) -> dict[str, Any]:
    coverage = found.coverage
    return {
        "decoder": found.decoder,
        "frames_decoded": coverage.frames_decoded,
        "frames_analysed": coverage.frames_analysed,
        "frames_with_face": found.frames_with_face,
        "tracks": found.tracks,
        "partial": coverage.partial,
        "analysed_ranges_seconds": [list(span) for span in coverage.analysed_ranges_seconds],
    }


def _altered(record: VideoRecord, sha256: str) -> tuple[Warn, ...]:
    if record.sha256 in ("", sha256):
        return ()
    return (Warn("sha256_differs", "The file is not the one that the manifest describes."),)


def _note_failure(
    writer: StoreWriter, record: VideoRecord, code: str, message: str, source: Source | None = None
) -> None:
    size_bytes, mtime_ns = (source.size_bytes, source.mtime_ns) if source else (0, 0)
    writer.append(
        StoreEntry(record, "failed", code, message, size_bytes=size_bytes, mtime_ns=mtime_ns)
    )


def _with_twins_together(
    manifest: Manifest, entries: Mapping[str, StoreEntry], config: DataConfig, seed: int
) -> Manifest:
    """Split anew with copies of a recording in one group, where the splits are ours to choose."""
    here = [entries[record.path] for record in manifest.records]
    twins = find_twins(here)
    if not twins:
        return manifest
    # Limited anew, it would keep other videos than those that were prepared.
    everything = dataclasses.replace(config, videos_per_class=0)
    try:
        again = read_manifest(manifest.root, everything, seed, links=twins)
    except DatasetError:
        return manifest  # nothing but copies: the leak check before training will say so
    prepared = {record.path for record in manifest.records}
    records = tuple(record for record in again.records if record.path in prepared)
    return dataclasses.replace(manifest, records=records)


def _with_hashes(manifest: Manifest, entries: Mapping[str, StoreEntry]) -> list[VideoRecord]:
    """The manifest's records with the hashes of the files as they were read."""
    return [
        dataclasses.replace(r, sha256=entries[r.path].record.sha256 or r.sha256)
        if r.path in entries
        else r
        for r in manifest.records
    ]


def _report(
    manifest: Manifest,
    writer: StoreWriter,
    todo: Sequence[VideoRecord],
    choice: Choice,
    seconds: float,
) -> PrepareReport:
    entries = {r.path: writer.entries[r.path] for r in manifest.records if r.path in writer.entries}
    status = Counter(entry.status for entry in entries.values())
    with_clips = [r for r in manifest.records if entries[r.path].status == "ok"]
    return PrepareReport(
        store=writer.path,
        videos=len(manifest.records),
        worked=len(todo),
        skipped=len(manifest.records) - len(todo),
        ok=status["ok"],
        no_face=status["no_face"],
        failed=status["failed"],
        clips=sum(len(entry.clips) for entry in entries.values()),
        seconds=seconds,
        counts=dataclasses.replace(manifest, records=tuple(with_clips)).counts(),
        notes=manifest.notes + _decoding(choice, [entries[record.path] for record in todo]),
        problems=tuple(
            Problem(path, entry.status, entry.code, entry.message)
            for path, entry in entries.items()
            if entry.status != "ok"
        ),
    )


def _decoding(choice: Choice, worked: Sequence[StoreEntry]) -> tuple[str, ...]:
    """Where this run's videos were decoded, and why not on the GPU."""
    if choice.decoder == "cpu":
        return (choice.note,) if choice.note else ()
    on_gpu = sum(entry.coverage.get("decoder") == "cuda" for entry in worked)
    text = f"decoded on the GPU: {on_gpu} of {len(worked)} read now"
    reasons = Counter(
        w.code for entry in worked for w in entry.warnings if w.code.startswith("gpu_")
    )
    if reasons:
        listed = ", ".join(f"{count} {code}" for code, count in reasons.most_common())
        text += f"; left to the CPU: {listed} (in the store's index, by file)"
    return (text,)


def _write_problems(file: Path, problems: tuple[Problem, ...]) -> None:
    text = io.StringIO()
    table = csv_table(text, [field.name for field in dataclasses.fields(Problem)])
    table.writerows(dataclasses.asdict(problem) for problem in problems)
    write_text(file, text.getvalue())
