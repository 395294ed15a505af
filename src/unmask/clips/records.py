"""A resolved manifest as CSV: one row a video, the columns are VideoRecord's fields."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path

from unmask.errors import StoreError
from unmask.files import csv_table, write_text
from unmask.types import VideoRecord

COLUMNS = tuple(field.name for field in dataclasses.fields(VideoRecord))


def write_records(path: Path, records: Iterable[VideoRecord]) -> None:
    """Write records atomically, ordered by path."""
    text = io.StringIO()
    table = csv_table(text, COLUMNS)
    table.writerows(dataclasses.asdict(r) for r in sorted(records, key=lambda r: r.path))
    write_text(path, text.getvalue())


def read_records(path: Path) -> list[VideoRecord]:
    """Read what `write_records` wrote.

    Raises:
        StoreError: ``store_damaged``, with the row's number.
    """
    records: list[VideoRecord] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if None in row.values():
                    raise ValueError("it lacks cells")
                values = {name: row[name] for name in COLUMNS if name != "label"}
                records.append(VideoRecord(label=int(row["label"]), **values))
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise StoreError(
            f"Row {len(records) + 2} of {path} is damaged: {error}.",
            hint="Run prepare again: it writes this file anew.",
        ) from error
    return records
