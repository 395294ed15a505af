"""A clip store on disk, read side: shards of raw pixels beside an index of one JSON row a video.

    store.json        format and tool version, the ClipSpec and its hash
    shard-00000.bin   clips back to back, each (T, H, W, 3) uint8
    index.jsonl       one row a video: record, status, media facts and where its clips lie
    manifest.csv      the dataset's records as last resolved; its splits override the index's

Shards are memory-mapped, so a store may be larger than RAM. The other side: `StoreWriter`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unmask.clips.records import read_records
from unmask.config import ClipSpec, from_dict
from unmask.errors import ConfigError, StoreError
from unmask.types import Clip, FloatArray, UInt8Array, VideoRecord, Warn

FORMAT = 1
STORE_FILE, INDEX_FILE, RECORDS_FILE = "store.json", "index.jsonl", "manifest.csv"

Status = Literal["ok", "no_face", "failed"]


@dataclass(frozen=True, eq=False)
class ClipRef:
    """Where one clip lies in a store, and all that is known of it but its pixels."""

    shard: int
    offset: int
    """Of the first byte in the shard."""
    shape: tuple[int, int, int, int]
    """``(T, H, W, 3)``."""
    track_id: int
    """0 is the video's most prominent face."""
    mask: tuple[bool, ...]
    """T values: True where there is a crop."""
    pts_seconds: FloatArray
    """``(T,)`` float32; NaN where there is no crop."""
    boxes_xyxy_px: FloatArray
    """``(T, 4)`` float32, to 1/100 px; NaN where there is no crop."""
    keypoints_px: FloatArray
    """``(T, 5, 2)`` float32, to 1/100 px; NaN where there is no crop."""
    median_face_px: float
    """Median of the faces' longer sides in the video's frames."""
    hashes: tuple[str, ...] = ()
    """Perceptual hashes of some of the crops (`unmask.clips.fingerprint`)."""

    @property
    def size_bytes(self) -> int:
        """Bytes of pixels."""
        t, height, width, channels = self.shape
        return t * height * width * channels


@dataclass(frozen=True)
class StoreEntry:
    """One video (or still) in a store."""

    record: VideoRecord
    status: Status
    """``ok``: it has clips; ``no_face``: it was read but shows no usable face; ``failed``."""
    code: str = ""
    """Why not, e.g. ``"media_damaged"``; empty when ok."""
    message: str = ""
    clips: tuple[ClipRef, ...] = ()
    media: Mapping[str, Any] = field(default_factory=dict)
    """Container facts (codec, upright width and height ...)."""
    coverage: Mapping[str, Any] = field(default_factory=dict)
    """How much of the video was decoded and in how many frames there was a face."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """``decode_seconds`` (with cropping) and ``faces_seconds`` that it took its worker; empty in
    stores of before."""
    warnings: tuple[Warn, ...] = ()
    size_bytes: int = 0
    """Of the file when it was prepared; with the time below it tells a replaced file."""
    mtime_ns: int = 0


class ClipStore:
    """A snapshot of a store's index, with its pixels memory-mapped.

    Attributes:
        path: the store's folder.
        spec: the ClipSpec that every clip was made with.
        entries: one a video, ordered by path; where the store has a ``manifest.csv``, only the
            videos in it, with their splits and groups.
    """

    def __init__(self, path: Path, spec: ClipSpec, entries: Sequence[StoreEntry]) -> None:
        self.path = path
        self.spec = spec
        self.entries = tuple(sorted(entries, key=lambda entry: entry.record.path))
        self._shards: dict[int, NDArray[np.uint8]] = {}

    @classmethod
    def open(cls, path: Path | str, spec: ClipSpec | None = None) -> ClipStore:
        """Read a store's index.

        Args:
            path: the folder.
            spec: settings that it must have been made with, if given.

        Raises:
            StoreError: ``store_missing``, ``store_version``, ``store_spec``, ``store_damaged``.
        """
        path = Path(path)
        made_with = read_spec(path)
        if spec is not None:
            check_spec(path, made_with, spec)
        rows, _ = read_index(path)
        check_extents(path, rows)
        records = path / RECORDS_FILE
        return cls(path, made_with, _with_records(rows, records) if records.exists() else rows)

    def digest(self) -> str:
        """Hex SHA-256 of what a training sees: which contents, with which labels and splits."""
        rows = [
            (e.record.path, e.record.sha256, e.record.label, e.record.split) for e in self.entries
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def frames(self, ref: ClipRef) -> UInt8Array:
        """The clip's pixels, ``(T, H, W, 3)`` uint8: a read-only view of the mapped shard."""
        if ref.shard not in self._shards:
            shard = shard_path(self.path, ref.shard)
            self._shards[ref.shard] = np.memmap(shard, dtype=np.uint8, mode="r")
        mapped = self._shards[ref.shard]
        return mapped[ref.offset : ref.offset + ref.size_bytes].reshape(ref.shape)

    def read(self, ref: ClipRef) -> Clip:
        """The clip with a copy of its pixels."""
        return Clip(
            frames=np.array(self.frames(ref)),
            mask=np.array(ref.mask, dtype=np.bool_),
            pts_seconds=ref.pts_seconds,
            boxes_xyxy_px=ref.boxes_xyxy_px,
            keypoints_px=ref.keypoints_px,
            track_id=ref.track_id,
        )


