"""The results of a scan as one sortable page; its only companions are the thumbnails beside it."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from markupsafe import Markup

from unmask.clips import STILL_SUFFIXES, VIDEO_SUFFIXES
from unmask.files import atomic_path
from unmask.report.pages import environment
from unmask.report.scan_table import suspicious_seconds
from unmask.report.text import DAMAGED, digits_between, short_score
from unmask.types import STRETCH_STEP_SECONDS

MAX_ROWS = 5000
"""More rows make a browser slow; the tables beside the page hold them all."""

# Warnings without which a score is misread; the tables hold them all.
_OF_THE_VERDICT = frozenset({
    "frames_left_out", "not_calibrated", "people_left_out", "several_people", "shorter_than_header",
})  # fmt: skip

EVIDENCE = (
    "very_strong_evidence",
    "strong_evidence",
    "moderate_evidence",
    "weak_evidence",
    "inconclusive",
    "not_applicable",
)


@dataclass(frozen=True)
class Reason:
    """A row of the table of problems."""

    code: str
    message: str
    """Of the first file that it befell."""
    files: int
    examples: tuple[str, ...]
    """Paths of the first few."""


@dataclass(frozen=True)
class ScanSummary:
    """What stands above and below the table of files."""

    files: int
    """Distinct ones, each judged once."""
    duplicates: int
    skipped: int
    labels: Mapping[str, int]
    """How many completed files got each label."""
    failed: int
    reasons: tuple[Reason, ...]
    """Why files failed, the most frequent first."""
    model: Mapping[str, Any]
    limitations: Sequence[str]


def write_page(
    file: Path, summary: ScanSummary, results: Iterable[Mapping[str, Any]], tables: Sequence[str]
) -> None:
    """Write the page, atomically and row by row.

    Args:
        file: where to; thumbnails are looked for under the same folder.
        summary: of the whole scan.
        results: lines of ``results.jsonl``, in the order in which they shall be shown; at most
            `MAX_ROWS` are.
        tables: names of the files beside the page that hold every result.
    """
    pages = environment()
    pages.filters |= {"words": _words, "short": short_score}
    script = pages.get_template("scan.js").render()
    digest = hashlib.sha256(script.encode()).digest()
    page = pages.get_template("scan.html").stream(
        script=Markup(script),
        script_sha256=base64.b64encode(digest).decode("ascii"),  # the only one that may run
        summary=summary,
        evidence=EVIDENCE,
        shown=min(MAX_ROWS, summary.files),
        rows=(_row(file.parent, result) for result in results),
        tables=tables,
    )
    page.enable_buffering(20)
    with atomic_path(file) as temporary, temporary.open("w", encoding="utf-8") as text:
        text.writelines(page)


def thumbnail_path(folder: Path, sha256: str) -> Path:
    """Where a file's thumbnail lies; spread over 256 folders."""
    return folder / "thumbnails" / sha256[:2] / f"{sha256[2:32]}.jpg"


def _words(label: str) -> str:
    return label.replace("_", " ")


def _link(path: str, folder: Path) -> str:
    """To the file, where a browser will take it for media by its name; else none: what is called
    a page may be one that runs."""
    if Path(path).suffix.lower() not in STILL_SUFFIXES | VIDEO_SUFFIXES:
        return ""
    return quote(os.fsencode(os.path.relpath(path, folder)))


def _row(folder: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of one result."""
    verdict, media, coverage = result["verdict"], result["input"], result["coverage"]
    error, file = result["error"], result["file"]
    parent, _, name = file["path"].rpartition("/")
    path = os.fsdecode(unquote_to_bytes(urlsplit(file["uri"]).path))
    notes = [note["message"] for note in verdict["reasons"]]
    if coverage["partial"]:
        notes.append(DAMAGED)
    notes += [note["message"] for note in result["warnings"] if note["code"] in _OF_THE_VERDICT]
    if error is not None:
        notes = [f"{error['message']} [{error['code']}]"]
    return {
        "name": name,
        "folder": parent,
        "link": _link(path, folder),
        "thumbnail": _thumbnail(folder, media["sha256"]),
        "label": "failed" if error is not None else verdict["label"],
        "rank": -1 if error is not None else len(EVIDENCE) - EVIDENCE.index(verdict["label"]),
        "score": verdict["score"],
        "interval": verdict["interval"],
        "digits": digits_between(
            [verdict["score"], *(verdict["interval"] or ())],
            [verdict["threshold"], *(verdict["cut_points"] or {}).values()],
        ),
        "suspicious_seconds": suspicious_seconds(result),
        "apart_seconds": _apart_seconds(result),
        "people": len(result["people"]),
        "with_face": coverage["frames_with_face"],
        "analysed": coverage["frames_analysed"],
        "duration_seconds": media["duration_seconds"],
        "notes": notes,
        "duplicates": [copy["path"] for copy in file["duplicates"]],
    }


def _apart_seconds(result: Mapping[str, Any]) -> float | None:
    """How far apart the frames of suspicious stretches lie, where nobody looked in between."""
    steps = [
        segment["longest_step_seconds"]
        for person in result["people"]
        for segment in person["segments"]
    ]
    longest = max(steps, default=0.0)
    return longest if longest > STRETCH_STEP_SECONDS else None


def _thumbnail(folder: Path, sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    file = thumbnail_path(folder, sha256)
    return file.relative_to(folder).as_posix() if file.exists() else None
