"""What file names tell: the identities in a video and the video that it was made from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from unmask.data.rows import Row
from unmask.types import FAKE, REAL

FITS_SHARE = 0.95  # of all files, before a pattern is believed


@dataclass(frozen=True)
class NameFacts:
    """Identities and the source of one file, from its name."""

    identities: tuple[str, ...]
    """The video's owner first, then the donor of the face."""
    source_stem: str = ""


def faceforensics(stem: str) -> NameFacts | None:
    """FaceForensics++: ``000`` is authentic; ``000_003`` is 000 with the face of 003."""
    match = re.fullmatch(r"(\d{3})(?:_(\d{3}))?", stem)
    if not match:
        return None
    target, donor = match.groups()
    return NameFacts((target, donor), target) if donor else NameFacts((target,))


def celeb_df(stem: str) -> NameFacts | None:
    """Celeb-DF: ``id0_0001`` is authentic; ``id0_id1_0001`` is it with the face of id1."""
    match = re.fullmatch(r"(id\d+)(?:_(id\d+))?_(\d{4})", stem)
    if not match:
        return None
    target, donor, number = match.groups()
    return NameFacts((target, donor), f"{target}_{number}") if donor else NameFacts((target,))


def deepfake_detection(stem: str) -> NameFacts | None:
    """Google's DFD: ``01__scene`` is authentic; ``01_02__scene__CODE`` has the face of 02."""
    match = re.fullmatch(r"(\d\d)(?:_(\d\d))?__(.+?)(?:__[A-Z0-9]{8})?", stem)
    if not match:
        return None
    target, donor, scene = match.groups()
    return NameFacts((target, donor), f"{target}__{scene}") if donor else NameFacts((target,))


PATTERNS = {
    "FaceForensics++": faceforensics,
    "Celeb-DF": celeb_df,
    "DFD": deepfake_detection,
}


def with_name_facts(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Rows with the keys of the pattern that fits nearly all names, and that pattern's name.

    A pattern is believed only when it fits at least 95 % of the files, at least half of the fakes
    name two identities, and the authentic files name one: numbers alone prove nothing.
    """
    for name, read in PATTERNS.items():
        facts = [read(stem_of(row.path)) for row in rows]
        fakes = [f for f, row in zip(facts, rows, strict=True) if row.label == FAKE]
        reals = [f for f, row in zip(facts, rows, strict=True) if row.label == REAL]
        paired = sum(f is not None and bool(f.source_stem) for f in fakes)
        single = sum(f is not None and not f.source_stem for f in reals)
        fitting = sum(f is not None for f in facts)
        if (
            fitting >= FITS_SHARE * len(rows)
            and 2 * paired >= len(fakes)
            and single >= (FITS_SHARE * len(reals))
        ):
            return [_add(row, f, name) for row, f in zip(rows, facts, strict=True)], name
    return list(rows), ""


def with_facts(row: Row, dataset: str) -> Row:
    """A row with what its name says in a dataset that is known."""
    return _add(row, PATTERNS[dataset](stem_of(row.path)), dataset)


def stem_of(path: str) -> str:
    """File name without folders and suffix."""
    return PurePosixPath(path.rpartition("::")[2]).stem


def _add(row: Row, facts: NameFacts | None, dataset: str) -> Row:
    if facts is None:
        return row
    keys = tuple(f"{dataset}:{identity}" for identity in facts.identities)
    return dataclasses.replace(
        row, keys=row.keys + keys, owner=keys[0], source_stem=facts.source_stem
    )
