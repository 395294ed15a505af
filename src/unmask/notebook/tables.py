"""Tables of what the cells show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from unmask import metrics
from unmask.clips import ClipStore
from unmask.config import TrainConfig
from unmask.data import Leak
from unmask.data.cache import choose_tier, free_bytes
from unmask.data.discover import Search
from unmask.data.loader import clip_items
from unmask.evaluation import read_predictions
from unmask.models import Detector, summary
from unmask.report.table import Table
from unmask.training.fabric import pick_accelerator, pick_precision
from unmask.training.overfit import Overfit
from unmask.types import VideoRecord
from unmask.verbs.doctor import Check

_SPLITS = ("train", "val", "test")
_MEASURES = {
    "auc_roc": "AUC-ROC",
    "auc_pr": "AUC-PR",
    "eer": "EER",
    "accuracy": "accuracy",
    "apcer": "APCER (manipulated missed)",
    "bpcer": "BPCER (authentic accused)",
    "ece": "ECE",
    "brier": "Brier score",
}


def checks_table(checks: Iterable[Check]) -> Table:
    """What works here, and how to mend what does not."""
    rows = tuple((c.status, c.name, c.found, c.remedy) for c in checks)
    return Table("What works here", ("", "what", "found", "to mend"), rows)


def search_table(search: Search) -> Table:
    """The datasets that were found; the first is used."""
    rows = []
    for place, one in enumerate(search.found):
        count = Counter(row.label for row in one.layout.rows)
        mark = "used" if place == 0 else ""
        rows.append((mark, str(one.path), one.layout.name, str(count[0]), str(count[1])))
    notes = [f"{path}: {why}" for path, why in search.refused]
    if len(rows) > 1:
        notes.append("To use another one, set base_path in cell 2 to its folder.")
    head = ("", "folder", "layout", "authentic", "manipulated")
    return Table(f"Datasets under {search.root}", head, tuple(rows), tuple(notes))


def settings_table(settings: TrainConfig) -> Table:
    """The settings that people change most."""
    clip, model, loop = settings.clip, settings.model, settings.loop
    limit = settings.data.videos_per_class
    accelerator = pick_accelerator(loop)
    rows = (
        ("data.videos_per_class", str(limit or "all"), "videos of a class and split"),
        ("clip.frames", str(clip.frames), "frames of a clip"),
        ("clip.size_px", str(clip.size_px), "side of a face crop"),
        ("model.backbone", model.backbone, "any timm model"),
        ("model.weights", model.weights, "imagenet, a file, package:NAME or random"),
        ("loop.epochs", str(loop.epochs), "passes over the training videos"),
        ("loop.batch_size", str(loop.batch_size or "automatic"), "clips an optimiser step"),
        ("loop.precision", pick_precision(loop, accelerator), f"on {accelerator}"),
        ("loop.devices", str(loop.devices), "GPUs"),
    )
    return Table("Settings (change them with overrides in cell 2)", ("key", "value", ""), rows)


def data_table(records: Sequence[VideoRecord], title: str, notes: Sequence[str] = ()) -> Table:
    """Videos and groups by split, class and method."""
    rows = []
    for split in _SPLITS:
        here = [record for record in records if record.split == split]
        kinds = Counter((record.label, record.method) for record in here)
        for (label, method), count in sorted(kinds.items()):
            groups = len({r.group for r in here if (r.label, r.method) == (label, method)})
            name = "manipulated" if label else "authentic"
            rows.append((split, name, method or "-", str(count), str(groups)))
    total = f"{len(records)} videos in {len({record.group for record in records})} groups"
    head = ("split", "class", "method", "videos", "groups")
    return Table(title, head, tuple(rows), (total, *notes))


def leaks_table(leaks: Sequence[Leak], allowed: Sequence[str] = ()) -> Table:
    """What crosses the splits, by kind."""
    names = {
        "sha256": "equal files",
        "near_duplicate": "nearly equal pictures",
        "group": "one person or source video",
    }
    rows = []
    for kind, name in names.items():
        found = [leak for leak in leaks if leak.kind == kind]
        verdict = "none" if not found else "let through" if kind in allowed else "STOPS TRAINING"
        pairs = [f"{leak.a} ({leak.splits[0]}) = {leak.b} ({leak.splits[1]})" for leak in found[:1]]
        rows.append((kind, name, str(len(found)), verdict, "".join(pairs)))
    head = ("kind", "in two splits", "found", "", "first")
    return Table("Leaks between the splits", head, tuple(rows))


def model_table(detector: Detector) -> Table:
    """Parts and parameters of a detector."""
    whole = summary(detector)
    rows = []
    for name, part in detector.named_children():
        parameters = list(part.parameters())
        count = sum(p.numel() for p in parameters)
        learns = sum(p.numel() for p in parameters if p.requires_grad)
        if count:
            rows.append((name, type(part).__name__, f"{count:,}", f"{learns:,}"))
    rows.append(("all", type(detector).__name__, f"{whole.parameters:,}", f"{whole.trainable:,}"))
    return Table(str(whole), ("part", "kind", "parameters", "learn"), tuple(rows))


def overfit_table(result: Overfit) -> Table:
    """Whether one batch was learned, and what to look at where it was not."""
    rows = (
        ("learned", "yes" if result.learned else "NO"),
        ("clips right", f"{result.right} of {len(result.labels)}"),
        ("loss", f"{result.losses[0]:.4f} -> {result.losses[-1]:.4f}"),
        ("steps", f"{len(result.losses) - 1} in {result.seconds:.1f} s on {result.device}"),
    )
    notes = (
        "Look at the pictures of cell 4 (are the labels right?), at optim.lr and optim.head_lr, "
        "and at model.weights. On a slow CPU the time limit may have ended it early.",
    )
    return Table("One batch", ("", ""), rows, () if result.learned else notes)


def usage_table(usage: Mapping[str, Any], title: str) -> Table:
    """A summary of `unmask.training.monitor.Monitor`."""
    names = {
        "images_per_second": "crops a second",
        "data_wait_share": "share of the time spent waiting for data",
        "gpu_utilisation": "GPU in use, 0-1",
        "gpu_memory_gib": "GPU memory, GiB",
        "cpu_utilisation": "processor in use, 0-1",
        "ram_gib": "memory of this process, GiB",
    }
    rows = tuple((names[k], f"{usage[k]:.2f}") for k in names if usage.get(k) is not None)
    return Table(title, ("", ""), rows)


def clips_table(store: ClipStore, settings: TrainConfig) -> Table:
    """What the loaders will read, and where it will lie while the model trains."""
    device = torch.device(pick_accelerator(settings.loop))
    device_free, ram_free = free_bytes(device)
    rows = []
    for split in _SPLITS:
        items = clip_items(store, split, main_track_only=split == "train")
        if not items:
            rows.append((split, "0", "-", "-"))
            continue
        size = sum(item.ref.size_bytes for item in items)
        wanted = settings.data.cache
        tier = wanted if wanted != "auto" else choose_tier(size, device_free, ram_free)
        rows.append((split, str(len(items)), f"{size / 2**20:.0f} MiB", tier))
    memory = f"free memory: {ram_free / 2**30:.1f} GiB"
    if device.type == "cuda":
        memory += f", on the GPU {device_free / 2**30:.1f} GiB"
    head = ("split", "clips", "pixels", "kept in")
    return Table("Loaders", head, tuple(rows), (memory,))


def devices_table(settings: TrainConfig, detector: Detector) -> Table:
    """On what the training will run, and with which rates."""
    loop = settings.loop
    accelerator = pick_accelerator(loop)
    several = "one process a device (DDP), started apart from the notebook"
    rows = [
        ("devices", f"{loop.devices} x {accelerator}"),
        ("processes", several if loop.devices > 1 else "this one"),
        ("precision", pick_precision(loop, accelerator)),
        ("memory layout", "channels last" if loop.channels_last else "standard"),
    ]
    groups: dict[str, list[float]] = {}
    for group in detector.parameter_groups(settings.optim):
        groups.setdefault(group["name"], []).append(group["lr"])
    rows += [(f"learning rate, {name}", f"{max(rates):g}") for name, rates in groups.items()]
    return Table("Set-up", ("", ""), tuple(rows))


def measures_table(labels: Sequence[int], logits: Sequence[float], title: str) -> Table:
    """A few measures of logits at threshold 0, with what each of them says."""
    rows = (
        ("AUC-ROC", _word(metrics.roc_auc(labels, logits)), "1: every fake above every real one"),
        ("accuracy", _word(metrics.accuracy(labels, logits, 0.0)), "right decisions of all"),
        ("APCER", _word(metrics.apcer(labels, logits, 0.0)), "manipulated ones that are missed"),
        ("BPCER", _word(metrics.bpcer(labels, logits, 0.0)), "authentic ones that are accused"),
        ("EER", _word(metrics.eer(labels, logits)), "both errors, where they are equal"),
    )
    return Table(title, ("measure", "value", "what it says"), rows)


def results_table(results: Mapping[str, Any]) -> Table:
    """The headline of ``experiment_results.json``: video and frame level, with intervals."""
    rows = tuple(
        (words, *(metrics.Estimate(**results[level][name]).text for level in ("video", "frame")))
        for name, words in _MEASURES.items()
        if name in results["video"]
    )
    counts = results["counts"]
    judged = f"{counts['judged']} of {counts['videos']} test videos judged"
    why = ", ".join(f"{code} {n}" for code, n in counts["not_judged"].items())
    title = "Test results, with 95 % intervals over groups"
    notes = (f"{judged}{f' (not judged: {why})' if why else ''}", results["convention"])
    return Table(title, ("", "video level", "frame level"), rows, notes)


def hardest_table(predictions: Path, count: int = 5) -> Table:
    """The test videos that the detector gets most wrong.

    Raises:
        InputError: ``predictions_unreadable``.
    """
    judged = [row for row in read_predictions(predictions) if row.score is not None]
    judged.sort(key=lambda row: -abs((row.score or 0.0) - row.label))
    rows = tuple(
        (
            row.path,
            "manipulated" if row.label else "authentic",
            f"{row.score:.3f}",
            "right" if row.decision == row.label else "WRONG",
        )
        for row in judged[:count]
    )
    return Table("Hardest test videos", ("video", "truth", "score", ""), rows)


def _word(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
