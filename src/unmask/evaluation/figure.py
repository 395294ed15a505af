"""The house style of every picture: colours, fonts, and a Figure that is saved atomically."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from unmask import files

AUTHENTIC, MANIPULATED, NEUTRAL, INK = "#2a7f9e", "#d1495b", "#8d99ae", "#22303c"
_DPI = 150


@contextmanager
def figure_to(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A Figure of so many inches in the house style, saved as PNG when the block ends.

    No pyplot state and no display are involved.
    """
    style = {
        **sns.axes_style("whitegrid"),
        **sns.plotting_context("notebook", font_scale=0.9),
        "axes.edgecolor": "#c5ccd6",
        "grid.color": "#e8ebf0",
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.titleweight": "bold",
        "font.family": "DejaVu Sans",
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        with files.atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=_DPI, metadata={"Software": None})


def say(axes: Axes, words: str) -> None:
    """Put words in the middle of a panel that has nothing to show."""
    axes.text(
        0.5,
        0.5,
        words,
        ha="center",
        va="center",
        transform=axes.transAxes,
        color=INK,
        size=12,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 6},
    )
