"""The pictures of a test set: confusion matrix, ROC and PR curves, scores, reliability.

Rows may be few or of one class: then the picture says what is missing instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from unmask import metrics
from unmask.evaluation.figure import AUTHENTIC, INK, MANIPULATED, NEUTRAL, figure_to, say
from unmask.evaluation.history import plot_history
from unmask.evaluation.predictions import JUDGED, Prediction
from unmask.evaluation.protocol import table
from unmask.scoring import Calibration

__all__ = [
    "confusion_matrix",
    "plot_evaluation",
    "plot_history",
    "reliability_diagram",
    "roc_pr_curves",
    "score_distribution",
]


def plot_evaluation(
    predictions: Sequence[Prediction], calibration: Calibration, folder: Path
) -> None:
    """Write the four pictures of a test set into ``folder`` under their standard names."""
    confusion_matrix(folder / "confusion_matrix.png", predictions, calibration)
    roc_pr_curves(folder / "roc_pr_curves.png", predictions, calibration)
    score_distribution(folder / "score_distribution.png", predictions, calibration)
    reliability_diagram(folder / "reliability_diagram.png", predictions, calibration)


def confusion_matrix(
    path: Path, predictions: Sequence[Prediction], calibration: Calibration
) -> None:
    """Counts of right and wrong decisions, coloured by share of the true class."""
    labels, scores = _videos(predictions)
    cells = metrics.confusion(labels, scores, calibration.threshold)
    counts = np.array([[cells.passes, cells.false_alarms], [cells.misses, cells.hits]])
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    words = [
        [f"{int(n)}\n{share:.1%}" if total else "none" for n, share in zip(*row, strict=True)]
        for row, total in zip(zip(counts, shares, strict=True), totals[:, 0], strict=True)
    ]
    with figure_to(path, 5.6, 4.9) as figure:
        axes = figure.subplots()
        sns.heatmap(
            shares,
            annot=words,
            fmt="",
            vmin=0,
            vmax=1,
            square=True,
            ax=axes,
            linewidths=3,
            cmap=sns.light_palette(AUTHENTIC, as_cmap=True),
            annot_kws={"size": 15},
            xticklabels=["authentic", "manipulated"],
            yticklabels=["authentic", "manipulated"],
            cbar_kws={"label": "share of the true class", "format": PercentFormatter(1.0)},
        )
        axes.set(xlabel=f"called (threshold {calibration.threshold:.3f})", ylabel="truth")
        axes.tick_params(axis="y", labelrotation=90)
        for label in axes.get_yticklabels():
            label.set_verticalalignment("center")
        _title(figure, "Confusion matrix", predictions)


def roc_pr_curves(path: Path, predictions: Sequence[Prediction], calibration: Calibration) -> None:
    """ROC and precision-recall curves, by video and by frame, with the operating point."""
    judged = [row for row in predictions if row.status == JUDGED]
    with figure_to(path, 10.6, 5.2) as figure:
        roc, pr = figure.subplots(1, 2)
        roc.plot([0, 1], [0, 1], color=NEUTRAL, linestyle=":", linewidth=1.2)
        for frames, colour in ((True, NEUTRAL), (False, MANIPULATED)):
            labels, scores, _ = table(judged, calibration, frames=frames)
            _draw_curves(roc, pr, labels, scores, "frames" if frames else "videos", colour)
        labels, scores = _videos(predictions)
        cells = metrics.confusion(labels, scores, calibration.threshold)
        _mark(roc, cells.bpcer, cells.recall)
        _mark(pr, cells.recall, cells.precision)
        if len(labels):
            base = float(labels.mean())
            pr.axhline(base, color=NEUTRAL, linestyle=":", linewidth=1.2)
        roc.set(
            title="ROC",
            xlabel="BPCER (authentic called manipulated)",
            ylabel="1 - APCER (manipulated found)",
        )
        pr.set(title="Precision and recall", xlabel="recall", ylabel="precision")
        for axes in (roc, pr):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), aspect="equal")
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="lower right" if axes is roc else "lower left", frameon=True)
            if len(set(labels.tolist())) < 2:
                say(axes, "not defined:\nboth classes are needed")
        _title(figure, "Ranking", predictions)


def _draw_curves(
    roc: Axes,
    pr: Axes,
    labels: np.ndarray,
    scores: np.ndarray,
    name: str,
    colour: str,
) -> None:
    ranks, points = metrics.roc_curve(labels, scores), metrics.pr_curve(labels, scores)
    if ranks is None or points is None:
        return
    width = 2.4 if name == "videos" else 1.6
    area, mean = metrics.roc_auc(labels, scores), metrics.average_precision(labels, scores)
    roc.plot(ranks[0], ranks[1], color=colour, linewidth=width, label=f"{name}: AUC {area:.3f}")
    precision, recall = np.append(points[0][0], points[0]), np.append(0.0, points[1])
    pr.step(
        recall,
        precision,
        where="pre",
        color=colour,
        linewidth=width,
        label=f"{name}: AP {mean:.3f}",
    )


def score_distribution(
    path: Path, predictions: Sequence[Prediction], calibration: Calibration
) -> None:
    """How the calibrated scores of both classes lie around the threshold."""
    labels, scores = _videos(predictions)
    with figure_to(path, 8.4, 4.6) as figure:
        axes = figure.subplots()
        edges = np.linspace(0, 1, 31)
        for label, name, colour in ((0, "authentic", AUTHENTIC), (1, "manipulated", MANIPULATED)):
            part = scores[labels == label]
            if len(part):
                sns.histplot(
                    x=part,
                    bins=edges,
                    stat="probability",
                    element="step",
                    ax=axes,
                    color=colour,
                    alpha=0.45,
                    label=f"{name} ({len(part)})",
                )
                height = np.full(len(part), 0.075 - 0.045 * label)  # two rows under the zero line
                axes.plot(
                    part,
                    height,
                    "|",
                    color=colour,
                    alpha=0.7,
                    markersize=7,
                    transform=axes.get_xaxis_transform(),
                )
        axes.axvline(
            calibration.threshold,
            color=INK,
            linestyle="--",
            linewidth=1.4,
            label=f"threshold {calibration.threshold:.3f}",
        )
        axes.set(
            xlim=(0, 1),
            xlabel="score, calibrated P(manipulated)",
            ylabel="share of the class's videos",
        )
        top = axes.get_ylim()[1]
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= min(top, 1)])
        axes.set_ylim(-0.12 * top, top)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
        if not len(labels):
            say(axes, "no video has a score")
        _title(figure, "Scores by class", predictions)


def reliability_diagram(
    path: Path, predictions: Sequence[Prediction], calibration: Calibration
) -> None:
    """What the scores promise against what came true, over the number of videos in each bin."""
    labels, scores = _videos(predictions)
    bins = [part for part in metrics.reliability(labels, scores) if part.rows]
    with figure_to(path, 5.8, 6.4) as figure:
        axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
        axes.plot([0, 1], [0, 1], color=NEUTRAL, linestyle=":", linewidth=1.4, label="calibrated")
        for part in bins:
            low, high = _wilson(part.share_manipulated or 0.0, part.rows)
            axes.plot([part.mean_score] * 2, [low, high], color=MANIPULATED, alpha=0.4, linewidth=2)
        axes.plot(
            [part.mean_score for part in bins],
            [part.share_manipulated for part in bins],
            "o-",
            color=MANIPULATED,
            markersize=6,
            linewidth=1.6,
            label="videos, 95 % of a bin",
        )
        axes.set(ylim=(-0.03, 1.03), ylabel="share that is manipulated")
        error, square = metrics.ece(labels, scores), metrics.brier(labels, scores)
        if error is None:
            say(axes, "no video has a score")
        else:
            axes.text(
                0.97,
                0.05,
                f"ECE {error:.3f}\nBrier {square:.3f}",
                ha="right",
                transform=axes.transAxes,
                color=INK,
            )
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
        counts.bar(
            [(p.low + p.high) / 2 for p in bins],
            [p.rows for p in bins],
            width=0.9 / metrics.ECE_BINS,
            color=NEUTRAL,
        )
        counts.set(xlim=(0, 1), xlabel="score, calibrated P(manipulated)", ylabel="videos")
        counts.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        counts.set_ylim(0, 1.1 * max([part.rows for part in bins], default=1))
        _title(figure, "Reliability", predictions)


def _wilson(share: float, rows: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, which stays within 0-1 for few rows."""
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return float(middle - half), float(middle + half)


def _videos(predictions: Sequence[Prediction]) -> tuple[np.ndarray, np.ndarray]:
    judged = [row for row in predictions if row.status == JUDGED]
    labels = np.array([row.label for row in judged], int)
    return labels, np.array([row.score for row in judged], float)


def _mark(axes: Axes, x: ArrayLike, y: ArrayLike) -> None:
    if np.isfinite([float(np.asarray(x)), float(np.asarray(y))]).all():
        axes.plot(
            float(np.asarray(x)),
            float(np.asarray(y)),
            "o",
            markersize=10,
            zorder=5,
            markerfacecolor="white",
            markeredgecolor=INK,
            markeredgewidth=2,
            label="threshold from validation",
        )


def _title(figure: Figure, title: str, predictions: Sequence[Prediction]) -> None:
    judged = sum(row.status == JUDGED for row in predictions)
    left_out = len(predictions) - judged
    facts = f"{judged} videos" + (f", {left_out} more without a score" if left_out else "")
    figure.suptitle(f"{title}   ({facts})", x=0.01, ha="left", weight="bold", size=12)
