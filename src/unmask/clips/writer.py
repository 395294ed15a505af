"""A clip store on disk, write side: safe against a kill at any moment, resumable.

Pixels reach the disk before the index row that names them, so a crash costs at most the videos
since the last commit; what it leaves behind (half a row, pixels without a row) is cut off when the
store is next opened for writing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

import unmask
from unmask.clips.fingerprint import fingerprint
from unmask.clips.store import (
    FORMAT,
    INDEX_FILE,
    STORE_FILE,
    ClipRef,
    ClipStore,
    StoreEntry,
    check_extents,
    check_spec,
    is_store,
    read_index,
    read_spec,
    row_of,
    shard_path,
)
from unmask.config import ClipSpec, to_dict
from unmask.errors import StoreError
from unmask.files import fsync, lock_folder, write_json
from unmask.types import Clip

SHARD_BYTES = 512 * 2**20
COMMIT_ROWS = 32
COMMIT_SECONDS = 2.0


class StoreWriter:
    """The single writer of a store; use as a context manager.

    Args:
        path: the store's folder; made when it does not exist.
        spec: settings of the clips; a store that exists must have the same.
        shard_bytes: a shard is closed before it grows over this (one clip may be larger).

    Raises:
        StoreError: ``store_locked`` (another process writes), ``store_spec``, ``store_foreign``
            (the folder holds something else), ``store_damaged``, ``store_version``; from every
            method that writes: ``store_disk`` (full, or not writable), after which this writer
            writes no more and what was committed is whole.
    """

    def __init__(self, path: Path, spec: ClipSpec, *, shard_bytes: int = SHARD_BYTES) -> None:
        self.path, self.spec = path, spec
        self._shard_bytes = shard_bytes
        self._failed = False
        self._shard: IO[bytes]
        self._index: IO[bytes]
        _refuse_foreign(path)
        with self._disk():
            self._lock = lock_folder(path, lambda holder: _taken(path, holder))
        try:
            with self._disk():
                self._create_or_check()
                self._recover()
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def entries(self) -> Mapping[str, StoreEntry]:
        """What the store holds, by path, this session's work included."""
        return self._entries

    def append(self, entry: StoreEntry, clips: Sequence[Clip] = ()) -> None:
        """Add one video, or put a new row in the place of its old one.

        Args:
            entry: all but its ``clips``, which are filled in here.
            clips: the pixels.

        Raises:
            ValueError: a clip's shape does not fit the spec, or the status does not fit the clips.
        """
        if (entry.status == "ok") != bool(clips):
            raise ValueError(f"status {entry.status!r} does not go with {len(clips)} clips")
        with self._disk():
            refs = tuple(self._put(clip) for clip in clips)
        self._write_row(dataclasses.replace(entry, clips=refs))

    def touch(self, path: str, *, size_bytes: int, mtime_ns: int) -> None:
        """Note that a file has a new date but its old content; its clips stay."""
        entry = self._entries[path]
        self._write_row(dataclasses.replace(entry, size_bytes=size_bytes, mtime_ns=mtime_ns))

    def commit(self) -> None:
        """Push what was appended to the disk: pixels first, then the rows that name them."""
        with self._disk():
            _sync(self._shard)
            if self._pending:
                self._index.write("".join(f"{row}\n" for row in self._pending).encode())
                _sync(self._index)
                self._pending.clear()
        self._committed_at = time.monotonic()

    def close(self) -> None:
        """Commit, and let another writer in."""
        try:
            if not self._failed:
                self.commit()
        finally:
            for file in (self._shard, self._index, self._lock):
                with suppress(OSError):  # what it could not write was told when it failed
                    file.close()

    def snapshot(self) -> ClipStore:
        """The store as committed now, for reading."""
        self.commit()
        return ClipStore(self.path, self.spec, list(self._entries.values()))

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Turn what the disk refuses into a StoreError, and write no more after it."""
        try:
            yield
        except OSError as error:
            self._failed = True
            raise StoreError(
                f"The store {self.path} cannot be written: {error.strerror or error}.",
                code="store_disk",
                hint="Free some space (or name another folder), then run the same command again: "
                "it resumes.",
            ) from error

    def _write_row(self, entry: StoreEntry) -> None:
        self._entries[entry.record.path] = entry
        self._pending.append(json.dumps(row_of(entry), allow_nan=False, ensure_ascii=False))
        due = time.monotonic() - self._committed_at >= COMMIT_SECONDS
        if due or len(self._pending) >= COMMIT_ROWS:
            self.commit()

    def _create_or_check(self) -> None:
        if is_store(self.path):
            check_spec(self.path, read_spec(self.path), self.spec)
            return
        facts = {"format": FORMAT, "tool": f"unmask {unmask.__version__}"}
        facts_of_spec = {"clip": to_dict(self.spec), "clip_hash": self.spec.hash}
        write_json(self.path / STORE_FILE, facts | facts_of_spec)

    def _recover(self) -> None:
        """Read the index and cut off what a crash left behind it."""
        rows, whole_bytes = read_index(self.path)
        used = check_extents(self.path, rows)
        self._entries = {entry.record.path: entry for entry in rows}
        self._pending: list[str] = []
        self._committed_at = time.monotonic()
        self._index = _open_at(self.path / INDEX_FILE, whole_bytes)
        self._number = max(used, default=0)
        for shard in self.path.glob("shard-*.bin"):
            if int(shard.stem.removeprefix("shard-")) > self._number:
                shard.unlink()
        self._shard = _open_at(shard_path(self.path, self._number), used.get(self._number, 0))
        fsync(self.path)

    def _put(self, clip: Clip) -> ClipRef:
        size, (t, *sides) = self.spec.size_px, clip.frames.shape
        if sides != [size, size, 3] or t not in (1, self.spec.frames):
            raise ValueError(f"a clip of shape {clip.frames.shape} does not fit {self.spec}")
        if self._shard.tell() and self._shard.tell() + clip.frames.nbytes > self._shard_bytes:
            self._next_shard()
        offset = self._shard.tell()
        self._shard.write(np.ascontiguousarray(clip.frames).data)
        boxes = clip.boxes_xyxy_px[clip.mask]
        sizes = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
        return ClipRef(
            shard=self._number,
            offset=offset,
            shape=(t, size, size, 3),
            track_id=clip.track_id,
            mask=tuple(clip.mask.tolist()),
            pts_seconds=clip.pts_seconds,
            boxes_xyxy_px=clip.boxes_xyxy_px,
            keypoints_px=clip.keypoints_px,
            median_face_px=float(np.median(sizes)),
            hashes=fingerprint(clip),
        )

    def _next_shard(self) -> None:
        self.commit()
        self._shard.close()
        self._number += 1
        self._shard = _open_at(shard_path(self.path, self._number), 0)
        fsync(self.path)


def _refuse_foreign(path: Path) -> None:
    """Raise StoreError ``store_foreign`` where there is something other than a store."""
    if is_store(path) or not path.exists():
        return
    strangers = [p.name for p in path.iterdir() if p.name[0] != "."] if path.is_dir() else []
    if strangers or not path.is_dir():
        what = f"holds other files ({strangers[0]} ...)" if strangers else "is a file"
        raise StoreError(
            f"{path} is not a clip store and {what}.",
            code="store_foreign",
            hint="Name a new or empty folder.",
        )


def _taken(store: Path, holder: str) -> StoreError:
    return StoreError(
        f"Another process is writing {store} ({holder}).",
        code="store_locked",
        hint="Wait for it to finish, or name another folder.",
    )


def _open_at(path: Path, length: int) -> IO[bytes]:
    """Open for writing behind the first ``length`` bytes; what follows them is cut off."""
    file = path.open("r+b" if path.exists() else "w+b")
    file.truncate(length)
    file.seek(length)
    return file


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
