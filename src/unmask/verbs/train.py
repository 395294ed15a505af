"""The verb `train`: a folder of videos (a store of clips, a bank of faces) in, a finished run out.

prepare -> leak check -> fit -> export -> evaluate. A bank of faces, from which pairs are made while
training runs, has no test split: such a run ends with the export and a report of the training.
Whatever was interrupted is taken up again by the same command.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from unmask.clips import ClipStore, is_store
from unmask.config import TrainConfig, dump, from_dict, load, override, to_dict
from unmask.data import check_leaks, raise_on_leaks, read_manifest
from unmask.errors import RunError
from unmask.evaluation.history import write_history
from unmask.evaluation.plots import plot_history
from unmask.files import path_text, place_digest, sha256_file, write_json, write_text
from unmask.progress import say
from unmask.report.text import training_text
from unmask.training.checkpoint import RunState, run_lock
from unmask.training.environment import describe_environment
from unmask.training.fit import fit
from unmask.training.performance import performance_of
from unmask.verbs.evaluate import evaluate
from unmask.verbs.export import export
from unmask.verbs.prepare import prepare, store_name


@dataclass(frozen=True)
class TrainReport:
    """What a run came to."""

    run: Path
    state: RunState
    results: dict[str, Any]
    """As in ``results/experiment_results.json``; empty after training on a bank."""


def train(
    data: Path | str,
    *,
    config: TrainConfig | Path | str | None = None,
    out: Path | str | None = None,
    overrides: Sequence[str] = (),
) -> TrainReport:
    """Train, export and evaluate a detector; run again to resume.

    Args:
        data: a dataset folder (any layout of docs/data.md), a store made by `prepare`, or a bank
            of faces (``.npz``, docs/pseudo-fakes.md).
        config: settings, a YAML file, or None for the defaults.
        out: the run's folder; default ``runs/<data>-<model>``.
        overrides: ``key.sub=value`` words on top of ``config``.

    Raises:
        ConfigError, DatasetError, LeakError, StoreError, ModelError, RunError: see `unmask.errors`.
    """
    settings, data = _settings(config, overrides), Path(data)
    run = Path(out or Path("runs") / f"{data.resolve().name}-{settings.model.name}")
    bank = data.is_file()
    if not bank and not is_store(data):
        read_manifest(data, settings.data, settings.loop.seed)  # no folder is made for a mistake
    with run_lock(run):
        _claim(run, settings)
        clips = None if bank else _checked_store(data, run, settings)
        _claim_data(run, data, sha256_file(data) if clips is None else clips.digest())
        store = data if clips is None else clips.path
        state = fit(settings, store, run)
        write_history(state.history, run / "results" / "training_history.csv")
        plot_history(state.history, run / "results" / "training_history.png", state.course)
        model = export(run)
        training = _summary(state)
        performance = performance_of(state, settings, None if bank else store)
        if bank:
            results = {}
            text = training_text(training, performance)
            write_text(run / "results" / "experiment_report.txt", text)
        else:
            results = evaluate(
                run,
                store,
                split="test",
                out=run / "results",
                training=training,
                performance=performance,
            )
    say(f"Done: {run}  (detect with: unmask detect VIDEO --model {model})")
    return TrainReport(run, state, results)


def _settings(config: TrainConfig | Path | str | None, overrides: Sequence[str]) -> TrainConfig:
    if isinstance(config, TrainConfig):
        return _with(config, overrides)
    return load(Path(config) if config is not None else None, overrides)


def _with(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    return from_dict(TrainConfig, override(to_dict(config), overrides)) if overrides else config


def _claim(run: Path, settings: TrainConfig) -> None:
    """Write ``config.yaml``, or refuse a folder that was begun with other settings."""
    file = run / "config.yaml"
    if file.exists() and (run / "models" / "last" / "LATEST").exists():
        known = from_dict(TrainConfig, yaml.safe_load(file.read_text(encoding="utf-8")))
        if _decisive(known) != _decisive(settings):
            difference = _difference(_decisive(known), _decisive(settings))
            raise RunError(
                f"{run} was begun with other settings ({difference}).",
                code="run_config",
                hint="Choose another --out, or give the same settings to resume.",
            )
    write_text(file, dump(settings))


def _decisive(settings: TrainConfig) -> TrainConfig:
    """The settings without those that may change when a run is taken up again: the machine, where
    the first weights lay (they are in the checkpoint), and how long it may take."""
    usual = TrainConfig()
    loop = replace(
        settings.loop,
        devices=usual.loop.devices,
        accelerator=usual.loop.accelerator,
        max_minutes=usual.loop.max_minutes,
    )
    data = replace(
        settings.data,
        workers=usual.data.workers,
        cache=usual.data.cache,
        decoder=usual.data.decoder,
    )
    model = replace(settings.model, weights=usual.model.weights)
    return replace(settings, loop=loop, data=data, model=model)


def _claim_data(run: Path, data: Path, digest: str) -> None:
    """Write ``environment.json``, or refuse a folder that was begun on other data. Data that moved
    is the same, and so is a folder whose content changed, which is only told."""
    file = run / "environment.json"
    place = place_digest(data)
    here = {"name": path_text(data.resolve().name), "place_sha256": place, "sha256": digest}
    if file.exists() and (run / "models" / "last" / "LATEST").exists():
        known = json.loads(file.read_text(encoding="utf-8")).get("data", here)
        if known["sha256"] != digest and known["place_sha256"] != place:
            raise RunError(
                f"{run} was begun on other data ('{known['name']}').",
                code="run_data",
                hint="Choose another --out, or give the same data to resume.",
            )
        if known["sha256"] != digest:
            say(f"{data} has changed since {run} was begun; the run goes on with what it is now.")
    write_json(file, {**describe_environment(), "data": here})


def _difference(old: Any, new: Any, where: str = "") -> str:
    """The settings that differ, as ``key: old -> new``."""
    changes = []
    for field in dataclasses.fields(old):
        a, b = getattr(old, field.name), getattr(new, field.name)
        if a == b:
            continue
        path = f"{where}{field.name}"
        nested = dataclasses.is_dataclass(a)
        changes.append(_difference(a, b, f"{path}.") if nested else f"{path}: {a} -> {b}")
    return ", ".join(changes)


def _checked_store(data: Path, run: Path, settings: TrainConfig) -> ClipStore:
    """The store to train on, its splits held apart."""
    store = _clips(data, run, settings)
    raise_on_leaks(check_leaks(store), settings.data.allow_leaks)
    return store


def _clips(data: Path, run: Path, settings: TrainConfig) -> ClipStore:
    """The store that ``data`` is, or one made of it beside the run."""
    if is_store(data):
        return ClipStore.open(data, settings.clip)
    folder = run.parent / "stores" / store_name(data, settings.clip)
    prepare(
        data,
        folder,
        clip=settings.clip,
        data_config=settings.data,
        seed=settings.loop.seed,
    )
    return ClipStore.open(folder, settings.clip)


def _summary(state: RunState) -> dict[str, Any]:
    """What the report says about the training itself."""
    rows = [row for row in state.history if row["images_per_second"]]
    return {
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "batch_size": state.batch_size,
        "seconds": round(state.seconds, 1),
        "best_val_auc_video": next(
            (row["val_auc_video"] for row in state.history if row["epoch"] == state.best_epoch),
            None,
        ),
        "images_per_second": max((row["images_per_second"] for row in rows), default=None),
        "data_wait_share": rows[-1]["data_wait_share"] if rows else None,
        "gpu_utilisation": rows[-1]["gpu_utilisation"] if rows else None,
        "rollbacks": state.rollbacks,
    }
