"""A dataset folder becomes a manifest: labelled records with groups and splits."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from unmask.config import DataConfig
from unmask.data.layouts import read_layout
from unmask.data.names import stem_of, with_name_facts
from unmask.data.rows import Row
from unmask.data.splits import assign_splits, check_rows, group_rows, limit_rows
from unmask.data.tables import read_groups
from unmask.errors import DatasetError
from unmask.types import FAKE, REAL, VideoRecord


@dataclass(frozen=True)
class Manifest:
    """A dataset as it will be used."""

    root: Path
    records: tuple[VideoRecord, ...]
    """Ordered by path."""
    layout: str
    """Name of the recognised layout."""
    notes: tuple[str, ...]
    """What was decided or left out, one sentence each."""

    def counts(self) -> dict[str, tuple[int, int]]:
        """Authentic and manipulated videos of each split."""
        found = Counter((record.split, record.label) for record in self.records)
        present = [s for s in ("train", "val", "test") if found[s, REAL] or found[s, FAKE]]
        return {split: (found[split, REAL], found[split, FAKE]) for split in present}


def read_manifest(
    path: Path,
    config: DataConfig | None = None,
    seed: int = 0,
    links: Iterable[tuple[str, str]] = (),
) -> Manifest:
    """Read, group and split a dataset folder; nothing is decoded.

    Args:
        path: the folder, in any layout of docs/data.md.
        config: validation share and limits.
        seed: of the splits that are not given; the same seed gives the same splits.
        links: pairs of paths that belong together whatever the names say (duplicates).

    Raises:
        DatasetError: ``dataset_missing``, ``dataset_layout``, ``dataset_manifest``,
            ``dataset_groups``, ``dataset_splits``, ``dataset_mixed``, ``dataset_empty_class``.
    """
    config = config or DataConfig()
    layout = read_layout(path)
    notes = list(layout.notes)
    rows = list(layout.rows)
    if not any(row.keys for row in rows):
        rows, pattern = with_name_facts(rows)
        if pattern:
            notes.append(f"groups from file names as in {pattern}")
    rows = _with_groups_file(rows, read_groups(path), path)
    rows = _with_sources(rows)
    groups, note = group_rows(rows, links)
    notes += [note] if note else []
    check_rows(rows, path)
    rows, decisions = assign_splits(rows, groups, config.val_share, seed)
    notes += decisions
    kept = list(range(len(rows)))
    if config.videos_per_class:
        kept = limit_rows(rows, groups, config.videos_per_class, seed)
        notes.append(f"{len(kept)} of {len(rows)} videos kept (data.videos_per_class)")
    records = sorted((_record(rows[i], groups[i]) for i in kept), key=lambda record: record.path)
    return Manifest(path, tuple(records), layout.name, tuple(notes))


def _record(row: Row, group: str) -> VideoRecord:
    return VideoRecord(
        path=row.path,
        label=row.label,
        split=row.split,
        group=group,
        method=row.method,
        dataset=row.dataset,
        sha256=row.sha256,
        source=row.source,
    )


def _with_groups_file(rows: list[Row], group_of: dict[str, str], root: Path) -> list[Row]:
    """``groups.csv`` overrides what names and tables say."""
    unknown = sorted(set(group_of) - {row.path for row in rows})
    if unknown:
        raise DatasetError(
            f"groups.csv in {root} names '{unknown[0]}', which is not in the dataset "
            f"({len(unknown)} such rows).",
            code="dataset_groups",
            hint="Paths are relative to the dataset's folder.",
        )
    return [
        dataclasses.replace(row, keys=(f"group:{group_of[row.path]}",), owner="")
        if row.path in group_of
        else row
        for row in rows
    ]


def _with_sources(rows: list[Row]) -> list[Row]:
    """Fakes whose authentic video is in the dataset (by name, if that is unique) get its path."""
    authentic: dict[str, list[str]] = {}
    for row in rows:
        if row.label == REAL:
            authentic.setdefault(stem_of(row.path), []).append(row.path)
    return [
        dataclasses.replace(row, source=authentic[row.source_stem][0])
        if not row.source and len(authentic.get(row.source_stem, ())) == 1
        else row
        for row in rows
    ]
