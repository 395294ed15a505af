"""Dataset folders of empty files: layouts are read without decoding anything."""

from collections.abc import Iterable
from pathlib import Path

from unmask.data.rows import Layout, Row


def touch(root: Path, paths: Iterable[str]) -> Path:
    """Make empty files below ``root``."""
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


def by_path(layout: Layout) -> dict[str, Row]:
    """The rows of a layout."""
    return {row.path: row for row in layout.rows}
