"""The results of a scan as tables: one row a path, the same columns in CSV and Parquet."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from unmask.files import atomic_path, csv_table

# Names and Arrow types; CSV leaves a cell empty where there is no value.
COLUMNS: dict[str, str] = {
    "path": "string",
    "status": "string",
    "label": "string",
    "score": "float64",
    "interval_low": "float64",
    "interval_high": "float64",
    "threshold": "float64",
    "calibrated": "bool_",
    "people": "int32",
    "suspicious_seconds": "float64",
    "frames_analysed": "int32",
    "frames_with_face": "int32",
    "partial": "bool_",
    "reasons": "string",
    "warnings": "string",
    "error_code": "string",
    "error_message": "string",
    "duplicate_of": "string",
    "size_bytes": "int64",
    "sha256": "string",
    "codec": "string",
    "width_px": "int32",
    "height_px": "int32",
    "duration_seconds": "float64",
    "frame_rate": "float64",
    "seconds": "float64",
    "uri": "string",
}
_ROWS_A_GROUP = 2048


def rows_of(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of one result of a scan: the file that was judged, then its copies.

    Args:
        result: a line of ``results.jsonl``: a verdict with ``file``.
    """
    verdict, media, coverage = result["verdict"], result["input"], result["coverage"]
    low, high = verdict["interval"] or (None, None)
    error = result["error"] or {}
    rate = media["frame_rate"]
    file = result["file"]
    row = {
        "path": file["path"],
        "status": result["status"],
        "label": verdict["label"],
        "score": verdict["score"],
        "interval_low": low,
        "interval_high": high,
        "threshold": verdict["threshold"],
        "calibrated": verdict["calibrated"],
        "people": len(result["people"]),
        "suspicious_seconds": round(suspicious_seconds(result), 3),
        "frames_analysed": coverage["frames_analysed"],
        "frames_with_face": coverage["frames_with_face"],
        "partial": coverage["partial"],
        "reasons": _codes(verdict["reasons"]),
        "warnings": _codes(result["warnings"]),
        "error_code": error.get("code"),
        "error_message": error.get("message"),
        "duplicate_of": None,
        "size_bytes": media["size_bytes"],
        "sha256": media["sha256"],
        "codec": media["codec"],
        "width_px": media["width_px"],
        "height_px": media["height_px"],
        "duration_seconds": media["duration_seconds"],
        "frame_rate": rate if isinstance(rate, int | float) else None,
        "seconds": result["runtime"]["seconds"],
        "uri": file["uri"],
    }
    yield row
    for copy in file["duplicates"]:
        yield row | {
            "path": copy["path"], "uri": copy["uri"], "duplicate_of": file["path"], "seconds": None
        }  # fmt: skip


def suspicious_seconds(result: Mapping[str, Any]) -> float:
    """How long a file looks manipulated: the time that any person's segments cover."""
    spans = sorted(
        (segment["start_seconds"], segment["end_seconds"])
        for person in result["people"]
        for segment in person["segments"]
    )
    total, reached = 0.0, 0.0
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def write_csv(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as UTF-8 CSV, atomically, one at a time."""
    with atomic_path(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as text:
        table = csv_table(text, list(COLUMNS))
        for row in rows:
            table.writerow({name: _cell(value) for name, value in row.items()})


def has_parquet() -> bool:
    """Whether `write_parquet` works here (``unmask[parquet]``)."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as Parquet, atomically, a group of rows at a time; needs pyarrow."""
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in COLUMNS.items()])
    remaining = iter(rows)
    with (
        atomic_path(file) as temporary,
        temporary.open("wb") as target,  # pyarrow takes no name that is not UTF-8
        parquet.ParquetWriter(target, schema) as writer,
    ):
        while group := list(islice(remaining, _ROWS_A_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def _codes(notes: Iterable[Mapping[str, str]]) -> str | None:
    """Codes of reasons or warnings, each once; None where there are none."""
    return " ".join(dict.fromkeys(note["code"] for note in notes)) or None


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
