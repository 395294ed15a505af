"""The Kaggle notebook, and the folder that is uploaded to run it there.

    python scripts/kaggle.py notebook              # kaggle_cells/ -> notebooks/unmask_kaggle.ipynb
    python scripts/kaggle.py folder dist/kaggle    # wheels, weights, notebook, metadata

``folder`` needs pip. The wheels of unmask and of what Kaggle's image may lack are fetched for
Kaggle's Python, so that the notebook installs without internet; torch and torchvision are Kaggle's
own.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import nbformat
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
CELLS = ROOT / "kaggle_cells"
NOTEBOOK = ROOT / "notebooks" / "unmask_kaggle.ipynb"
TITLE = "unmask: train and judge a deepfake detector"
INTRO = f"""# {TITLE}

Made from `kaggle_cells/` by `make kaggle`; change the cells, not this file. Attach a dataset of
videos, look at cell 2, then *Run All*. `KAGGLE_USAGE_GUIDE.md` explains every step.

由 `kaggle_cells/` 自动生成。附加一个视频数据集，查看第 2 格，然后全部运行；详见
`KAGGLE_USAGE_GUIDE.zh-CN.md`。"""
REQUIREMENTS = "unmask-requirements.txt"
SLUG, KERNEL_SLUG = "unmask", "unmask-deepfake-detection"

# Kaggle's image has these, too large or too much interwoven to bring along.
KAGGLE_HAS = ("torch", "torchvision", "numpy", "scipy", "pandas", "pillow")


def build_notebook() -> str:
    """The notebook's JSON: each cell's docstring as text above its code."""
    cells = [nbformat.v4.new_markdown_cell(INTRO, id="intro")]
    for path in sorted(CELLS.glob("cell_*.py")):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        first = tree.body[0]
        code = "".join(source.splitlines(keepends=True)[first.end_lineno :]).strip()
        number = path.name[5:7]
        cells.append(nbformat.v4.new_markdown_cell(_markdown(tree), id=f"text-{number}"))
        cells.append(nbformat.v4.new_code_cell(f"# {path.name}\n{code}", id=f"cell-{number}"))
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(book)
    text: str = nbformat.writes(book, version=4)
    return text + "\n"


def _markdown(tree: ast.Module) -> str:
    title, _, rest = (ast.get_docstring(tree) or "").partition("\n")
    return f"## {title}\n{rest}"


def build_folder(
    out: Path, *, user: str, weights: Sequence[Path], pythons: Sequence[str], wheels: bool
) -> Path:
    """Write ``out/dataset`` and ``out/kernel``; what was there before is replaced."""
    shutil.rmtree(out, ignore_errors=True)
    dataset, kernel = out / "dataset", out / "kernel"
    dataset.mkdir(parents=True)
    kernel.mkdir()
    _build_wheel(dataset)
    needed = requirements()
    lines = [f"{name}{specifiers}\n" for name, specifiers in needed.items()]
    (dataset / REQUIREMENTS).write_text("".join(lines), encoding="utf-8")
    for python in pythons if wheels else ():
        _fetch_wheels(dataset, python, needed.keys() - set(KAGGLE_HAS))
    for file in weights:
        shutil.copy(file, dataset)
    for name in _licences():
        shutil.copy(ROOT / name, dataset)
    (kernel / NOTEBOOK.name).write_text(build_notebook(), encoding="utf-8")
    for guide in CELLS.glob("KAGGLE_USAGE_GUIDE*.md"):
        shutil.copy(guide, out)
    about = {
        "title": "unmask: deepfake detection, offline",
        "id": f"{user}/{SLUG}",
        "licenses": [{"name": "MIT"}],
    }
    _write_json(dataset / "dataset-metadata.json", about)
    run = {
        "id": f"{user}/{KERNEL_SLUG}",
        "title": "unmask deepfake detection",
        "code_file": NOTEBOOK.name,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": "true",
        "enable_gpu": "true",
        "enable_internet": "false",
        "dataset_sources": [f"{user}/{SLUG}"],
        "competition_sources": [],
        "kernel_sources": [],
    }
    _write_json(kernel / "kernel-metadata.json", run)
    return out


def _build_wheel(folder: Path) -> None:
    """The wheel of unmask, from a copy: setuptools would leave its work in the clone."""
    with tempfile.TemporaryDirectory(prefix="unmask-") as copy:
        shutil.copytree(
            ROOT / "src", Path(copy) / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pyc*")
        )
        for name in ("pyproject.toml", "README.md", *_licences()):
            shutil.copy(ROOT / name, copy)
        _pip("wheel", "--no-deps", *_isolation(), "--wheel-dir", str(folder), copy)


def _licences() -> list[str]:
    """What must go wherever the package goes."""
    files: list[str] = _pyproject()["project"]["license-files"]
    return files


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _isolation() -> list[str]:
    """Build with the setuptools that is here, where it will do: nothing is fetched then."""
    (builder,) = (Requirement(word) for word in _pyproject()["build-system"]["requires"])
    try:
        here = builder.specifier.contains(version(builder.name))
    except PackageNotFoundError:
        here = False
    return ["--no-build-isolation"] if here else []


def _fetch_wheels(folder: Path, python: str, names: Iterable[str]) -> None:
    """Wheels for Kaggle's Python at the versions of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if _plain(line.partition("==")[0]) in names]
    _pip(
        "download",
        "--no-deps",
        "--only-binary=:all:",
        f"--python-version={python}",
        *(f"--platform=manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17)),
        "--platform=manylinux2014_x86_64",
        "--dest",
        str(folder),
        *wanted,
    )


def requirements() -> dict[str, str]:
    """Everything that ``unmask[train]`` needs, transitively: name to version specifiers.

    The notebook installs this list without resolving, so that packages which Kaggle's image pins
    among themselves are left alone: of indirect needs only lower bounds count, and of what Kaggle
    has, only what unmask itself asks for.
    """
    found: dict[str, set[str]] = {}
    queue = [Requirement("unmask[train]")]
    while queue:
        one = queue.pop()
        for need in _needs(one):
            name = _plain(need.name)
            new = name not in found
            specifiers = found.setdefault(name, set())
            direct = one.name == "unmask"
            if direct or name not in KAGGLE_HAS:
                specifiers |= {str(p) for p in need.specifier if direct or p.operator == ">="}
            if new and name not in KAGGLE_HAS:
                queue.append(need)
    asked = {_plain(need.name) for need in _needs(Requirement("unmask[train]"))}
    kept = {name for name in found if name not in KAGGLE_HAS or name in asked}
    return {name: ",".join(sorted(found[name])) for name in sorted(kept)}


def _needs(one: Requirement) -> list[Requirement]:
    try:
        needs = [Requirement(word) for word in requires(one.name) or ()]
    except PackageNotFoundError:
        return []
    extras = one.extras or {""}
    return [
        need
        for need in needs
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"]
    subprocess.run(command, check=True)


def _write_json(path: Path, tree: Mapping[str, object]) -> None:
    path.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("notebook", help="write the notebook again")
    folder = commands.add_parser("folder", help="make the folder for upload")
    folder.add_argument("out", type=Path)
    folder.add_argument("--user", default="USERNAME", help="your Kaggle user name")
    folder.add_argument("--weights", type=Path, nargs="*", default=[], help="e.g. resnet50.pth")
    folder.add_argument("--python", nargs="*", default=["3.11", "3.12"], help="Kaggle's Python")
    folder.add_argument("--no-wheels", action="store_true", help="unmask's own wheel only")
    options = parser.parse_args()
    if options.command == "notebook":
        NOTEBOOK.parent.mkdir(exist_ok=True)
        NOTEBOOK.write_text(build_notebook(), encoding="utf-8")
        print(f"Wrote {NOTEBOOK.relative_to(ROOT)}.")
        return
    missing = [str(path) for path in options.weights if not path.is_file()]
    if missing:
        sys.exit(f"There is no weights file {missing[0]}.")
    out = build_folder(
        options.out,
        user=options.user,
        weights=options.weights,
        pythons=options.python,
        wheels=not options.no_wheels,
    )
    files = [path for path in (out / "dataset").iterdir() if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 2**20
    print(f"{out}: {len(files)} files ({size:.0f} MiB) in dataset/, the notebook in kernel/.")
    if options.user == "USERNAME":
        print("Put your Kaggle user name into both metadata files, or give --user.")
    if not options.weights:
        print("No backbone weights are inside: add --weights resnet50.pth, or attach them there.")
    print(f"kaggle datasets create -p {out}/dataset && kaggle kernels push -p {out}/kernel")


if __name__ == "__main__":
    main()
