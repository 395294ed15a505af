"""The folder layouts that are recognised, and what is said when none fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unmask.data.benchmarks import read_celeb_df, read_dfdc, read_faceforensics
from unmask.data.rows import (
    LABEL_NAMES,
    SPLIT_NAMES,
    Layout,
    Row,
    media_files,
    subfolders,
)
from unmask.data.tables import read_table
from unmask.errors import DatasetError

EXAMPLE = """
  DATA/train/real/a.mp4       or  DATA/real/a.mp4      (split by group for you)
  DATA/train/fake/b.mp4           DATA/fake/b.mp4
  DATA/val/real/c.mp4 ...     or  DATA/manifest.csv    (file,label[,split,group])
  or FaceForensics++, Celeb-DF, DFDC as they are distributed;
  stills of faces instead of videos
"""


def read_layout(root: Path) -> Layout:
    """Recognise the layout of a dataset folder and list its files.

    Raises:
        DatasetError: ``dataset_missing``, ``dataset_layout`` (none fits), ``dataset_manifest``.
    """
    if not root.is_dir():
        raise DatasetError(
            f"There is no folder {root}.",
            code="dataset_missing",
            hint="Name the folder that holds the videos.",
        )
    for read in LAYOUTS:
        layout = read(root)
        if layout is not None and layout.rows:
            return layout
    inner = [p for p in root.iterdir() if not p.name.startswith(".")]
    if len(inner) == 1 and inner[0].is_dir():  # an archive that was unpacked into a folder
        raise DatasetError(
            f"{root} holds nothing but the folder {inner[0].name}.", hint=f"Name {inner[0]}."
        )
    raise DatasetError(
        f"{root} has no layout that is known: {_describe(root)}.",
        hint=f"Known layouts (docs/data.md):{EXAMPLE.rstrip()}",
    )


def read_split_folders(root: Path) -> Layout | None:
    """``train|val|test/{real,fake}/...``; other usual names of these are understood."""
    splits = [p for p in subfolders(root) if p.name.lower() in SPLIT_NAMES]
    rows: list[Row] = []
    notes: list[str] = []
    for folder in splits:
        split = SPLIT_NAMES[folder.name.lower()]
        found, remarks = _class_folders(root, folder, split)
        rows += found
        notes += remarks
    return Layout("split folders", tuple(rows), tuple(notes)) if rows else None


def read_class_folders(root: Path) -> Layout | None:
    """``{real,fake}/...``, nothing said about splits."""
    rows, notes = _class_folders(root, root, "")
    return Layout("class folders", tuple(rows), tuple(notes)) if rows else None


LAYOUTS: tuple[Callable[[Path], Layout | None], ...] = (
    read_table,
    read_faceforensics,
    read_celeb_df,
    read_dfdc,
    read_split_folders,
    read_class_folders,
)


def _class_folders(root: Path, parent: Path, split: str) -> tuple[list[Row], list[str]]:
    """The media in the class folders of ``parent``; a folder within a fake one is its method."""
    rows: list[Row] = []
    notes: list[str] = []
    for folder in subfolders(parent):
        label = LABEL_NAMES.get(folder.name.lower())
        if label is None:
            continue
        files, remarks = media_files(folder)
        notes += remarks
        for file in files:
            inner = file.relative_to(folder).parts
            method = inner[0] if label and len(inner) > 1 else ""
            path = file.relative_to(root).as_posix()
            rows.append(Row(path, label, split, method=method, dataset=root.name))
    return rows, notes


def _describe(root: Path) -> str:
    folders = [f"{p.name}/" for p in subfolders(root)]
    files = [p for p in root.iterdir() if p.is_file() and not p.name.startswith(".")]
    shown = ", ".join(folders[:8]) + (" ..." if len(folders) > 8 else "")
    return f"it holds {len(folders)} folders ({shown or 'none'}) and {len(files)} files"
