"""Leaks: the same file, nearly the same pictures, or the same group in two splits.

A detector that has seen a test video, its twin or its people in training is not tested by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unmask.clips import ClipStore, StoreEntry
from unmask.clips.fingerprint import as_words
from unmask.errors import LeakError

NEAR_BITS = 24
"""Crops whose hashes differ in at most this many of 256 bits are near-duplicates.

Measured: re-encoded and reused recordings lie at 2-22 bits; other videos of the same people in the
same studio at 45 and more; stills of different people in a set of 15,000 at 28 and more.
"""

_BLOCK = 1024  # rows of hashes compared at once

Kind = Literal["sha256", "near_duplicate", "group"]


@dataclass(frozen=True)
class Leak:
    """Two videos that stand in different splits but should not."""

    kind: Kind
    splits: tuple[str, str]
    a: str
    """Path of the one video."""
    b: str
    """Path of the other."""


def check_leaks(store: ClipStore) -> list[Leak]:
    """What crosses the splits of a store, by kind: equal files, near-duplicates, groups.

    Of a group that crosses, one pair of videos for each pair of splits is told. Videos without
    clips are neither trained nor tested on, and so leak nothing.
    """
    entries = _with_clips(store.entries)
    leaks = [_leak("sha256", a, b) for a, b in _equal_files(entries)]
    leaks += [_leak("near_duplicate", a, b) for a, b in _near_duplicates(entries)]
    crossing = [leak for leak in leaks if leak.splits[0] != leak.splits[1]]
    return crossing + list(_crossing_groups(entries))


def find_twins(entries: Sequence[StoreEntry]) -> list[tuple[str, str]]:
    """Pairs of paths with equal files or near-duplicate crops, whatever their splits."""
    entries = _with_clips(entries)
    pairs = [*_equal_files(entries), *_near_duplicates(entries)]
    return sorted({(a.record.path, b.record.path) for a, b in pairs})


def raise_on_leaks(leaks: Sequence[Leak], allow: Collection[str] = ()) -> None:
    """Stop where there are leaks of a kind that is not let through by name.

    Raises:
        LeakError: ``leak_sha256``, ``leak_near_duplicate`` or ``leak_group``.
    """
    for kind in ("sha256", "near_duplicate", "group"):
        found = [leak for leak in leaks if leak.kind == kind]
        if not found or kind in allow:
            continue
        shown = "; ".join(f"{x.a} ({x.splits[0]}) = {x.b} ({x.splits[1]})" for x in found[:3])
        raise LeakError(
            f"{len(found)} {_NAMES[kind]} in two splits: {shown}{' ...' if found[3:] else ''}.",
            code=f"leak_{kind}",
            hint="Put them into one split (groups.csv: path,group), or let them through by name: "
            f"data.allow_leaks=[{', '.join(sorted({*allow, kind}))}].",
        )


_NAMES = {
    "sha256": "pair(s) of equal files stand",
    "near_duplicate": "pair(s) of nearly equal videos stand",
    "group": "group(s) of source videos or identities stand",
}


def _with_clips(entries: Sequence[StoreEntry]) -> list[StoreEntry]:
    return [entry for entry in entries if entry.clips]


def _leak(kind: Kind, a: StoreEntry, b: StoreEntry) -> Leak:
    return Leak(kind, (a.record.split, b.record.split), a.record.path, b.record.path)


def _equal_files(entries: Sequence[StoreEntry]) -> Iterator[tuple[StoreEntry, StoreEntry]]:
    """Each file with the first of every other split that has its content, and one within."""
    first: dict[str, dict[str, StoreEntry]] = defaultdict(dict)
    for entry in entries:
        if not entry.record.sha256:
            continue
        known = first[entry.record.sha256]
        yield from ((other, entry) for other in known.values())
        known.setdefault(entry.record.split, entry)


def _near_duplicates(entries: Sequence[StoreEntry]) -> list[tuple[StoreEntry, StoreEntry]]:
    """Pairs of different files with crops that look the same."""
    owners: list[int] = []
    hashes: list[str] = []
    for position, entry in enumerate(entries):
        for ref in entry.clips:
            owners += [position] * len(ref.hashes)
            hashes += ref.hashes
    if not hashes:
        return []
    owner = np.array(owners)
    pairs = {
        (min(a, b), max(a, b))
        for a, b in owner[_close_pairs(as_words(hashes))].tolist()
        if a != b and entries[a].record.sha256 != entries[b].record.sha256
    }
    return [(entries[a], entries[b]) for a, b in sorted(pairs)]


def _close_pairs(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Positions ``(n, 2)`` of hashes that differ in at most `NEAR_BITS` bits."""
    found = []
    for start in range(0, len(words), _BLOCK):
        block = words[start : start + _BLOCK]
        rest = words[start:]
        bits = np.zeros((len(block), len(rest)), dtype=np.uint16)
        for word in range(words.shape[1]):
            bits += np.bitwise_count(block[:, None, word] ^ rest[None, :, word])
        near = np.argwhere(bits <= NEAR_BITS)
        found.append(near[near[:, 0] < near[:, 1]] + start)
    return np.concatenate(found)


def _crossing_groups(entries: Sequence[StoreEntry]) -> Iterator[Leak]:
    first: dict[str, dict[str, StoreEntry]] = defaultdict(dict)
    for entry in entries:
        known = first[entry.record.group]
        if entry.record.split not in known:
            yield from (_leak("group", other, entry) for other in known.values())
            known[entry.record.split] = entry
