"""Which files a scan is about: folders, patterns and lists become paths, in one fixed order.

Nothing is opened but regular files whose name does not tell what they are (16 bytes), and nothing
is left out unsaid: what is no media file is counted, what cannot be listed is handed on as a
problem, links that lead in circles end where they began.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unmask.clips import STILL_SUFFIXES, VIDEO_SUFFIXES
from unmask.errors import ScanError
from unmask.media import looks_like_media

SETTINGS_FILE, JOURNAL_FILE = "scan.json", "journal.jsonl"
"""Of a scan's results, by which these are told."""

_MEDIA_SUFFIXES = STILL_SUFFIXES | VIDEO_SUFFIXES
_GONE = (-1, -1)


@dataclass(frozen=True, slots=True)
class Found:
    """One path to judge."""

    path: str
    """Absolute, links not resolved; bytes that are no UTF-8 as `os.fsdecode` keeps them."""
    size_bytes: int
    """-1 where the path leads to nothing."""
    mtime_ns: int
    regular: bool
    """Whether it is a regular file that is not empty."""
    problem: str = ""
    """Why it cannot be judged at all; only for folders that cannot be listed."""

    @property
    def stamp(self) -> tuple[int, int]:
        """Changes when the file's content is replaced."""
        return self.size_bytes, self.mtime_ns


@dataclass(frozen=True)
class Inputs:
    """What was asked for."""

    files: list[Found]
    """Sorted by the bytes of their paths, without repetition."""
    skipped: list[str]
    """Files of folders that are no media by name and first bytes, sorted."""


def find_inputs(
    paths: Iterable[str | Path], *, list_file: str | Path | None = None, leave_out: Path
) -> Inputs:
    """List the files of a scan.

    A folder gives its files, those of its folders and those behind its links, each real folder
    once. In a folder, files that are no media by their suffix nor their first bytes are skipped;
    paths that are named one by one are always taken. A path that does not exist and reads as a
    pattern (``clips/**/*.mp4``) gives what matches.

    Args:
        paths: folders, files and patterns.
        list_file: a file of further ones, one a line, or separated by NUL where it holds one
            (as of ``find -print0``); ``-`` reads standard input.
        leave_out: a folder that is not looked into: where the results go.

    Raises:
        ScanError: ``scan_list``, ``scan_no_files``.
    """
    named = [os.fspath(path) for path in paths]
    if list_file is not None:
        named += _read_list(list_file)
    files: dict[str, Found] = {}
    skipped: set[str] = set()
    walk = _Walk(leave_out)
    for name in named:
        for path in _expand(name):
            # Not Path.is_dir(), which raises for names that the system refuses.
            for found in walk.enter(path) if os.path.isdir(path) else (_look(path),):  # noqa: PTH112
                if isinstance(found, Found):
                    files[found.path] = found
                else:
                    skipped.add(found)
    if not files:
        raise ScanError(
            "There is no video or still to judge"
            + (f" ({len(skipped)} other files were skipped)." if skipped else "."),
            code="scan_no_files",
            hint="Name folders, files, or a list of paths with --list.",
        )
    return Inputs(
        files=[files[path] for path in sorted(files, key=os.fsencode)],
        skipped=sorted(skipped - files.keys(), key=os.fsencode),
    )


def _read_list(file: str | Path) -> list[str]:
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ScanError(
            f"Cannot read the list {file}: {error.strerror}.", code="scan_list"
        ) from error
    if b"\0" in content:
        return [os.fsdecode(part) for part in content.split(b"\0") if part]
    lines = (line.removesuffix(b"\r") for line in content.split(b"\n"))
    return [os.fsdecode(line) for line in lines if line.strip()]


def _expand(name: str) -> list[str]:
    matches = []
    if not os.path.lexists(name) and glob.has_magic(name):
        matches = glob.glob(name, recursive=True, include_hidden=True)  # noqa: PTH207
    # Not resolve(): links stay as they are.
    return [os.path.abspath(match) for match in matches or [name]]  # noqa: PTH100


def _look(path: str) -> Found:
    """What lies there, without opening it."""
    try:
        status = Path(path).stat()
    except OSError:  # dangling, looping, forbidden: judging it will say which
        return Found(path, *_GONE, regular=False)
    regular = stat.S_ISREG(status.st_mode) and status.st_size > 0
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return Found(path, size, status.st_mtime_ns, regular=regular)


class _Walk:
    """Walks folders; a real folder is entered once, by its own path where it has been listed."""

    def __init__(self, leave_out: Path) -> None:
        self._entered: set[tuple[int, int]] = set()
        self._leave_out = os.path.realpath(leave_out)

    def enter(self, root: str) -> Iterator[Found | str]:
        """Files to judge, and the paths of files that are no media."""
        links: list[str] = []
        pending = [root]
        while pending or links:  # links last, so that no link stands in for the real path
            folder = pending.pop() if pending else links.pop()
            try:
                if os.path.realpath(folder) == self._leave_out or not self._is_new(folder):
                    continue
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
            except OSError as error:
                problem = f"Cannot list {folder}: {error.strerror}."
                yield Found(folder, *_GONE, regular=False, problem=problem)
                continue
            if {SETTINGS_FILE, JOURNAL_FILE} <= {entry.name for entry in entries}:
                continue  # results of an earlier scan: its pictures have boxes drawn into them
            for entry in entries:
                if _is_folder(entry):
                    (links if entry.is_symlink() else pending).append(entry.path)
                else:
                    yield self._file(entry)

    def _is_new(self, folder: str) -> bool:
        status = Path(folder).stat()
        identity = status.st_dev, status.st_ino
        new = identity not in self._entered
        self._entered.add(identity)
        return new

    @staticmethod
    def _file(entry: os.DirEntry[str]) -> Found | str:
        found = _look(entry.path)
        path = Path(entry.path)
        if path.suffix.lower() in _MEDIA_SUFFIXES or (found.size_bytes < 0):
            return found
        if not found.regular:
            # A pipe or a socket is told as such; an empty file of another kind is nothing to judge.
            return found if not _is_plain(entry) else entry.path
        return found if looks_like_media(path) or not os.access(path, os.R_OK) else entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in circles
        return False


def _is_plain(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
