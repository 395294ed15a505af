"""Lay out what no detector here was trained on, as datasets that `calibrate` and `evaluate` read.

    python scripts/hold_out.py stills DFDC_FACES HELD_OUT
    python scripts/hold_out.py people DFDC_FACES HELD_OUT_PEOPLE
    python scripts/hold_out.py clips CLIPS CLIPS_HELD_OUT

Of a folder of stills its validation people, halved by a hash of their identity group: ``val`` to
calibrate by, ``test`` to report on; or all of them as ``val``, to calibrate by what ships (`unmask
calibrate` tells what its fit is worth on people left out of it). Of a folder of videos the
authentic recordings that a bank of faces keeps for validation, and all manipulated ones, as
``val``. Nothing is copied: the new folder holds a ``manifest.csv`` and links.
"""

from __future__ import annotations

import argparse
import csv
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from unmask.data.facebank import manifest_rows, recording_split
from unmask.errors import DatasetError

Cells = dict[str, str]


def main(arguments: Sequence[str] | None = None) -> None:
    """Choose rows, write the manifest, tell what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=list(RULES))
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args(arguments)
    if options.out.exists():
        parser.error(f"{options.out} is there already: name a new folder")
    try:
        rows = hold_out(options.data, options.out, RULES[options.what], COLUMNS[options.what])
    except DatasetError as error:
        parser.exit(2, f"[{error.code}] {error}\n")
    for (split, label), count in sorted(Counter((r["split"], r["label"]) for r in rows).items()):
        print(f"{split} {label}: {count}")


def half_of_people(row: Cells) -> str | None:
    """Validation people only: ``val`` or ``test`` by their identity group."""
    if row["split"] != "val":
        return None
    return "val" if zlib.crc32(row["identity_group"].encode()) % 2 else "test"


def unseen_recordings(row: Cells) -> str | None:
    """Manipulated videos and the authentic ones whose frames no bank trains on."""
    authentic = row["label"] == "real"
    if authentic and recording_split(PurePosixPath(row["file"]).stem) == "train":
        return None
    return "val"


def all_people(row: Cells) -> str | None:
    """Validation people, as ``val``."""
    return "val" if row["split"] == "val" else None


RULES: dict[str, Callable[[Cells], str | None]] = {
    "stills": half_of_people,
    "people": all_people,
    "clips": unseen_recordings,
}
COLUMNS = {
    "stills": ("file", "label", "split", "identity_group"),
    "people": ("file", "label", "split"),
    "clips": ("file", "label"),
}


def hold_out(
    data: Path, out: Path, rule: Callable[[Cells], str | None], columns: Sequence[str]
) -> list[Cells]:
    """Write ``out``; the rows that it holds, each with its new split.

    Raises:
        DatasetError: no manifest with these columns, or no row that is to be held out.
    """
    rows = manifest_rows(data, *columns)
    chosen = [{**row, "split": split} for row in rows if (split := rule(row))]
    if not chosen:
        raise DatasetError(f"{data} has no row that is to be held out.", code="dataset_empty")
    out.mkdir(parents=True)
    for top in sorted({PurePosixPath(row.get("shard") or row["file"]).parts[0] for row in chosen}):
        (out / top).symlink_to((data / top).resolve())
    with (out / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(chosen[0]))
        table.writeheader()
        table.writerows(chosen)
    return chosen


if __name__ == "__main__":
    main()
