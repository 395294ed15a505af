"""The field's datasets, read as they are distributed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from unmask.data.names import stem_of, with_facts
from unmask.data.rows import Layout, Row, folder_named, media_files, subfolders
from unmask.errors import DatasetError
from unmask.types import FAKE, REAL


def read_faceforensics(root: Path) -> Layout | None:
    """FaceForensics++: ``original_sequences/SET/c23/videos/000.mp4`` and
    ``manipulated_sequences/METHOD/c23/videos/000_003.mp4``.

    The official splits are used where their files (``train.json`` ..., pairs of ids) lie in the
    root or in ``splits/``. What they do not name, Google's DFD above all, which comes in the same
    folders, is then left out with a note.
    """
    folders = {REAL: "original_sequences", FAKE: "manipulated_sequences"}
    split_of = _faceforensics_splits(root)
    rows, notes = [], []
    for label, name in folders.items():
        folder = folder_named(root, name)
        if folder is None:
            return None
        files, remarks = media_files(folder)
        notes += remarks
        for file in files:
            inner = file.relative_to(folder).parts
            if "masks" in inner:  # videos too, of where the picture was changed
                continue
            method = inner[0] if label == FAKE else ""
            dataset = "DFD" if inner[0] in ("actors", "DeepFakeDetection") else "FaceForensics++"
            split = split_of.get(stem_of(file.name)[:3], "") if dataset != "DFD" else ""
            path = file.relative_to(root).as_posix()
            row = Row(path, label, split, method=method, dataset="FaceForensics++")
            rows.append(with_facts(row, dataset))
    listed = [row for row in rows if row.split]
    if 0 < len(listed) < len(rows):
        notes.append(f"{len(rows) - len(listed)} videos left out that the official lists lack")
        rows = listed
    return Layout("FaceForensics++", tuple(rows), tuple(notes))


def read_celeb_df(root: Path) -> Layout | None:
    """Celeb-DF (v1, v2): ``Celeb-real``, ``YouTube-real``, ``Celeb-synthesis`` and, for the
    official test set, ``List_of_testing_videos.txt``."""
    labels = {"Celeb-real": REAL, "YouTube-real": REAL, "Celeb-synthesis": FAKE}
    if folder_named(root, "Celeb-real") is None or folder_named(root, "Celeb-synthesis") is None:
        return None
    listing = root / "List_of_testing_videos.txt"
    tests: set[str] = set()
    if listing.is_file():
        lines = listing.read_text(encoding="utf-8").splitlines()
        tests = {line.split(maxsplit=1)[1].strip() for line in lines if " " in line.strip()}
    rows, notes = [], []
    for name, label in labels.items():
        folder = folder_named(root, name)
        if folder is None:
            continue
        files, remarks = media_files(folder)
        notes += remarks
        for file in files:
            path = file.relative_to(root).as_posix()
            listed = f"{name}/{file.relative_to(folder).as_posix()}"  # whatever the folder's case
            split = ("test" if listed in tests else "train") if tests else ""
            rows.append(with_facts(Row(path, label, split, dataset="Celeb-DF"), "Celeb-DF"))
    return Layout("Celeb-DF", tuple(rows), tuple(notes))


def read_dfdc(root: Path) -> Layout | None:
    """DFDC: ``metadata.json`` (label, split, original) beside its videos, in the root or in each
    ``dfdc_train_part_*`` folder."""
    tables = [p / "metadata.json" for p in (root, *subfolders(root))]
    tables = [table for table in tables if table.is_file()]
    rows: list[Row] = []
    absent = 0
    for table in tables:
        for name, facts in sorted(_dfdc_table(table).items()):
            if not (table.parent / name).exists():
                absent += 1
                continue
            row = _dfdc_row(root, table, name, facts)
            rows.append(row)
    notes = (f"{absent} rows of metadata.json have no video here",) if absent else ()
    return Layout("DFDC", tuple(rows), notes) if rows else None


def _dfdc_row(root: Path, table: Path, name: str, facts: dict[str, Any]) -> Row:
    label = {"REAL": REAL, "FAKE": FAKE}.get(str(facts.get("label", "")).upper())
    if label is None or "/" in name:
        raise DatasetError(f"{table}: '{name}' has no label REAL or FAKE.", code="dataset_manifest")
    original = str(facts.get("original") or "")
    given = {"train": "train", "validation": "val", "test": "test"}
    owner = f"DFDC:{stem_of(original or name)}"
    return Row(
        path=(table.parent / name).relative_to(root).as_posix(),
        label=label,
        split=given.get(str(facts.get("split", "")), ""),
        keys=(owner,),
        owner=owner,
        source_stem=stem_of(original) if label == FAKE and original else "",
        dataset="DFDC",
    )


def _dfdc_table(file: Path) -> dict[str, dict[str, Any]]:
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{file} is not JSON: {error}.", code="dataset_manifest") from error
    rows = table.items() if isinstance(table, dict) else ()
    return {name: facts for name, facts in rows if isinstance(facts, dict) and "label" in facts}


def _faceforensics_splits(root: Path) -> dict[str, str]:
    """Id to split, from the official lists of id pairs."""
    split_of: dict[str, str] = {}
    for split in ("train", "val", "test"):
        for file in (root / f"{split}.json", root / "splits" / f"{split}.json"):
            if file.is_file():
                ids = re.findall(r"\d{3}", file.read_text(encoding="utf-8"))
                split_of |= dict.fromkeys(ids, split)
    return split_of
