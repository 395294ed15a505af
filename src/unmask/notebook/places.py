"""Where a notebook finds its videos and weights, on Kaggle and elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from unmask.config import TrainConfig, load
from unmask.data.discover import FoundDataset, Search, find_datasets
from unmask.errors import DatasetError, ModelError
from unmask.models import Detector, build
from unmask.notebook.machine import gpus

KAGGLE_ROOT = "UNMASK_KAGGLE_ROOT"
"""Variable that names another folder in the place of ``/kaggle``, for rehearsals."""
BASE_PATH = "UNMASK_BASE_PATH"
"""Variable that sets the dataset's folder from outside."""
SETTINGS = "UNMASK_SETTINGS"
"""Variable with further ``key.sub=value`` words, one a line."""

CLASSIC = ("data.videos_per_class=120",)
"""What the classic setting adds to the defaults (configs/classic.yaml)."""

_LOCAL = ("data", "dataset", "datasets", "input")
_WEIGHTS_SUFFIXES = (".pth", ".pt", ".safetensors")
_DATA_DEPTH = 6  # Kaggle mounts at datasets/OWNER/NAME, and archives hold folders in folders
_WEIGHTS_DEPTH = 8  # models lie at models/OWNER/NAME/FRAMEWORK/VARIATION/VERSION


def kaggle_root() -> Path:
    """``/kaggle``, whether it is there or not."""
    return Path(os.environ.get(KAGGLE_ROOT) or "/kaggle")


def find_data(base_path: str | Path | None = None) -> Search:
    """Look for datasets in ``base_path`` or, without one, where this machine keeps its data.

    Without a path: the variable ``UNMASK_BASE_PATH``, else everything attached under
    ``/kaggle/input``, else the folders data, dataset, datasets, input of the working folder.

    Raises:
        DatasetError: ``dataset_missing`` or ``dataset_layout``, saying what there is instead.
    """
    given = base_path or os.environ.get(BASE_PATH)
    attached = kaggle_root() / "input"
    if given:
        root, root_too = Path(given).expanduser(), True
    elif attached.is_dir():
        root, root_too = attached, False
    else:
        local = [Path(name) for name in _LOCAL if Path(name).is_dir()]
        if not local:
            raise DatasetError(
                f"No videos: there is no {attached} and no folder {', '.join(_LOCAL)} here.",
                code="dataset_missing",
                hint="Set base_path in cell 2 to the folder that holds the videos.",
            )
        root, root_too = local[0], True
    if not root.is_dir():
        raise DatasetError(
            f"There is no folder {root}.",
            code="dataset_missing",
            hint=f"Set base_path in cell 2. {_names(root)}",
        )
    search = find_datasets(root, depth=_DATA_DEPTH, root_too=root_too)
    if not search.found:
        broken = "".join(f" {path}: {why}" for path, why in search.refused[:3])
        raise DatasetError(
            f"No dataset is recognised under {root}.{broken}",
            hint="Attach one (Add Input), or set base_path in cell 2. Known: folders real/ and "
            "fake/ (also within train/, val/, test/), DFDC with metadata.json, FaceForensics++, "
            f"Celeb-DF, manifest.csv. {_names(root / 'x')}",
        )
    return search


def choose_data(search: Search) -> FoundDataset:
    """The dataset to train on: with both classes, and the largest."""
    return search.found[0]


def scratch_folder() -> Path:
    """Where clips are kept: on Kaggle in ``temp``, which is not saved with the notebook."""
    root = kaggle_root()
    return root / "temp" / "unmask" if (root / "input").is_dir() else Path("stores")


def settings_from(words: Sequence[str] = ()) -> TrainConfig:
    """The classic setting on all GPUs, with ``key.sub=value`` words applied.

    ImageNet weights are taken from an attached file where there is one that is named like the
    backbone (see `backbone_weights`).

    Raises:
        ConfigError: a word that does not fit.
    """
    outside = [word.strip() for word in os.environ.get(SETTINGS, "").splitlines() if word.strip()]
    usable = gpus()
    machine = [f"loop.devices={max(usable, 1)}"]
    if torch.cuda.is_available() and not usable:  # there, but this torch has no code for it
        machine.append("loop.accelerator=cpu")
    settings = load(None, [*CLASSIC, *machine, *words, *outside])
    if settings.model.weights != "imagenet":
        return settings
    file = backbone_weights(settings.model.backbone)
    if file is None:
        return settings
    return replace(settings, model=replace(settings.model, weights=str(file)))


def model_of(settings: TrainConfig) -> Detector:
    """A fresh model of the settings.

    Raises:
        ModelError: ``model_download`` where ImageNet weights are neither attached nor can be
            fetched, saying what to attach.
        ConfigError: parts that do not go together.
    """
    try:
        return build(settings.model, settings.clip.size_px)
    except ModelError as error:
        if error.code != "model_download":
            raise
        name = settings.model.backbone
        raise ModelError(
            f"{error.message}. No weights file named like '{name}' is attached either.",
            code=error.code,
            hint=f"Attach one: Add Input -> a dataset with {name}*.pth (torchvision's or timm's), "
            "and run cell 2 again. Or switch the internet on (Settings -> Internet). Or, on "
            'purpose, begin at random: "model.weights=random" in overrides of cell 2.',
        ) from error


def backbone_weights(backbone: str) -> Path | None:
    """An attached weights file of a backbone, or None.

    Looked for under ``/kaggle/input`` and ``./weights``: ``resnet50*.pth`` (``.pt``,
    ``.safetensors``), or ``model.safetensors`` in a folder whose name has the backbone in it
    (``my-resnet50``; ``wide_resnet50_2`` is another one).
    """
    name = re.escape(backbone.lower())
    as_file = re.compile(rf"{name}([^a-z0-9].*)?")
    as_folder = re.compile(rf"(.*[^a-z0-9_])?{name}(?![a-z0-9])")
    for root in (kaggle_root() / "input", Path("weights")):
        for path in _weights_files(root, _WEIGHTS_DEPTH):
            if as_file.fullmatch(path.stem.lower()):
                return path
            if path.stem == "model" and as_folder.match(path.parent.name.lower()):
                return path
    return None


def _weights_files(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_file() and entry.name.lower().endswith(_WEIGHTS_SUFFIXES):
            yield Path(entry.path)
    for entry in entries:
        if depth > 1 and entry.is_dir() and not entry.name.startswith("."):
            yield from _weights_files(Path(entry.path), depth - 1)


def _names(path: Path) -> str:
    """What lies beside a path, in the nearest folder that exists."""
    folder = next((p for p in path.parents if p.is_dir()), Path())
    inner = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    shown = ", ".join(inner[:8]) + (" ..." if inner[8:] else "")
    return f"{folder} holds: {shown or 'nothing'}."
