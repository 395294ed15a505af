"""Datasets described by a table: ``manifest.csv``, and ``groups.csv`` on top of any layout."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from unmask.data.rows import LABEL_NAMES, SPLIT_NAMES, Layout, Row
from unmask.errors import DatasetError
from unmask.files import leads_outside
from unmask.types import FAKE, REAL

_LABELS = LABEL_NAMES | {"0": REAL, "1": FAKE}
_KEY_COLUMNS = ("group", "identity_group")  # rows that agree in one of these belong together


def read_table(root: Path) -> Layout | None:
    """``manifest.csv`` with the columns of docs/data.md.

    Raises:
        DatasetError: ``dataset_manifest``, with the row's number.
    """
    file = root / "manifest.csv"
    if not file.is_file():
        return None
    rows = []
    videos: dict[str, str] = {}  # authentic video -> its row's path
    lines = []
    for number, cells in _read(file):
        lines.append(number)
        row = _row(root, file, number, cells)
        if row.label == REAL and cells.get("video"):
            videos[cells["video"]] = row.path
        rows.append((row, cells.get("source_video", "")))
    _refuse_twice(file, [(number, row.path) for number, (row, _) in zip(lines, rows, strict=True)])
    return Layout("manifest.csv", tuple(_with_source(row, videos, v) for row, v in rows))


def read_groups(root: Path) -> dict[str, str]:
    """Path to group, from ``groups.csv`` (columns: path, group); empty where there is none.

    Raises:
        DatasetError: ``dataset_groups``, with the row's number.
    """
    file = root / "groups.csv"
    groups: dict[str, str] = {}
    if not file.is_file():
        return groups
    for number, cells in _read(file):
        path, group = cells.get("path") or cells.get("file"), cells.get("group")
        if not path or not group:
            raise DatasetError(
                f"Row {number} of {file} needs a path and a group.", code="dataset_groups"
            )
        groups[path] = group
    return groups


def _read(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells (stripped, column names in lower case) of each row."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            for raw in table:
                if None in raw:
                    raise _bad(
                        file, table.line_num, "has too many cells", 'Quote commas: "a, b.mp4".'
                    )
                cells = {key.strip().lower(): value.strip() for key, value in raw.items() if value}
                if cells:
                    yield table.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{file} is not a table in CSV (UTF-8): {error}.", code="dataset_manifest"
        ) from error


def _row(root: Path, file: Path, number: int, cells: dict[str, str]) -> Row:
    path = cells.get("file") or cells.get("path", "")
    if not path:
        raise _bad(file, number, "has no file", "Name it in a column 'file' or 'path'.")
    shard = cells.get("shard", "")
    for part in (path, shard):
        if leads_outside(part):
            raise _bad(file, number, f"points outside the dataset ('{part}')")
    label = _LABELS.get(cells.get("label", "").lower())
    if label is None:
        raise _bad(file, number, f"has the label '{cells.get('label', '')}'", "Use real or fake.")
    split = cells.get("split", "").lower()
    if split and split not in SPLIT_NAMES:
        raise _bad(file, number, f"has the split '{split}'", "Use train, val or test.")
    keys = [f"{name}:{cells[name]}" for name in _KEY_COLUMNS if name in cells]
    keys += [f"video:{cells[name]}" for name in ("video", "source_video") if name in cells]
    return Row(
        path=f"{shard}::{path}" if shard else path,
        label=label,
        split=SPLIT_NAMES.get(split, ""),
        keys=tuple(dict.fromkeys(keys)),
        source=cells.get("source", ""),
        method=cells.get("method", ""),
        dataset=cells.get("dataset", root.name),
        sha256=cells.get("sha256", "").lower(),
    )


def _with_source(row: Row, videos: dict[str, str], source_video: str) -> Row:
    source = videos.get(source_video, "")
    if row.label == REAL or row.source or not source:
        return row
    return dataclasses.replace(row, source=source)


def _refuse_twice(file: Path, paths: list[tuple[int, str]]) -> None:
    seen: set[str] = set()
    for number, path in paths:
        if path in seen:
            raise _bad(file, number, f"names '{path}' a second time")
        seen.add(path)


def _bad(file: Path, number: int, what: str, hint: str = "") -> DatasetError:
    return DatasetError(f"Row {number} of {file} {what}.", code="dataset_manifest", hint=hint)
