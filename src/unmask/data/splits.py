"""Groups of rows that belong together, and splits that no group crosses."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from unmask.clips import STILL_SUFFIXES
from unmask.data.rows import Row
from unmask.errors import DatasetError
from unmask.types import FAKE, REAL

LARGEST_GROUP_SHARE = 0.5  # above it, splitting by all identities at once is given up


def group_rows(rows: Sequence[Row], links: Iterable[tuple[str, str]] = ()) -> tuple[list[str], str]:
    """The group of every row, and a note where identities had to be given up.

    Rows that share a key (or are linked, by path) are one group, and so on transitively: the fake
    ``000_003`` binds 000 and 003 together. Where fakes bind nearly everybody to everybody (Celeb-DF
    swaps all pairs), that leaves a single group; then only the owner of the video counts, and the
    note says so. Rows without a key stand alone.
    """
    links = list(links)
    groups = _components([row.keys for row in rows], rows, links)
    largest = max(Counter(groups).values(), default=0)
    owned = any(row.owner for row in rows)
    if not owned or largest <= LARGEST_GROUP_SHARE * len(rows):
        return groups, ""
    owners = _components([(row.owner,) if row.owner else row.keys for row in rows], rows, links)
    return owners, (
        "the fakes bind nearly all identities together; grouped by whose video it is, so that a "
        "donor's face may stand in two splits"
    )


def assign_splits(
    rows: Sequence[Row], groups: Sequence[str], share: float, seed: int
) -> tuple[list[Row], list[str]]:
    """Rows with a split each, and notes on what was decided.

    Splits that the data gives are kept, with one exception: where there is no test split, the
    given validation split becomes it, since selection must never touch what is reported. What is
    missing is taken from the training split by group, about ``share`` of each class.
    """
    given = {row.split for row in rows}
    splits = [row.split or "train" for row in rows]
    notes = []
    if "train" not in splits:
        notes.append(f"no train split: {', '.join(sorted(given))} as given, for evaluation only")
        missing = []
    elif given >= {"train", "val"} and "test" not in given:
        splits = ["test" if split == "val" else split for split in splits]
        notes.append("the given val split is held out as test; val is taken from train by group")
        missing = ["val"]
    else:
        missing = [split for split in ("val", "test") if split not in given]
        if missing:
            notes.append(f"{' and '.join(missing)} taken from train by group")
    everything = Counter(row.label for row, s in zip(rows, splits, strict=True) if s == "train")
    for split in missing:
        taken = _take(rows, groups, splits, everything, share, f"{seed}:{split}", split)
        splits = [
            split if g in taken and s == "train" else s for g, s in zip(groups, splits, strict=True)
        ]
    return [dataclasses.replace(r, split=s) for r, s in zip(rows, splits, strict=True)], notes


def limit_rows(rows: Sequence[Row], groups: Sequence[str], count: int, seed: int) -> list[int]:
    """Positions of at most ``count`` rows of a class and split, taken in turn from all groups.

    The order of the groups is the same for both classes, so that fakes keep their sources.
    """
    by_class: dict[tuple[str, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for position, (row, group) in enumerate(zip(rows, groups, strict=True)):
        by_class[row.split, row.label][group].append(position)
    kept: list[int] = []
    for members in by_class.values():
        ordered = sorted(members, key=lambda group: _draw(seed, group))
        turns = [sorted(members[g], key=lambda p: _draw(seed, rows[p].path)) for g in ordered]
        ranked = [
            (turn, place, position)
            for place, positions in enumerate(turns)
            for turn, position in enumerate(positions)
        ]
        kept += [position for _, _, position in sorted(ranked)[:count]]
    return sorted(kept)


def check_rows(rows: Sequence[Row], root: object) -> None:
    """Refuse rows that no split can be made of.

    Raises:
        DatasetError: ``dataset_splits`` where only some rows have a split, ``dataset_mixed`` where
            stills stand beside videos, ``dataset_empty_class`` where a split lacks a class.
    """
    if len({bool(row.split) for row in rows}) == 2:
        raise DatasetError(
            f"Some videos of {root} have a split and some have none.",
            code="dataset_splits",
            hint="Give all rows a split, or none.",
        )
    stills = [row.path for row in rows if PurePosixPath(row.path).suffix.lower() in STILL_SUFFIXES]
    if 0 < len(stills) < len(rows):
        video = next(row.path for row in rows if row.path not in set(stills))
        raise DatasetError(
            f"{root} holds stills and videos ({stills[0]}, {video}).",
            code="dataset_mixed",
            hint="Make two datasets of them: their clips differ in length.",
        )
    counts = Counter((row.split, row.label) for row in rows)
    for split in sorted({row.split for row in rows}):
        for label, name in ((REAL, "authentic"), (FAKE, "manipulated")):
            if not counts[split, label]:
                raise DatasetError(
                    f"{root} has no {name} videos{f' in its {split} split' if split else ''} "
                    f"({counts[split, 1 - label]} of the other class).",
                    code="dataset_empty_class",
                    hint="A detector is trained and measured on both classes: add a folder "
                    f"'{'fake' if label else 'real'}'.",
                )


def _take(
    rows: Sequence[Row],
    groups: Sequence[str],
    splits: Sequence[str],
    everything: Mapping[int, int],
    share: float,
    seed: str,
    split: str,
) -> set[str]:
    """Groups of the training split that together come near ``share`` of each class."""
    content: dict[str, Counter[int]] = defaultdict(Counter)
    for row, group, current in zip(rows, groups, splits, strict=True):
        if current == "train":
            content[group][row.label] += 1
    wanted = {label: share * everything[label] for label in (REAL, FAKE)}
    left = {label: sum(c[label] for c in content.values()) for label in (REAL, FAKE)}
    have: Counter[int] = Counter()

    def off(counts: Mapping[int, int]) -> float:
        return sum(abs(counts[x] - wanted[x]) / max(wanted[x], 1e-9) for x in (REAL, FAKE))

    taken: set[str] = set()
    order = sorted(content, key=lambda group: _draw(seed, group))
    for group in order:
        both = have + content[group]
        if off(both) < off(have) and all(both[x] < left[x] for x in (REAL, FAKE)):
            have, taken = both, taken | {group}
    for label, name in ((REAL, "authentic"), (FAKE, "manipulated")):
        if have[label]:
            continue  # else the groups of this class are large: the one that fits least badly
        able = [
            group
            for group in order
            if group not in taken
            and content[group][label]
            and all((have + content[group])[x] < left[x] for x in (REAL, FAKE))
        ]
        if not able:
            raise DatasetError(
                f"A {split} split cannot be taken: the {name} training videos fall into "
                f"{sum(1 for c in content.values() if c[label])} group(s).",
                code="dataset_groups",
                hint="Give the splits yourself (train/, val/, test/), or finer groups in "
                "groups.csv (columns: path,group).",
            )
        best = min(able, key=lambda group: off(have + content[group]))
        have, taken = have + content[best], taken | {best}
    return taken


def _components(
    keys: Sequence[tuple[str, ...]], rows: Sequence[Row], links: Sequence[tuple[str, str]]
) -> list[str]:
    """Connected components of rows by shared keys and links; named by their smallest key."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    def join(a: str, b: str) -> None:
        low, high = sorted((root(a), root(b)))
        parent[high] = low  # the smallest name stays on top, whatever the order of the rows

    anchors = [
        row_keys[0] if row_keys else row.path for row_keys, row in zip(keys, rows, strict=True)
    ]
    for anchor, row_keys in zip(anchors, keys, strict=True):
        for key in row_keys:
            join(anchor, key)
    anchor_of = {row.path: anchor for row, anchor in zip(rows, anchors, strict=True)}
    for a, b in links:
        if a in anchor_of and b in anchor_of:
            join(anchor_of[a], anchor_of[b])
    return [root(anchor) for anchor in anchors]


def _draw(seed: object, name: str) -> str:
    """A random number that depends on nothing but the seed and the name."""
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()
