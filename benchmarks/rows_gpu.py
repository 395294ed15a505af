"""Rows of the table that need a GPU, read from the file that `benchmarks/gpu.py` wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from measure import Figure, Row

_AMP = "training memory at batch 8, mixed precision"
GPU_ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row("gpu-use", "GPU in use in the training loop", "all of the time", ">=", 0.9, "%"),
        Row(
            "gpu-loop",
            "training loop on a GPU by speed",
            "the same steps on one resident batch",
            ">=",
            0.95,
        ),
        Row(
            "gpu-train",
            "240 videos x 16 frames x 160 px x 25 epochs, ResNet50-BiLSTM-attention",
            "1-1.5 h claimed on a T4",
            "<=",
            180,
            "s",
        ),
        Row(
            "gpu-infer",
            "8 clips x 16 frames x 160 px, same model, host to logits",
            "5-10 ms a batch claimed on a T4",
            "<=",
            4,
            "ms",
        ),
        Row("gpu-memory", _AMP, "fp32", "<=", 0.6),
        Row("gpu-memory-gb", _AMP, "4-6 GB claimed", "<=", 4, "GB"),
        Row("gpu-prepare", "prepare on the GPU by speed, 1080p", "all CPU cores", ">=", 3),
    )
}
_IN_GPU_FILE = {
    "gpu-use": ("GPU utilisation", "%"),
    "gpu-loop": ("training loop", "of its speed"),
    "gpu-train": ("240 videos", "s"),
    "gpu-infer": ("inference of", "ms"),
    "gpu-memory": ("AMP training memory", "of it"),
    "gpu-memory-gb": ("AMP training memory", "GB"),
    "gpu-prepare": ("GPU prepare", "times as fast"),
}
"""How benchmarks/gpu.py calls each row: the beginning of its words, and its unit."""


def gpu_row(name: str, file: Path | None) -> Row:
    """A row as the GPU's results tell it."""
    row, (begins, unit) = GPU_ROWS[name], _IN_GPU_FILE[name]
    if file is None:
        return replace(row, note="not measured: no GPU")
    found = json.loads(file.read_text(encoding="utf-8"))
    for one in found["rows"]:
        if one["what"].startswith(begins) and one["unit"] == unit and one["value"] is not None:
            value = one["value"] / (100 if unit == "%" else 1)
            device = found["machine"]["device"]
            return replace(row, wall=Figure(value, value, value), note=device)
    return replace(row, note=f"not measured: not in {file.name}")
