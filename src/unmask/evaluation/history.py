"""The course of a training run: one row an epoch as CSV, and its picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator, PercentFormatter

from unmask import files
from unmask.evaluation.figure import AUTHENTIC, INK, MANIPULATED, NEUTRAL, figure_to, say

_STAGES = {
    "wait": MANIPULATED,
    "transfer": "#e8a87c",
    "augment": "#f2d49b",
    "forward": "#8fc1d4",
    "backward": AUTHENTIC,
    "optimiser": INK,
    "other": NEUTRAL,
}
"""Colours of `unmask.data.stages.STAGES`, from the bottom up."""


def write_history(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the rows as CSV, atomically; what a row does not have stays empty."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    files.csv_table(text, columns).writerows(history)
    files.write_text(path, text.getvalue())


def plot_history(
    history: Sequence[Mapping[str, Any]], path: Path, course: Sequence[Mapping[str, float]] = ()
) -> None:
    """Draw what was learned over the epochs, and what that took.

    Losses, validation measures, learning rate, throughput, the stages of a step, and the machine
    over time.

    Args:
        history: one mapping an epoch, or rows of training_history.csv as they were read back; a
            panel without its columns is left out.
        path: where the PNG goes.
        course: the machine over the training's time (`unmask.training.monitor.Monitor.course`).
    """
    panels: list[tuple[str, str, dict[str, str]]] = [
        ("Loss", "", {"train_loss": "training", "val_loss": "validation"}),
        (
            "Validation, video level",
            "",
            {"val_auc_video": "AUC", "val_accuracy_video": "accuracy at logit 0"},
        ),
        ("Learning rate", "log", {"lr": "highest of all parameter groups"}),
        ("Throughput", "", {"images_per_second": "crops a second"}),
    ]
    columns = {name for row in history for name, value in row.items() if _is_number(value)}
    shown = [panel for panel in panels if columns & set(panel[2])]
    stages = [name for name in _STAGES if f"{name}_ms" in columns]
    below = int(bool(stages or course))
    with figure_to(path, 10.6, 6.8 + 3.4 * below) as figure:
        grid = figure.subplots(2 + below, 2, squeeze=False).ravel()
        for axes, (title, scale, names) in zip(grid, shown, strict=False):
            _history_panel(axes, history, names)
            axes.set(title=title, xlabel="epoch")
            if scale and any(axes.dataLim.intervaly > 0):  # a rate of 0 has no logarithm
                axes.set_yscale(scale)
                axes.yaxis.set_minor_formatter(
                    LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(2, 0.5))
                )
            if title == "Throughput" and "data_wait_share" in columns:
                _data_wait(axes, history)
        used = len(shown)
        if stages:
            _stages(grid[used], history, stages)
            used += 1
        if course:
            _machine(grid[used], course)
            used += 1
        for axes in grid[used:]:
            axes.set_axis_off()
        if not shown:
            say(grid[0], "no epoch is finished yet")
        figure.suptitle("Training history", x=0.01, ha="left", weight="bold")


def _history_panel(
    axes: Axes, history: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> None:
    colours = (AUTHENTIC, MANIPULATED)
    for colour, (column, name) in zip(colours, names.items(), strict=False):
        epochs, values = _column(history, column)
        if epochs:
            axes.plot(epochs, values, "o-", color=colour, markersize=4, linewidth=1.8, label=name)
        if column == "val_auc_video" and epochs:
            best = _best(history, epochs, values)
            axes.plot(
                epochs[best],
                values[best],
                "o",
                markersize=11,
                markerfacecolor="none",
                markeredgecolor=INK,
                zorder=5,
                label=f"best: {values[best]:.3f}, epoch {epochs[best]:.0f}",
            )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left, right = axes.get_xlim()
    if right - left < 1:  # a single epoch
        axes.set_xlim(left - 1, right + 1)
    axes.legend(frameon=True)


def _best(history: Sequence[Mapping[str, Any]], epochs: list[float], values: list[float]) -> int:
    """Position of the epoch whose weights were kept: the last that was marked as the best."""
    marked = [
        epochs.index(float(row["epoch"]))
        for row in history
        if str(row.get("best")) == "True" and float(row["epoch"]) in epochs
    ]
    return marked[-1] if marked else int(np.argmax(values))


def _data_wait(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    epochs, shares = _column(history, "data_wait_share")
    twin = axes.twinx()
    twin.plot(epochs, shares, "s--", color=MANIPULATED, markersize=4, label="waiting for data")
    twin.set_ylim(0, max(1.0, *shares) if shares else 1.0)
    twin.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    twin.grid(visible=False)
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    handles = axes.get_legend_handles_labels()[0] + twin.get_legend_handles_labels()[0]
    axes.legend().set_visible(False)
    twin.legend(handles=handles, frameon=True, loc="upper center", ncols=2)


def _stages(axes: Axes, history: Sequence[Mapping[str, Any]], stages: Sequence[str]) -> None:
    """Milliseconds of a step, stage upon stage, by epoch."""
    epochs, _ = _column(history, f"{stages[0]}_ms")
    layers = [_column(history, f"{name}_ms")[1] for name in stages]
    edges = [epoch - 0.5 for epoch in epochs] + [epochs[-1] + 0.5]
    bottom = np.zeros(len(epochs))
    for name, layer in zip(stages, layers, strict=True):
        top = bottom + np.array(layer)
        axes.stairs(
            top, edges, baseline=bottom, fill=True, color=_STAGES[name], label=name, linewidth=0
        )
        bottom = top
    axes.set(title="Where a step's time goes", xlabel="epoch", ylabel="ms")
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.45 * max(*bottom, 1e-9)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=True, loc="upper center", ncols=4, columnspacing=1.0, handlelength=1.2)


def _machine(axes: Axes, course: Sequence[Mapping[str, float]]) -> None:
    """Processor and GPU in use, and throughput, over the time of training."""
    unit, seconds = ("minutes", 60) if course[-1]["seconds"] > 180 else ("seconds", 1)
    times = [point["seconds"] / seconds for point in course]
    marker = "o" if len(course) < 4 else ""
    for name, words, colour in (
        ("cpu_utilisation", "processor", AUTHENTIC),
        ("gpu_utilisation", "GPU", INK),
    ):
        if any(name in point for point in course):
            shares = [point.get(name, np.nan) for point in course]
            axes.plot(times, shares, marker=marker, color=colour, linewidth=1.6, label=words)
    axes.set(title="The machine over time", xlabel=f"{unit} of training", ylim=(0, 1.3))
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    twin = axes.twinx()
    rates = [point["images_per_second"] for point in course]
    twin.plot(
        times,
        rates,
        "--",
        marker=marker,
        color=MANIPULATED,
        linewidth=1.2,
        label="crops a second",
    )
    twin.set_ylim(0, 1.3 * max([*rates, 1e-9]))
    twin.grid(visible=False)
    handles = axes.get_legend_handles_labels()[0] + twin.get_legend_handles_labels()[0]
    twin.legend(handles=handles, frameon=True, loc="upper center", ncols=3)


def _column(history: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    pairs = [
        (float(row.get("epoch", place)), float(row[name]))
        for place, row in enumerate(history, 1)
        if _is_number(row.get(name))
    ]
    return [epoch for epoch, _ in pairs], [value for _, value in pairs]


def _is_number(value: Any) -> bool:
    """Also for the words of a CSV that was read back; empty cells are not."""
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        return False
