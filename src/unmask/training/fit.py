"""From a clip store to a trained, calibrated detector: the part of a run that needs the devices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from unmask.clips import ClipStore
from unmask.config import TrainConfig, from_dict, to_dict
from unmask.data.cache import build_cache
from unmask.data.loader import ClipItem, ClipLoader, clip_items
from unmask.errors import DatasetError, RunError
from unmask.models import build, load_checkpoint, save_model
from unmask.progress import say
from unmask.scoring import Calibration
from unmask.scoring import fit as fit_calibration
from unmask.training.batch_size import is_out_of_memory
from unmask.training.checkpoint import RunState
from unmask.training.fabric import build_fabric
from unmask.training.loop import Trainer
from unmask.training.validate import score_clips, video_logits


def fit(config: TrainConfig, store: Path, run: Path) -> RunState:
    """Train on ``store`` (or resume what ``run`` holds) and leave ``models/best_model.pth`` and
    ``.safetensors`` with the calibration fitted on validation.

    Raises:
        DatasetError: ``dataset_empty_split`` when train or val has no clip.
        RunError: see `unmask.training.checkpoint` and `unmask.training.loop`.
    """
    fabric = build_fabric(config.loop)
    state: RunState = fabric.launch(_fit, to_dict(config), store, run)  # type: ignore[arg-type]
    return state


def _fit(fabric: Fabric, settings: dict[str, Any], store_path: Path, run: Path) -> RunState:
    """On every rank. Settings travel as plain values: Fabric refuses frozen dataclasses."""
    config = from_dict(TrainConfig, settings)
    fabric.seed_everything(config.loop.seed, verbose=False)
    store = ClipStore.open(store_path)
    train = _loader(fabric, config, store, "train")
    val = _loader(fabric, config, store, "val")
    if fabric.is_global_zero:
        say(
            f"Training {config.model.name} ({config.model.backbone}) on {fabric.device}: "
            f"{len(train.items)} train clips in {_tier(train, fabric.device)}, "
            f"{len(val.items)} val clips; {fabric.world_size} device(s)."
        )
    model = build(config.model, config.clip.size_px)
    state = Trainer(fabric, config, model, train, val, run).fit()
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
    try:
        return trainer._find_batch_size()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(
            "The memory is too small for a single clip.",
            code="run_memory",
            hint="Lower clip.frames or clip.size_px, or choose a smaller model.backbone.",
        ) from error


def calibrate(fabric: Fabric, val: ClipLoader, run: Path) -> Calibration:
    """Fit temperature, offset and threshold of the best model on validation, and store them."""
    pth = run / "models" / "best_model.pth"
    detector, best = load_checkpoint(pth)
    detector.to(fabric.device)
    alone = Fabric(accelerator=fabric.device.type, devices=1) if fabric.world_size > 1 else fabric
    scores, _ = score_clips(alone, detector, val, 32, None)
    labels, logits = video_logits(val.items, scores.clip_logits)
    calibration = fit_calibration(logits, labels)
    for note in calibration.notes:
        say(f"Calibration: {note}")
    save_model(
        pth,
        pth.with_suffix(".safetensors"),
        detector,
        best.config,
        calibration=calibration.to_dict(),
        metrics=best.metrics,
        name=best.name,
        version=best.version,
    )
    return calibration


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


def _tier(loader: ClipLoader, device: torch.device) -> str:
    tier = loader.cache.tier
    if tier == "device":
        return "memory" if device.type == "cpu" else "device memory"
    return {"ram": "pinned RAM", "shards": "shards on disk"}[tier]