def is_store(path: Path | str) -> bool:
    """Whether a folder is a clip store (and not a dataset)."""
    return (Path(path) / STORE_FILE).is_file()


def shard_path(store: Path, number: int) -> Path:
    """Path of a store's shard."""
    return store / f"shard-{number:05d}.bin"


def read_spec(path: Path) -> ClipSpec:
    """The ClipSpec of a store.

    Raises:
        StoreError: ``store_missing``, ``store_version`` or ``store_damaged``.
    """
    try:
        facts = json.loads((path / STORE_FILE).read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise StoreError(
                f"{path} is a store of format {facts['format']}; this program reads {FORMAT}.",
                code="store_version",
                hint="Prepare it again with this version.",
            )
        return from_dict(ClipSpec, facts["clip"])
    except OSError as error:
        raise StoreError(
            f"{path} is not a clip store: it has no readable {STORE_FILE}.",
            code="store_missing",
            hint="Make one with: unmask prepare DATA --out STORE",
        ) from error
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise StoreError(f"{path / STORE_FILE} is damaged: {error}.") from error


def check_spec(path: Path, made_with: ClipSpec, wanted: ClipSpec) -> None:
    """Raise StoreError ``store_spec``, naming the settings that differ, unless both are equal."""
    if made_with.hash == wanted.hash:
        return
    have, want = dataclasses.asdict(made_with), dataclasses.asdict(wanted)
    differing = [f"clip.{key}={have[key]}" for key in have if have[key] != want[key]]
    asked = [f"clip.{key}={want[key]}" for key in have if have[key] != want[key]]
    raise StoreError(
        f"{path} was prepared with {', '.join(differing)}, but {', '.join(asked)} is asked for.",
        code="store_spec",
        hint="Use the store's settings, or prepare the data again into another folder.",
    )


def read_index(path: Path) -> tuple[list[StoreEntry], int]:
    """The newest row of every video, and the length in bytes of the index's whole lines.

    A last line that was cut short by a crash is left out; anything else that does not parse
    raises StoreError ``store_damaged``.
    """
    file = path / INDEX_FILE
    content = file.read_bytes() if file.exists() else b""
    length = content.rfind(b"\n") + 1
    lines = content[:length].splitlines(keepends=True)
    newest: dict[str, StoreEntry] = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = entry_from_row(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):  # a torn write can end in zeros and a newline of another row
                return list(newest.values()), length - len(line)
            raise StoreError(
                f"Row {number} of {file} is damaged: {error}.",
                hint="Delete the store and prepare it again.",
            ) from error
        newest[entry.record.path] = entry
    return list(newest.values()), length


def check_extents(path: Path, entries: Sequence[StoreEntry]) -> dict[int, int]:
    """Bytes in use of every shard.

    Raises:
        StoreError: ``store_damaged`` when a clip lies outside its shard.
    """
    used: dict[int, int] = {}
    for entry in entries:
        for ref in entry.clips:
            used[ref.shard] = max(used.get(ref.shard, 0), ref.offset + ref.size_bytes)
    for number, length in used.items():
        shard = shard_path(path, number)
        if not shard.is_file() or shard.stat().st_size < length:
            raise StoreError(
                f"{shard} is missing or shorter than the index says ({length} bytes).",
                hint="Copy the store again, or delete it and prepare the data again.",
            )
    return used


def row_of(entry: StoreEntry) -> dict[str, Any]:
    """The JSON row of an entry; NaN becomes null."""
    row = dataclasses.asdict(entry.record)
    row |= {name: getattr(entry, name) for name in _PLAIN_FIELDS}
    row["timings"] = dict(entry.timings)
    row["warnings"] = [dataclasses.asdict(warning) for warning in entry.warnings]
    row["clips"] = [_clip_row(ref) for ref in entry.clips]
    return row


def entry_from_row(row: dict[str, Any]) -> StoreEntry:
    """The entry of a JSON row; raises ValueError, KeyError or TypeError where it does not fit."""
    record = VideoRecord(**{f.name: row[f.name] for f in dataclasses.fields(VideoRecord)})
    return StoreEntry(
        record=record,
        clips=tuple(_clip_ref(clip) for clip in row["clips"]),
        warnings=tuple(Warn(**warning) for warning in row["warnings"]),
        timings=row.get("timings", {}),
        **{name: row[name] for name in _PLAIN_FIELDS},
    )


_PLAIN_FIELDS = ("status", "code", "message", "media", "coverage", "size_bytes", "mtime_ns")


def _clip_row(ref: ClipRef) -> dict[str, Any]:
    return {
        "shard": ref.shard,
        "offset": ref.offset,
        "shape": list(ref.shape),
        "track_id": ref.track_id,
        "mask": [int(there) for there in ref.mask],
        "pts_seconds": _numbers(ref.pts_seconds, 6),
        "boxes": _numbers(ref.boxes_xyxy_px, 2),
        "keypoints": _numbers(ref.keypoints_px, 2),
        "median_face_px": round(ref.median_face_px, 2),
        "hashes": list(ref.hashes),
    }


def _clip_ref(row: dict[str, Any]) -> ClipRef:
    t, height, width, channels = row["shape"]
    return ClipRef(
        shard=row["shard"],
        offset=row["offset"],
        shape=(t, height, width, channels),
        track_id=row["track_id"],
        mask=tuple(map(bool, row["mask"])),
        pts_seconds=_array(row["pts_seconds"], (t,)),
        boxes_xyxy_px=_array(row["boxes"], (t, 4)),
        keypoints_px=_array(row["keypoints"], (t, 5, 2)),
        median_face_px=float(row["median_face_px"]),
        hashes=tuple(row["hashes"]),
    )


def _numbers(values: FloatArray, digits: int) -> list[Any]:
    """Per slot a number or a (flattened) list of them, or null where there is no crop."""
    rows = values.reshape(len(values), -1).astype(float).round(digits).tolist()
    clean = [None if any(x != x for x in row) else row for row in rows]
    return [row[0] if row is not None and values.ndim == 1 else row for row in clean]


def _array(slots: list[Any], shape: tuple[int, ...]) -> FloatArray:
    empty = [np.nan] * int(np.prod(shape[1:])) if shape[1:] else np.nan
    rows = [empty if slot is None else slot for slot in slots]
    return np.array(rows, dtype=np.float32).reshape(shape)


def _with_records(entries: Sequence[StoreEntry], file: Path) -> list[StoreEntry]:
    records = {record.path: record for record in read_records(file)}
    return [
        dataclasses.replace(entry, record=records[entry.record.path])
        for entry in entries
        if entry.record.path in records
    ]
