"""One page for people: where each millisecond of a run went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_BAR, _EPOCH_LINES = 40, 10
_STAGES = {
    "wait": "waiting for a batch",
    "transfer": "transfer to the device",
    "augment": "augmentation",
    "forward": "forward and loss",
    "backward": "backward",
    "optimiser": "optimiser",
    "other": "everything else",
}


def performance_lines(tree: Mapping[str, Any]) -> list[str]:
    """The tree ``performance`` of a run (`unmask.training.performance`) as lines."""
    if not tree["steps"]:
        return ["no epoch was trained in this run"]
    return [
        *_facts(tree),
        "",
        f"A step, {_number(tree['step_ms'])} ms:",
        *_shares({_STAGES[name]: ms for name, ms in tree["stages_ms"].items()}),
        *_prepare(tree["prepare"]),
        "",
        "By epoch:",
        *_epochs(tree["by_epoch"]),
        "",
        "Over time: training_history.png.",
    ]


def _facts(tree: Mapping[str, Any]) -> list[str]:
    validation = tree["validation_seconds"]
    return [
        f"training      {_number(tree['training_seconds'])} s, {tree['steps']} steps, "
        f"{_number(tree['images_per_second'])} crops a second"
        + ("" if validation is None else f"; validation {_number(validation)} s"),
        f"device        {tree['device']}, {tree['precision']}",
        f"in use        processor {_share(tree['cpu_utilisation'])}, "
        f"GPU {_share(tree['gpu_utilisation'])}",
        f"GPU memory    {_memory(tree)}",
    ]


def _memory(tree: Mapping[str, Any]) -> str:
    if tree["device"] == "cpu":
        return "none: trained on a CPU; so what mixed precision saves is not measured"
    whole, peaks = tree["gpu_memory_gib"], tree["memory_gib_of_a_step"]
    words = "not known" if whole is None else f"{whole:.1f} GiB in use"
    if peaks is None:
        return f"{words}; what mixed precision saves is not measured"
    mixed, fp32 = peaks["mixed"], peaks["fp32"]
    if mixed is None or fp32 is None:
        return f"{words}; a step in fp32 does not fit"
    return f"{words}; a step {mixed:.2f} GiB, in fp32 {fp32:.2f}: {1 - mixed / fp32:.0%} saved"


def _prepare(tree: Mapping[str, Any] | None) -> list[str]:
    if tree is None:
        return []
    parts = {"decoding, cropping": tree["decode_ms"], "finding faces": tree["faces_ms"]}
    whole = sum(parts.values())
    title = f"Before it, a video of {tree['videos']} in its worker, {_number(whole)} ms:"
    return ["", title, *_shares(parts)]


def _shares(parts: Mapping[str, float | None]) -> list[str]:
    """A line a part: milliseconds, share, and a bar as long."""
    known = {name: value for name, value in parts.items() if value is not None}
    whole = max(sum(known.values()), 1e-9)
    return [
        f"  {name:<22} {value:9.2f} ms {value / whole:6.1%}  "
        f"{'#' * round(_BAR * value / whole)}".rstrip()
        for name, value in known.items()
    ]


def _epochs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ten lines at most, each the mean of as many epochs."""
    at_once = -(-len(rows) // _EPOCH_LINES)
    lines = [f"  {'epoch':<10} {'crops/s':>9} {'step ms':>9} {'waiting':>8} {'cpu':>6} {'gpu':>6}"]
    for start in range(0, len(rows), at_once):
        part = rows[start : start + at_once]
        first, last = part[0]["epoch"], part[-1]["epoch"]
        lines.append(
            f"  {first if first == last else f'{first}-{last}':<10} "
            f"{_number(_mean(part, 'images_per_second')):>9} {_number(_mean(part, 'step_ms')):>9} "
            f"{_share(_mean(part, 'data_wait_share'), '-'):>8} "
            f"{_share(_mean(part, 'cpu_utilisation'), '-'):>6} "
            f"{_share(_mean(part, 'gpu_utilisation'), '-'):>6}"
        )
    return lines


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if row[name] is not None]
    return sum(values) / len(values) if values else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _share(value: float | None, unknown: str = "not measured") -> str:
    return unknown if value is None else f"{value:.0%}"
