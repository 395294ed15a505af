"""What a layout finds: rows of labelled files, before they are grouped and split."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unmask.clips import STILL_SUFFIXES, VIDEO_SUFFIXES
from unmask.types import FAKE, REAL

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
LABEL_NAMES = {
    **dict.fromkeys(("real", "reals", "authentic", "genuine", "original", "originals"), REAL),
    **dict.fromkeys(("fake", "fakes", "manipulated", "forged", "deepfake", "deepfakes"), FAKE),
}


@dataclass(frozen=True)
class Row:
    """One labelled file."""

    path: str
    """Relative to the root, POSIX separators; ``SHARD.tar::MEMBER`` inside a tar shard."""
    label: int
    split: str = ""
    """``train``, ``val`` or ``test`` where the data says so, else empty."""
    keys: tuple[str, ...] = ()
    """Source videos and identities: rows that share a key belong to one group."""
    owner: str = ""
    """The key of whose video it is (not the donor's), where that is known."""
    source_stem: str = ""
    """Name without suffix of the authentic video that it was made from, where known."""
    source: str = ""
    """Path of that video's row, where known."""
    method: str = ""
    dataset: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Layout:
    """A recognised dataset."""

    name: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def media_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The media files below a folder, sorted, and notes on what was left out.

    A dataset is of one kind: where there are videos, stills are left out (thumbnails, mostly).
    """
    everything = sorted(_walk(folder))
    found = [path for path in everything if _is_utf8(path)]
    videos = [path for path in found if path.suffix.lower() in VIDEO_SUFFIXES]
    stills = [path for path in found if path.suffix.lower() in STILL_SUFFIXES]
    others = sorted({path.suffix.lower() or "no suffix" for path in found} - _SUFFIXES)
    notes = []
    if len(found) < len(everything):
        odd = len(everything) - len(found)
        notes.append(f"{folder.name}: {odd} files left out whose names are not UTF-8: rename them")
    if others:
        count = len(found) - len(videos) - len(stills)
        notes.append(f"{folder.name}: {count} files that are not media left out ({others[0]} ...)")
    if videos and stills:
        notes.append(f"{folder.name}: {len(stills)} stills beside videos left out")
    return videos or stills, notes


def folder_named(root: Path, name: str) -> Path | None:
    """The subfolder of that name, whatever its case."""
    return next((p for p in subfolders(root) if p.name.lower() == name.lower()), None)


def subfolders(root: Path) -> list[Path]:
    """Visible subfolders, sorted."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


_SUFFIXES = VIDEO_SUFFIXES | STILL_SUFFIXES


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _is_utf8(path: Path) -> bool:
    """A name that is not cannot be written into a manifest."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True
