"""Where a run's time went, as one tree for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unmask.clips import ClipStore
from unmask.config import TrainConfig
from unmask.data.stages import STAGES
from unmask.training.checkpoint import RunState
from unmask.training.fabric import pick_accelerator, pick_precision

_BY_EPOCH = (
    *("images_per_second", "step_ms", "data_wait_share"),
    *("cpu_utilisation", "gpu_utilisation"),
)


def performance_of(state: RunState, config: TrainConfig, store: Path | None) -> dict[str, Any]:
    """The tree ``performance`` of ``experiment_results.json`` (docs/performance.md).

    Args:
        state: of a run that has ended.
        config: its settings.
        store: its clips; None for a bank of faces.
    """
    accelerator = pick_accelerator(config.loop)
    rows = [row for row in state.history if row["images_per_second"]]
    steps = _steps(rows)
    peaks = [row["gpu_memory_gib"] for row in rows if row["gpu_memory_gib"] is not None]
    return {
        "device": accelerator,
        "precision": pick_precision(config.loop, accelerator, config.model),
        "steps": sum(steps),
        "training_seconds": round(state.seconds, 2),
        "validation_seconds": _total(rows, "validation_seconds"),
        "images_per_second": _mean(rows, "images_per_second", steps),
        "step_ms": _mean(rows, "step_ms", steps),
        "stages_ms": {name: _mean(rows, f"{name}_ms", steps) for name in (*STAGES, "other")},
        "cpu_utilisation": _mean(rows, "cpu_utilisation", steps),
        "gpu_utilisation": _mean(rows, "gpu_utilisation", steps),
        "gpu_memory_gib": max(peaks, default=None),
        "memory_gib_of_a_step": state.amp_memory,
        "prepare": None if store is None else _prepare(ClipStore.open(store)),
        "by_epoch": [
            {"epoch": row["epoch"], **{name: row[name] for name in _BY_EPOCH}} for row in rows
        ],
        "over_time": state.course,
    }


def _steps(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Optimiser steps of each epoch: they weigh its means."""
    ends = [int(row["step"]) for row in rows]
    return [max(end - start, 1) for start, end in zip([0, *ends], ends, strict=False)]


def _mean(rows: Sequence[Mapping[str, Any]], name: str, weights: Sequence[int]) -> float | None:
    pairs = [
        (row[name], w) for row, w in zip(rows, weights, strict=True) if row.get(name) is not None
    ]
    if not pairs:
        return None
    mean = sum(value * weight for value, weight in pairs) / sum(w for _, w in pairs)
    return round(float(mean), 4)


def _total(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return round(sum(values), 2) if values else None


def _prepare(store: ClipStore) -> dict[str, Any] | None:
    """What cutting the clips took, whenever that was; None where the store does not tell."""
    timed = [entry for entry in store.entries if entry.timings]
    if not timed:
        return None
    means = {
        f"{name}_ms": round(1e3 * sum(e.timings[f"{name}_seconds"] for e in timed) / len(timed), 2)
        for name in ("decode", "faces")
    }
    frames = sum(entry.coverage.get("frames_analysed", 0) for entry in timed)
    return {"videos": len(timed), "frames": frames, **means}
