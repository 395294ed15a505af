"""Check the 14 cells, then run them.

    python kaggle_cells/kaggle_execution_test.py                    # on a small generated dataset
    python kaggle_cells/kaggle_execution_test.py --data MY_VIDEOS   # the real thing, as a script

First without running anything: the names of the files, their syntax, imports only in cell 1, no
functions, classes or loops, and for every name that a cell needs, the earlier cell that gives it.
Then every cell out of order, which must name the missing one. Then all 14 in one namespace, in a
folder of their own (``--out``; a temporary one by default). Ends with a table and, where something
failed, with exit code 1.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scripts"))

CELLS = sorted(HERE.glob("cell_*.py"))
SCENES = {"train": 6, "val": 3, "test": 3}  # authentic clips a split; as many manipulated ones
SMALL = (
    "clip={frames: 4, size_px: 64}",
    "model={backbone: test_resnet, weights: random, lstm_hidden: 16, lstm_layers: 1, "
    "attention_heads: 2, dropout: 0.1}",
    "optim={lr: 1.0e-3, head_lr: 3.0e-3, warmup_steps: 2}",
    "loop={epochs: 2, max_batch_size: 8, accelerator: cpu}",
    "data={allow_leaks: [near_duplicate, group]}",  # one portrait in every clip
)
RESULTS = (
    "models/best_model.pth",
    "models/best_model.safetensors",
    "models/best_model.onnx",
    "results/experiment_results.json",
    "results/experiment_report.txt",
    "results/test_predictions.csv",
    "results/training_history.csv",
    "results/training_history.png",
    "results/evaluation/confusion_matrix.png",
    "results/evaluation/roc_pr_curves.png",
    "results/evaluation/score_distribution.png",
    "results/evaluation/reliability_diagram.png",
)


@dataclass(frozen=True)
class Outcome:
    """One line of the table."""

    name: str
    passed: bool
    seconds: float
    words: str = ""


# ---------------------------------------------------------------- without running anything


def faults_of(cells: Sequence[tuple[str, str]]) -> list[str]:
    """What is wrong with cells, given as (file name, source) in their order."""
    faults: list[str] = []
    owner: dict[str, int] = {}
    for number, (name, source) in enumerate(cells, 1):
        try:
            tree = ast.parse(source, name)
        except SyntaxError as error:
            faults.append(f"{name}: line {error.lineno}: {error.msg}")
            continue
        faults += [f"{name}: {fault}" for fault in _forbidden(tree, number)]
        faults += [f"{name}: {fault}" for fault in _wrong_needs(tree, number, owner)]
        for given in _given(tree):
            owner.setdefault(given, number)
    return faults


def _forbidden(tree: ast.Module, number: int) -> Iterator[str]:
    if not ast.get_docstring(tree):
        yield "has no docstring, which the notebook shows above it"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While)
    for node in ast.walk(tree):
        if isinstance(node, kinds):
            yield f"line {node.lineno}: a cell has no logic of its own ({type(node).__name__})"
        if isinstance(node, ast.Import | ast.ImportFrom) and number > 1:
            yield f"line {node.lineno}: imports belong into cell 1"


def _wrong_needs(tree: ast.Module, number: int, owner: dict[str, int]) -> Iterator[str]:
    """Names that no earlier cell gives, and `notebook.need` calls that are not true."""
    given = _given(tree)
    used = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    outer = {name for name in used - set(dir(builtins)) if name not in given or name in owner}
    declared = _declared(tree)
    for name in sorted(outer):
        if name not in owner:
            yield f"'{name}' is given by no earlier cell"
        elif owner[name] > 1 and name not in given and name not in declared:
            yield f"'{name}' comes from cell {owner[name]}, which notebook.need does not say"
    for name, cell in declared.items():
        if owner.get(name) != cell:
            yield f"notebook.need says that '{name}' comes from cell {cell}: {owner.get(name)}"


def _given(tree: ast.Module) -> set[str]:
    """Names that are there once a cell has run."""
    stored = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return stored | imported


def _declared(tree: ast.Module) -> dict[str, int]:
    return {
        keyword.arg: keyword.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "need"
        for keyword in node.keywords
        if keyword.arg and isinstance(keyword.value, ast.Constant)
    }


# ---------------------------------------------------------------- out of order


def order_faults(cells: Sequence[tuple[str, str]]) -> list[str]:
    """Cells that, run too early, do not name the cell that is missing."""
    from unmask import notebook
    from unmask.errors import RunError

    faults = []
    for number, (name, source) in enumerate(cells, 1):
        if number == 1:
            continue
        for namespace, kind, words in (
            ({}, SystemExit, "cell_01_imports_and_setup.py"),
            ({"notebook": notebook}, RunError, "Run cell "),
        ):
            if number == 2 and namespace:
                continue
            try:
                exec(compile(source, name, "exec"), dict(namespace))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is judged
                if not isinstance(error, kind) or words not in str(error):
                    faults.append(f"{name}: {type(error).__name__}: {error}")
            else:
                faults.append(f"{name}: runs without the cells before it")
    return faults


# ---------------------------------------------------------------- for real


def run_cells(cells: Sequence[tuple[str, str]], *, quiet: bool = False) -> Iterator[Outcome]:
    """Run cells in one namespace, in the working folder; ends at the first that fails."""
    namespace: dict[str, Any] = {"__name__": "cells"}
    for name, source in cells:
        began, said = time.perf_counter(), StringIO()
        if not quiet:
            print(f"\n=== {name}")
        try:
            with redirect_stdout(said if quiet else sys.stdout):
                exec(compile(source, name, "exec"), namespace)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a cell may fail in any way
            code = getattr(error, "code", type(error).__name__)
            if not hasattr(error, "hint") and not isinstance(error, SystemExit):
                traceback.print_exc()
            yield Outcome(name, False, time.perf_counter() - began, f"[{code}] {error}")
            return
        yield Outcome(name, True, time.perf_counter() - began)


def make_data(folder: Path) -> Path:
    """A few clips in ``train|val|test/{real,fake}``, one of them damaged."""
    from make_media import write_truncated
    from train_demo import make_dataset

    data = make_dataset(folder, SCENES, frames=10)
    whole = next((data / "train" / "real").glob("*.mp4"))
    write_truncated(whole, data / "train" / "real" / "a_damaged_one.mp4", 0.3)
    return data


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every check; 0 when all is well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="your dataset, with the settings of cell 2")
    parser.add_argument("--out", type=Path, help="working folder (default: a temporary one)")
    parser.add_argument(
        "--set", nargs="*", action="extend", default=[], help="settings, e.g. loop.epochs=5"
    )
    parser.add_argument("--static", action="store_true", help="run no cell")
    parser.add_argument("--quiet", action="store_true", help="the table only")
    options = parser.parse_args(arguments)
    cells = [(path.name, path.read_text(encoding="utf-8")) for path in CELLS]
    outcomes = [_checked("names, syntax, imports, order", _names_faults() + faults_of(cells))]
    if options.static or not outcomes[0].passed:
        return _told(outcomes)
    from unmask.notebook import CELLS as NAMES

    wrong = [] if tuple(name for name, _ in cells) == NAMES else ["unmask.notebook.CELLS differs"]
    outcomes.append(_checked("out of order", wrong + order_faults(cells)))
    with tempfile.TemporaryDirectory(prefix="unmask-cells-") as temporary:
        work = (options.out or Path(temporary) / "work").resolve()
        work.mkdir(parents=True, exist_ok=True)
        data = (options.data or make_data(Path(temporary) / "videos")).resolve()
        words = [*([] if options.data else SMALL), *options.set]
        os.environ |= {"UNMASK_BASE_PATH": str(data), "UNMASK_SETTINGS": "\n".join(words)}
        with chdir(work):
            outcomes += run_cells(cells, quiet=options.quiet)
        missing = [name for name in RESULTS if not (work / name).is_file()]
        outcomes.append(_checked("result files", [f"{name} is missing" for name in missing]))
    return _told(outcomes)


def _names_faults() -> list[str]:
    numbers = [path.name.split("_")[1] for path in CELLS]
    wanted = [f"{number:02d}" for number in range(1, 15)]
    return [] if numbers == wanted else [f"cells 01-14 are wanted, found {', '.join(numbers)}"]


def _checked(name: str, faults: list[str]) -> Outcome:
    return Outcome(name, not faults, 0.0, "; ".join(faults))


def _told(outcomes: Sequence[Outcome]) -> int:
    width = max(len(outcome.name) for outcome in outcomes)
    print()
    for outcome in outcomes:
        word = "passed" if outcome.passed else "FAILED"
        print(
            f"{word}  {outcome.name:<{width}}  {outcome.seconds:6.1f} s  {outcome.words}".rstrip()
        )
    failed = sum(not outcome.passed for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    print(f"{len(outcomes) - failed} passed, {failed} failed, {seconds:.1f} s in the cells")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
