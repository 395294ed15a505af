"""unmask: tells whether the faces in a video were manipulated.

The verbs are functions: `detect` and `scan` need the light install only; `prepare`, `train`,
`evaluate`, `calibrate` and `export` come with ``unmask[train]``. They are imported when first used,
so that ``import unmask`` stays quick and never reaches torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unmask.errors import UnmaskError

if TYPE_CHECKING:
    from unmask.types import Verdict
    from unmask.verbs.calibrate import calibrate
    from unmask.verbs.detect import detect
    from unmask.verbs.doctor import doctor
    from unmask.verbs.evaluate import evaluate
    from unmask.verbs.export import export
    from unmask.verbs.prepare import prepare
    from unmask.verbs.scan import scan
    from unmask.verbs.train import train

__version__ = "0.1.0"

__all__ = [
    "UnmaskError",
    "Verdict",
    "__version__",
    "calibrate",
    "detect",
    "doctor",
    "evaluate",
    "export",
    "prepare",
    "scan",
    "train",
]

_VERBS = ("calibrate", "detect", "doctor", "evaluate", "export", "prepare", "scan", "train")


def __getattr__(name: str) -> Any:
    if name == "Verdict":  # with it comes NumPy, which `unmask --help` can do without
        return importlib.import_module("unmask.types").Verdict
    if name not in _VERBS:
        raise AttributeError(f"module 'unmask' has no attribute {name!r}")
    return getattr(importlib.import_module(f"unmask.verbs.{name}"), name)
