"""From clips or a bank of faces to a calibrated detector: the part of a run that needs devices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from unmask.clips import ClipStore
from unmask.config import TrainConfig, from_dict, to_dict
from unmask.data.cache import build_cache
from unmask.data.facebank import FaceBank
from unmask.data.loader import ClipItem, ClipLoader, TrainingData, clip_items
from unmask.data.pairs import pair_loaders
from unmask.errors import DatasetError, ModelError
from unmask.models import Detector, build, load_checkpoint, save_calibrated
from unmask.progress import say
from unmask.scoring import Calibration, Guard, fit_familiarity
from unmask.scoring import fit as fit_calibration
from unmask.training.checkpoint import RunState
from unmask.training.fabric import build_fabric, tune_cuda
from unmask.training.loop import Trainer
from unmask.training.validate import crop_features, crop_sources, score_clips, video_logits
from unmask.weights import locate


def fit(config: TrainConfig, data: Path, run: Path) -> RunState:
    """Train on ``data``, a clip store or a bank of faces, or resume what ``run`` holds.

    Leaves ``models/best_model.pth`` and ``.safetensors`` with the calibration fitted on validation.

    Raises:
        DatasetError: ``dataset_empty_split`` when train or val has no clip.
        RunError: see `unmask.training.checkpoint` and `unmask.training.loop`.
    """
    fabric = build_fabric(config.loop, config.model)
    state: RunState = fabric.launch(_fit, to_dict(config), data, run)  # type: ignore[arg-type]
    return state


def _fit(fabric: Fabric, settings: dict[str, Any], data: Path, run: Path) -> RunState:
    """On every rank. Settings travel as plain values: Fabric refuses frozen dataclasses."""
    config = from_dict(TrainConfig, settings)
    tune_cuda(fabric.device, deterministic=config.loop.deterministic)
    fabric.seed_everything(config.loop.seed, verbose=False)
    model = build(config.model, config.clip.size_px)
    train, val = _loaders(fabric, config, data, run, getattr(model, "cells", 1))
    if fabric.is_global_zero:
        say(
            f"Training {config.model.name} ({config.model.backbone}) on {fabric.device}: "
            f"{train.describe()} to train, {val.describe()} to validate; "
            f"{fabric.world_size} device(s)."
        )
    if config.loop.start_from:
        _start_from(model, locate(config.loop.start_from, in_float=True))
    teacher = _teacher(config) if config.loss.teacher else None
    state = Trainer(fabric, config, model, train, val, run, teacher).fit()
    if fabric.is_global_zero:
        calibrate(fabric, val, run)
    fabric.barrier()
    return state


def probe_batch_size(config: TrainConfig, store: Path) -> int:
    """The clips a step that `fit` would find on one device now; nothing is kept.

    Raises:
        DatasetError: as `fit`.
        RunError: ``run_memory``: not even one clip fits.
    """
    fabric = build_fabric(replace(config.loop, devices=1))
    train = _loader(fabric, config, ClipStore.open(store), "train")
    model = build(config.model, config.clip.size_px)
    trainer = Trainer(fabric, config, model, train, train, Path())
    return trainer.find_batch_size()


def calibrate(fabric: Fabric, val: ClipLoader, run: Path) -> Calibration:
    """Fit temperature, offset and threshold of the best model on validation, and store them."""
    pth = run / "models" / "best_model.pth"
    detector, best = load_checkpoint(pth)
    detector.to(fabric.device)
    alone = Fabric(accelerator=fabric.device.type, devices=1) if fabric.world_size > 1 else fabric
    scores, _ = score_clips(alone, detector, val, 32, None, features=True)
    labels, logits = video_logits(val.items, scores.clip_logits)
    calibration = fit_calibration(logits, labels)
    told = crop_features(val.items, scores)
    known = fit_familiarity(told, crop_sources(val.items)) if len(told) else None
    guard = Guard(familiarity=known)
    for note in calibration.notes:
        say(f"Calibration: {note}")
    save_calibrated(pth, detector, best, calibration.to_dict() | guard.to_record())
    return calibration


def _start_from(model: Detector, path: Path) -> None:
    """Fill a fresh model with the weights of a trained one: of the same shape, or deeper, whose
    last blocks are then left behind, or without a patch map."""
    trained, _ = load_checkpoint(path)
    state, ours = trained.state_dict(), model.state_dict()
    deeper = [name for name in state.keys() - ours.keys() if ".blocks." in name]
    for name in deeper:
        del state[name]
    for name in ours.keys() - state.keys():
        if name.startswith("patch_classifier."):  # a map that the trained one had not
            state[name] = ours[name]
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"loop.start_from: '{path.name}' is of another network: {str(error).splitlines()[0]}",
            code="model_mismatch",
            hint="Use the model settings that it was trained with.",
        ) from error
    if deeper:
        say(f"loop.start_from: the deeper blocks of '{path.name}' are left behind.")


def _teacher(config: TrainConfig) -> Detector:
    """The detector to learn from; it must look at the same crops."""
    teacher, about = load_checkpoint(locate(config.loss.teacher, in_float=True))
    ours, theirs = config.clip, about.config.clip
    if (ours.size_px, ours.margin) != (theirs.size_px, theirs.margin):
        raise ModelError(
            f"loss.teacher looks at crops of {theirs.size_px} px with margin {theirs.margin}, "
            f"this run at {ours.size_px} px with margin {ours.margin}.",
            code="model_mismatch",
            hint="Set clip.size_px and clip.margin to the teacher's.",
        )
    return teacher


def _loaders(
    fabric: Fabric, config: TrainConfig, data: Path, run: Path, cells: int
) -> tuple[TrainingData, ClipLoader]:
    if data.is_file():
        bank = FaceBank.load(data)
        return pair_loaders(bank, config, fabric.device, run / "validation.npz", cells)
    store = ClipStore.open(data)
    return _loader(fabric, config, store, "train"), _loader(fabric, config, store, "val")


def _loader(fabric: Fabric, config: TrainConfig, store: ClipStore, split: str) -> ClipLoader:
    items = clip_items(store, split, main_track_only=split == "train")
    _check(items, split)
    cache = build_cache(store, [item.ref for item in items], fabric.device, config.data.cache)
    return ClipLoader(
        items,
        cache,
        fabric.device,
        seed=config.loop.seed,
        pair_sources=config.data.pair_sources and split == "train",
    )


def _check(items: list[ClipItem], split: str) -> None:
    if not items:
        raise DatasetError(
            f"The {split} split has no clip.",
            code="dataset_empty_split",
            hint="See problems.csv in the store for the videos that gave none.",
        )
    if split == "train" and len({item.record.label for item in items}) < 2:
        raise DatasetError(
            "The train split has clips of one class only.",
            code="dataset_empty_class",
            hint="See problems.csv in the store for the videos that gave none.",
        )
