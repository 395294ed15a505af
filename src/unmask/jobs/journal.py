"""What a scan has found out so far: a file to append to, safe against a kill at any moment.

One row a line. A row tells what lay at a path (size, date, SHA-256) and, where that was judged, the
verdict. Verdicts belong to content, not to paths: a copy, a moved file or a new date needs no
second look. A row that a kill cut in two is cut off when the journal is next opened.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from unmask.clips import STILL_SUFFIXES
from unmask.errors import ScanError
from unmask.files import fsync, lock_folder, write_json
from unmask.jobs.inputs import JOURNAL_FILE, SETTINGS_FILE, Found

FORMAT = 1
SYNC_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Row:
    size_bytes: int
    mtime_ns: int
    sha256: str | None
    offset: int
    """Of the row with this path's own verdict; -1 where it has none."""

    @property
    def stamp(self) -> tuple[int, int]:
        return self.size_bytes, self.mtime_ns


class Journal:
    """The journal of one results folder, held for this process; use as a context manager.

    It keeps what lies at each path and where each verdict stands in memory, never the verdicts.

    Args:
        folder: of the results; made when it does not exist.
        settings: whatever a verdict depends on besides the file; a folder that was begun must have
            the same.

    Raises:
        ScanError: ``scan_out``, ``scan_locked``, ``scan_settings``, ``scan_foreign``.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self._lock = _lock(folder)
        try:
            _create_or_check(folder, settings)
            self._rows: dict[str, _Row] = {}
            self._by_content: dict[str, int] = {}
            self._open()
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sync()
        self._file.close()
        self._reading.close()
        self._lock.close()

    @property
    def sizes_bytes(self) -> set[int]:
        """Sizes of all files that it ever met: a new file of another size has new content."""
        return {row.size_bytes for row in self._rows.values()}

    def content(self, found: Found) -> str | None:
        """What a file holds, as an id; None where that is not known (or it has changed)."""
        row = self._rows.get(found.path)
        if row is None or row.stamp != found.stamp or row.sha256 is None:
            return None
        return _content(found.path, row.sha256)

    def place(self, found: Found) -> int | None:
        """Where the verdict on a file as it is now stands, for `read`; None where there is none."""
        row = self._rows.get(found.path)
        if row is None or row.stamp != found.stamp:
            return None
        if row.sha256 is not None:
            return self._by_content.get(_content(found.path, row.sha256))
        return row.offset if row.offset >= 0 else None

    def read(self, place: int) -> dict[str, Any]:
        """The verdict that stands at a place."""
        self._file.flush()
        self._reading.seek(place)
        verdict: dict[str, Any] = json.loads(self._reading.readline())["verdict"]
        return verdict

    def note_content(self, found: Found, sha256: str) -> None:
        """Note what a file holds."""
        self._append(found, sha256, None)

    def note_verdict(self, found: Found, verdict: Mapping[str, Any]) -> None:
        """Note the verdict on a file; a later one replaces it."""
        self._append(found, verdict["input"]["sha256"] if found.regular else None, verdict)

    def _append(self, found: Found, sha256: str | None, verdict: Mapping[str, Any] | None) -> None:
        row: dict[str, Any] = {
            "path": found.path,
            "size_bytes": found.size_bytes,
            "mtime_ns": found.mtime_ns,
            "sha256": sha256,
        }
        if verdict is not None:
            row["verdict"] = verdict
        offset = self._file.tell()
        # ASCII keeps the odd bytes of a path (lone surrogates in Python) apart and alive.
        self._file.write(json.dumps(row, allow_nan=False).encode("ascii") + b"\n")
        self._file.flush()  # a kill of this process loses nothing; `_sync` is for power cuts
        self._take_in(row, offset)
        if time.monotonic() - self._synced_at >= SYNC_SECONDS:
            self._sync()

    def _take_in(self, row: Mapping[str, Any], offset: int) -> None:
        path, sha256, judged = row["path"], row["sha256"], "verdict" in row
        before = self._rows.get(path)
        now = _Row(row["size_bytes"], row["mtime_ns"], sha256, offset if judged else -1)
        self._rows[path] = now
        if sha256 is None:
            return
        if judged:
            self._by_content[_content(path, sha256)] = offset
        elif before and before.stamp == now.stamp and before.offset >= 0:
            # It was judged without a look at its hash, e.g. given up; now it is known what it was.
            self._by_content.setdefault(_content(path, sha256), before.offset)

    def _open(self) -> None:
        path = self.folder / JOURNAL_FILE
        self._file: IO[bytes] = path.open("r+b" if path.exists() else "w+b")
        offset = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            try:
                self._take_in(json.loads(line), offset)
            except (ValueError, LookupError, TypeError):
                break
            offset += len(line)
        self._file.truncate(offset)
        self._file.seek(offset)
        self._reading = path.open("rb")
        self._synced_at = time.monotonic()
        fsync(self.folder)

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced_at = time.monotonic()


def _content(path: str, sha256: str) -> str:
    """The same bytes are judged otherwise under a still's name than under a video's."""
    return f"{sha256} still" if Path(path).suffix.lower() in STILL_SUFFIXES else sha256


def _create_or_check(folder: Path, settings: Mapping[str, Any]) -> None:
    file = folder / SETTINGS_FILE
    if not file.exists():
        strangers = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        if strangers:
            raise ScanError(
                f"{folder} holds other files ({strangers[0]} ...) and no scan.",
                code="scan_foreign",
                hint="Name a new or empty folder with --out.",
            )
        write_json(file, {"format": FORMAT, "settings": dict(settings)})
        return
    try:
        tree = json.loads(file.read_bytes())
        before = tree["settings"]
        known = tree["format"] == FORMAT and isinstance(before, dict)
    except (ValueError, LookupError, TypeError):
        known = False
    if not known:
        raise ScanError(
            f"{file} was not written by this version of unmask.",
            code="scan_foreign",
            hint="Name a new folder with --out.",
        )
    different = [
        f"{name} was {before.get(name)}, is {settings.get(name)}"
        for name in sorted(before.keys() | settings.keys())
        if before.get(name) != settings.get(name)
    ]
    if different:
        raise ScanError(
            f"{folder} holds results made otherwise: {'; '.join(different)}.",
            code="scan_settings",
            hint="Use the former settings, or name a new folder with --out.",
        )


def _lock(folder: Path) -> IO[str]:
    """An open file that holds the folder for this process; the lock dies with it."""

    def taken(holder: str) -> ScanError:
        return ScanError(
            f"Another process is scanning into {folder} ({holder}).",
            code="scan_locked",
            hint="Wait for it to finish, or name another folder with --out.",
        )

    try:
        return lock_folder(folder, taken)
    except OSError as error:
        raise ScanError(
            f"Cannot write into {folder}: {error.strerror}.",
            code="scan_out",
            hint="Name another folder with --out.",
        ) from error
