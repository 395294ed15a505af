"""Showing things: inline in a notebook, as text and picture files elsewhere."""

from __future__ import annotations

import html
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unmask.errors import InputError
from unmask.files import write_bytes
from unmask.progress import in_notebook
from unmask.report.table import Table
from unmask.types import UInt8Array

PICTURES = Path("pictures")
"""Where `show` puts pictures outside of notebooks."""


@dataclass(frozen=True)
class Picture:
    """A PNG with a title."""

    title: str
    png: bytes

    @classmethod
    def of(cls, image: UInt8Array, title: str) -> Picture:
        """From RGB pixels, ``(H, W, 3)`` uint8."""
        _, png = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
        return cls(title, png.tobytes())

    @classmethod
    def read(cls, path: Path) -> Picture:
        """From a PNG file.

        Raises:
            InputError: ``picture_missing``.
        """
        try:
            return cls(path.as_posix(), path.read_bytes())
        except OSError as error:
            raise InputError(
                f"There is no picture {path}.",
                code="picture_missing",
                hint="It is made by the training: run cell 12.",
            ) from error

    def _repr_png_(self) -> bytes:
        return self.png


def show(*things: Any) -> None:
    """Show tables, pictures and words, in order; None is passed over.

    In a notebook they appear below the cell. Elsewhere words go to standard output and pictures
    into the folder ``pictures``, whose paths are told.
    """
    for thing in things:
        if thing is None:
            continue
        if in_notebook():
            _inline(thing)
        elif isinstance(thing, Picture):
            name = re.sub(r"[^a-z0-9]+", "-", thing.title.lower()).strip("-")[:60]
            path = PICTURES / f"{name}.png"
            write_bytes(path, thing.png)
            sys.stdout.write(f"picture: {path}\n")
        else:
            sys.stdout.write(f"{thing}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class FileList:
    """Files with their sizes; in a notebook each is a link that downloads it."""

    paths: tuple[Path, ...]

    def __str__(self) -> str:
        rows = tuple((path.as_posix(), size_of(path)) for path in self.paths)
        return str(Table("Files", ("", ""), rows))

    def _repr_html_(self) -> str:
        names = ((html.escape(path.as_posix()), size_of(path)) for path in self.paths)
        links = (f'<li><a href="{n}" download>{n}</a> ({size})</li>' for n, size in names)
        hint = "On Kaggle, Output in the panel on the right downloads them as well."
        return f"<p><b>Files</b></p><ul>{''.join(links)}</ul><p>{hint}</p>"


def files_of(run: Path) -> FileList:
    """The result files of a run, sorted; checkpoints that only serve to resume are left out."""
    found = [
        path
        for name in ("models", "results")
        for path in sorted((run / name).rglob("*"))
        if path.is_file() and "last" not in path.relative_to(run).parts
    ]
    return FileList(tuple(path for path in found if not path.name.startswith(".")))


def size_of(path: Path) -> str:
    """A file's size for people."""
    size = float(path.stat().st_size)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"


def _inline(thing: Any) -> None:
    from IPython.display import display

    if isinstance(thing, str):
        sys.stdout.write(thing + "\n")
        sys.stdout.flush()
        return
    if isinstance(thing, Picture):
        sys.stdout.write(thing.title + "\n")
        sys.stdout.flush()
    display(thing)  # type: ignore[no-untyped-call]
