"""The training as a notebook starts it, and what it left."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unmask.config import TrainConfig, dump
from unmask.errors import RunError
from unmask.evaluation import read_predictions
from unmask.report import verdict_text
from unmask.types import FAKE, REAL, Verdict

_KEPT_LINES = 4  # of a failed process, for the message
_OTHER_SETTINGS = (
    "Put the earlier settings back into cell 2 to resume, or delete models/, results/ and "
    "config.yaml here to train anew."
)
RESULTS = Path("results") / "experiment_results.json"


def train(store: Path, settings: TrainConfig, run: Path) -> dict[str, Any]:
    """Train, export and evaluate (or resume); on several devices in a process of its own.

    DDP starts a process a device, which the interactive one of a notebook cannot: there the same
    verb runs as ``unmask train``, and its lines appear below the cell. Stopping the cell stops it,
    and the same cell takes it up again.

    Returns:
        The tree of ``results/experiment_results.json``.

    Raises:
        UnmaskError: as `unmask.train`; ``run_failed`` where the other process fails.
    """
    if settings.loop.devices == 1:
        from unmask.verbs.train import train as here

        try:
            return here(store, config=settings, out=run).results
        except RunError as error:
            if error.code not in ("run_config", "run_data"):
                raise
            raise RunError(error.message, code=error.code, hint=_OTHER_SETTINGS) from error
    with tempfile.TemporaryDirectory(prefix="unmask-") as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(dump(settings), encoding="utf-8")
        words = ["train", str(store), "--config", str(config), "--out", str(run)]
        _follow([sys.executable, "-m", "unmask", *words])
    return read_results(run)


def read_results(run: Path) -> dict[str, Any]:
    """The tree of ``results/experiment_results.json``.

    Raises:
        RunError: ``run_no_results``: the run has none yet.
    """
    file = run / RESULTS
    try:
        tree: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"There are no results in {file}.",
            code="run_no_results",
            hint="The training writes them when it ends: run cell 12.",
        ) from error
    return tree


def verdicts(data: Path, run: Path, model: Path) -> list[str]:
    """What `unmask.detect` says of one authentic and one manipulated test video, as text.

    Args:
        data: the dataset's folder.
        run: with ``results/test_predictions.csv``.
        model: the exported ONNX file.
    """
    from unmask.verbs.detect import detect

    predictions = read_predictions(run / "results" / "test_predictions.csv")
    plain = [p for p in predictions if p.score is not None and "::" not in p.path]
    found: list[Verdict] = []
    for label in (REAL, FAKE):
        paths = [p.path for p in plain if p.label == label]
        found += [detect(data / path, model=str(model)) for path in paths[:1]]
    return [verdict_text(verdict) for verdict in found]


def _follow(command: Sequence[str]) -> None:
    """Run a command and pass its lines on.

    Raises:
        RunError: ``run_failed``, with the command's last lines.
    """
    kept: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    ) as process:
        try:
            for line in process.stdout or ():
                kept.append(line.strip())
                sys.stdout.write(line)
                sys.stdout.flush()
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise RunError(
            f"The training process ended with code {process.returncode}: {' '.join(kept)}",
            code="run_failed",
            hint="Run this cell again to resume.",
        )
