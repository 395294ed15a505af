"""Files on disk: names as text, hashes, atomic writes, locks, JSON that machines can trust."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, TextIO

# It can only be read by setting it; once, before there are threads.
os.umask(_UMASK := os.umask(0o077))
_SURROGATE = re.compile("[\ud800-\udfff]")


def path_text(path: str) -> str:
    """A path or file name as text that every program can read, and turn back.

    Names are bytes that need not be UTF-8; Python keeps such bytes as lone surrogates, which no
    UTF-8 file and no strict JSON may hold. Each becomes ``\\xNN``, and a backslash becomes two, so
    that the one can be told from the other.
    """
    return valid_text(path.replace("\\", "\\\\"))


def valid_text(text: str) -> str:
    """Text without lone surrogates: a byte of a file's name as ``\\xNN``, others as U+FFFD.

    Unlike `path_text` for sentences in which a name stands: nothing else changes.
    """

    def written(found: re.Match[str]) -> str:
        byte = ord(found[0]) - 0xDC00
        return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else "\ufffd"

    return _SURROGATE.sub(written, text)


def printable(line: str) -> str:
    """A line that stays one and neither steers a terminal or a page nor turns its own letters
    around: what is neither printable nor a space nor joins letters, as a file's name may hold,
    becomes U+FFFD."""
    return "".join(c if _is_harmless(c) else "\ufffd" for c in valid_text(line))


def _is_harmless(c: str) -> bool:
    return c.isprintable() or c in "\u200c\u200d" or unicodedata.category(c) == "Zs"


def printable_text(text: str) -> str:
    """Lines, each as `printable` makes it."""
    return "\n".join(map(printable, text.split("\n")))


def place_digest(path: Path) -> str:
    """Hex SHA-256 of where a path leads: tells places apart without naming them, since a path can
    name its user."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()


def leads_outside(path: str) -> bool:
    """Whether a path in a table, as it is written, leads out of the folder that it belongs to."""
    return path.startswith("/") or ".." in PurePosixPath(path).parts


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content, read in pieces of 1 MiB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success fsync it and rename it into place.

    A crash or a full disk leaves the previous file whole. The temporary file keeps ``path``'s
    suffix, since savers choose their format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        fsync(temporary)
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path, *names: str) -> None:
    """Remove what `atomic_path` left half-written in ``folder`` when its process was killed.

    Only for folders that one process at a time writes to.

    Args:
        folder: where to look; not below it.
        names: of the files that were written, or patterns of them (``*.jpg``).
    """
    for name in map(Path, names):
        for left in folder.glob(f".{name.stem}-????????{name.suffix}"):
            left.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 ``content`` to ``path`` atomically."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON atomically; NaN and infinity raise ValueError."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def csv_table(file: TextIO, columns: Sequence[str]) -> csv.DictWriter[str]:
    """A writer of rows as CSV that end with a line feed; the columns' names are written.

    Any cell comes back as it was: left to itself, csv quotes a carriage return only where rows end
    with one, and a file's name that holds it would be two rows.
    """
    table = csv.DictWriter(_RowsEndWithLineFeed(file), columns, lineterminator="\r\n")
    table.writeheader()
    return table


class _RowsEndWithLineFeed:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> int:
        return self._file.write(row.removesuffix("\r\n") + "\n")


def lock_folder(folder: Path, taken: Callable[[str], Exception]) -> IO[str]:
    """Hold a folder, which is made, for this process; the lock ends with the file or the process.

    The file ``.lock`` in it names its holder. Only for POSIX systems.

    Args:
        folder: what to hold.
        taken: makes the error to raise from the name of the process that holds it.

    Returns:
        The open file that is the lock.

    Raises:
        Exception: that of ``taken``.
        OSError: the folder cannot be written to.
    """
    import fcntl  # not on Windows, where what others wrote can be read all the same

    folder.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW  # its holder is written into it
    file = os.fdopen(os.open(folder / ".lock", flags, 0o644), "a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise taken(holder) from error
    except OSError:
        file.close()
        raise
    return file


def fsync(path: Path) -> None:
    """Push a file's (or folder's) content to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
