"""Find datasets somewhere below a folder, e.g. among a notebook's attached inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unmask.data.layouts import read_layout
from unmask.data.rows import Layout, subfolders
from unmask.errors import DatasetError

MOST_FOLDERS = 2000  # looked into before the search ends: inputs can be very large


@dataclass(frozen=True)
class FoundDataset:
    """A folder whose layout is recognised."""

    path: Path
    layout: Layout

    @property
    def classes(self) -> int:
        """1 where one class is missing, else 2."""
        return len({row.label for row in self.layout.rows})


@dataclass(frozen=True)
class Search:
    """What lies below a folder."""

    root: Path
    found: tuple[FoundDataset, ...]
    """Those with both classes first, then the larger."""
    refused: tuple[tuple[Path, str], ...]
    """Folders that look like a dataset but cannot be read, with the reason."""


def find_datasets(root: Path, *, depth: int = 4, root_too: bool = True) -> Search:
    """Recognise dataset folders from ``root`` downwards; nothing within one of both classes is
    looked at again.

    Args:
        root: where to begin.
        depth: folders below ``root`` that are entered.
        root_too: False where ``root`` only collects datasets and is none itself.

    Raises:
        DatasetError: ``dataset_missing``: there is no such folder.
    """
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}.", code="dataset_missing")
    found: list[FoundDataset] = []
    refused: list[tuple[Path, str]] = []
    level = [root] if root_too else list(_inner(root))
    looked = 0
    for _ in range(depth + 1 if root_too else depth):
        inner: list[Path] = []
        for folder in level:
            looked += 1
            try:
                found.append(FoundDataset(folder, read_layout(folder)))
                if found[-1].classes == 1:  # a folder above the data may be called like a class
                    inner += _inner(folder)
            except DatasetError as error:
                if error.code != "dataset_layout":
                    refused.append((folder, error.message))
                inner += _inner(folder)
            if looked >= MOST_FOLDERS:
                inner = []
                break
        level = inner
    found.sort(key=lambda one: (-one.classes, -len(one.layout.rows), str(one.path)))
    return Search(root, tuple(found), tuple(refused))


def _inner(folder: Path) -> Iterator[Path]:
    try:
        yield from subfolders(folder)
    except OSError:
        return
