"""Whether a GPU decodes, and which files are worth its while; torch is imported only to ask it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal

from unmask.errors import RunError
from unmask.media.hardware import missing_driver

Wanted = Literal["auto", "cpu", "cuda"]

PAYS_FROM_MEGAPIXELS: float | None = None
"""A file's pictures times their pixels from which NVDEC beats all cores: what the row "crossover"
of benchmarks/gpu.py says. None: not measured yet, and ``auto`` stays on the CPU."""


@dataclass(frozen=True)
class Choice:
    """Where the files of a job are decoded."""

    decoder: Literal["cpu", "cuda"]
    least_megapixels: float = 0.0
    """Files with less to decode (pictures times pixels) are decoded on the CPU all the same."""
    note: str = ""
    """What the user should know of it."""


def choose(wanted: Wanted, pays_from_megapixels: float | None = PAYS_FROM_MEGAPIXELS) -> Choice:
    """Settle where to decode.

    Args:
        wanted: ``cpu``; ``cuda``: every file that the GPU can take; ``auto``: those that it decodes
            faster.
        pays_from_megapixels: as `PAYS_FROM_MEGAPIXELS`.

    Raises:
        RunError: ``run_decoder``: ``cuda`` is wanted where no file can be decoded on a GPU.
    """
    if wanted == "cpu":
        return Choice("cpu")
    missing = missing_gpu()
    if wanted == "cuda":
        if missing:
            raise RunError(
                f"Videos cannot be decoded on a GPU. {missing}",
                code="run_decoder",
                hint="Run 'unmask doctor', or choose the decoder auto or cpu.",
            )
        return Choice("cuda")
    if missing:
        return Choice("cpu")
    if pays_from_megapixels is None:
        note = (
            "decoded on the CPU: from which size on the GPU is faster has not been measured "
            "(docs/gpu.md); --decoder cuda takes it"
        )
        return Choice("cpu", note=note)
    return Choice("cuda", pays_from_megapixels)


def missing_gpu() -> str:
    """Why pictures cannot be decoded and kept on a GPU here; empty where they can.

    torch is imported only where PyAV and the driver would do.
    """
    missing = missing_driver()
    if missing:
        return missing
    if importlib.util.find_spec("torch") is None:
        return "There is a GPU, but torch is not installed (pip install 'unmask[train]')."
    import torch

    if not torch.cuda.is_available():
        return "There is a GPU, but this torch cannot use it."
    return ""
