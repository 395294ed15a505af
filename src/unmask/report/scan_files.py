"""Everything that a scan leaves in its folder, written from results that are read one by one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unmask.files import atomic_path
from unmask.report.scan_page import MAX_ROWS, Reason, ScanSummary, write_page
from unmask.report.scan_table import has_parquet, rows_of, write_csv, write_parquet

RESULTS_FILE, PAGE_FILE = "results.jsonl", "index.html"
CSV_FILE, PARQUET_FILE = "results.csv", "results.parquet"
FILES = (RESULTS_FILE, CSV_FILE, PARQUET_FILE, PAGE_FILE)
EXAMPLES = 20
"""Paths that are kept of each reason why files failed."""


@dataclass(frozen=True)
class Tally:
    """What the results come to."""

    labels: dict[str, int]
    """How many files got each label; those that failed are not among them."""
    failed: int
    reasons: tuple[Reason, ...]
    """Why files failed, the most frequent first."""
    written: tuple[str, ...]
    """Names of the files in the folder."""


def write_results(
    out: Path,
    files: int,
    result: Callable[[int], Mapping[str, Any]],
    *,
    duplicates: int,
    skipped: int,
    model: Mapping[str, Any],
    limitations: Sequence[str],
) -> Tally:
    """Write ``results.jsonl``, the tables and the page; memory does not grow with the results.

    Args:
        out: the folder.
        files: how many results there are.
        result: gives the one at a place, from 0; asked for several times.
        duplicates: paths whose content stands under another path.
        skipped: files that are no media.
        model: its name, version and hash.
        limitations: of the model.
    """
    labels: Counter[str] = Counter()
    problems = _Problems()
    ranks: list[float] = []
    with atomic_path(out / RESULTS_FILE) as temporary, temporary.open("wb") as file:
        for place in range(files):
            one = result(place)
            file.write(result_line(one))
            if one["error"] is None:
                labels[one["verdict"]["label"]] += 1
            else:
                problems.add(one)
            ranks.append(_rank(one))

    def rows() -> Iterator[dict[str, Any]]:
        for place in range(files):
            yield from rows_of(result(place))

    tables = [RESULTS_FILE, CSV_FILE]
    write_csv(out / CSV_FILE, rows())
    if has_parquet():
        write_parquet(out / PARQUET_FILE, rows())
        tables.append(PARQUET_FILE)
    reasons = problems.reasons()
    failed = sum(reason.files for reason in reasons)
    summary = ScanSummary(
        files=files,
        duplicates=duplicates,
        skipped=skipped,
        labels=labels,
        failed=failed,
        reasons=reasons,
        model=model,
        limitations=limitations,
    )
    best = sorted(range(files), key=lambda place: -ranks[place])[:MAX_ROWS]
    write_page(out / PAGE_FILE, summary, (result(place) for place in best), tables)
    return Tally(dict(sorted(labels.items())), failed, reasons, (*tables, PAGE_FILE))


def result_line(result: Mapping[str, Any]) -> bytes:
    """A line of ``results.jsonl``: strict JSON in UTF-8, its newline included."""
    return json.dumps(result, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def _rank(result: Mapping[str, Any]) -> float:
    """The page shows the highest scores first, then what was not judged, then what failed."""
    if result["error"] is not None:
        return -2.0
    score = result["verdict"]["score"]
    return -1.0 if score is None else float(score)


class _Problems:
    """Counts failures by their code, and keeps a few examples of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._messages: dict[str, str] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, result: Mapping[str, Any]) -> None:
        error = result["error"]
        code = error["code"]
        self._counts[code] += 1
        self._messages.setdefault(code, f"{error['message']} {error['hint']}".strip())
        examples = self._examples.setdefault(code, [])
        if len(examples) < EXAMPLES:
            examples.append(result["file"]["path"])

    def reasons(self) -> tuple[Reason, ...]:
        return tuple(
            Reason(code, self._messages[code], count, tuple(self._examples[code]))
            for code, count in sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        )
