"""Where the bytes of a manifest's records lie: files, or members of tar shards read in place."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile

from unmask.errors import DatasetError, MediaError
from unmask.files import sha256_file
from unmask.media import check_regular
from unmask.types import VideoRecord


@dataclass(frozen=True)
class Source:
    """The bytes of one record."""

    path: Path
    """The file, or the tar shard that it lies in."""
    offset: int | None
    """Of the member's first byte in the shard; None for a plain file."""
    size_bytes: int
    mtime_ns: int
    """Of the file, or of the shard."""
    suffix: str


def locate(root: Path, records: Iterable[VideoRecord]) -> dict[str, Source]:
    """Find the bytes of every record; those that are not there are left out.

    Raises:
        DatasetError: ``dataset_shard``: a tar shard is missing or damaged.
    """
    shards: dict[str, dict[str, Source]] = {}
    found: dict[str, Source] = {}
    for record in records:
        shard, inside, member = record.path.partition("::")
        if inside:
            if shard not in shards:
                shards[shard] = _members(root / shard)
            if member in shards[shard]:
                found[record.path] = shards[shard][member]
            continue
        path = root / record.path
        try:
            facts = path.stat()
        except OSError:
            continue
        found[record.path] = Source(
            path, None, facts.st_size, facts.st_mtime_ns, path.suffix.lower()
        )
    return found


@contextmanager
def as_file(source: Source) -> Iterator[Path]:
    """The record's bytes as a file: itself, or a temporary copy of the tar member."""
    if source.offset is None:
        yield source.path
        return
    with NamedTemporaryFile(prefix="unmask-", suffix=source.suffix) as file:
        file.write(_read(source))
        file.flush()
        yield Path(file.name)


def sha256_of(source: Source) -> str:
    """Hex SHA-256 of the record's bytes.

    Raises:
        MediaError: as `unmask.media.check_regular`; a pipe is refused before it could block.
    """
    if source.offset is not None:
        return hashlib.sha256(_read(source)).hexdigest()
    path = check_regular(source.path)
    try:
        return sha256_file(path)
    except OSError as error:
        raise _unreadable(source, error) from error


def _read(source: Source) -> bytes:
    try:
        with source.path.open("rb") as shard:
            shard.seek(source.offset or 0)
            return shard.read(source.size_bytes)
    except OSError as error:
        raise _unreadable(source, error) from error


def _unreadable(source: Source, error: OSError) -> MediaError:
    return MediaError(f"Cannot read {source.path}: {error.strerror}.", code="media_unreadable")


def _members(shard: Path) -> dict[str, Source]:
    """The plain files of an uncompressed tar."""
    try:
        mtime_ns = shard.stat().st_mtime_ns
        with tarfile.open(shard, "r:") as archive:
            return {
                member.name: Source(
                    shard,
                    member.offset_data,
                    member.size,
                    mtime_ns,
                    PurePosixPath(member.name).suffix.lower(),
                )
                for member in archive
                if member.isreg()
            }
    except (OSError, tarfile.TarError) as error:
        raise DatasetError(
            f"The shard {shard} cannot be read: {error}.",
            code="dataset_shard",
            hint="Shards are uncompressed tar files beside manifest.csv.",
        ) from error
