"""What holds for the package as a whole: names, docstrings, sizes, nothing at import."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import unmask

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "src" / "unmask").rglob("*.py"))
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(unmask.__path__, "unmask.")
    if not info.name.endswith("__main__")
)
STILL_TO_COME: set[str] = set()
LONGEST_MODULE, LONGEST_FUNCTION = 500, 80

EXPORTED = {
    "unmask": {
        "UnmaskError", "Verdict", "__version__",
        "calibrate", "detect", "doctor", "evaluate", "export", "prepare", "scan", "train",
    },
    "unmask.clips": {
        "STILL_SUFFIXES", "VIDEO_SUFFIXES", "ClipRef", "ClipStore", "StoreEntry", "StoreWriter",
        "VideoClips", "build_clips", "check_spec", "clips_of", "clips_of_still", "clips_of_video",
        "is_store", "read_records", "write_records",
    },
    "unmask.media": {
        "Coverage", "Limits", "MediaInfo", "Video", "ahead", "check_regular", "looks_like_media",
        "open_video", "probe",
        "read_credentials", "read_image", "read_trust_anchors", "sample",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_names(name: str) -> None:
    """Users build on these: a change here is a change of the interface."""
    room = importlib.import_module(name)
    assert set(room.__all__) == EXPORTED[name]


@pytest.mark.parametrize("name", [name for name in MODULES if name.count(".") == 1])
def test_what_a_room_exports_is_there(name: str) -> None:
    room = importlib.import_module(name)
    for exported in getattr(room, "__all__", ()):
        assert hasattr(room, exported), exported
    assert list(getattr(room, "__all__", ())) == sorted(getattr(room, "__all__", ()), key=_order)


def _order(name: str) -> tuple[int, str]:
    """Constants, classes, functions, as the linter sorts them."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'guess'"):
        unmask.guess  # noqa: B018


def public(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Functions, classes and their own methods and properties that a module defines."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            yield name, thing
        if inspect.isclass(thing):
            for inner, method in vars(thing).items():
                if not inner.startswith("_") and (
                    inspect.isfunction(method) or isinstance(method, property)
                ):
                    yield f"{name}.{inner}", method


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert "TODO" not in module.__doc__
    bare = [
        what
        for what, thing in public(module)
        if not (thing.__doc__ or "").strip() and not _overrides(module, what)
    ]
    assert bare == []


def _overrides(module: ModuleType, what: str) -> bool:
    """A method whose base class says what it does."""
    kind, _, method = what.partition(".")
    bases = getattr(module, kind).__mro__[1:] if method else ()
    return any(getattr(vars(base).get(method), "__doc__", None) for base in bases)


def test_sizes() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= LONGEST_MODULE, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, (path, node.name)


def test_no_room_is_a_drawer() -> None:
    drawers = {"utils", "util", "common", "helpers", "misc"}
    assert [path for path in FILES if drawers & {path.stem, path.parent.name}] == []


def test_nothing_happens_at_import(tmp_path: Path) -> None:
    """Every light module at once: no output, no file, no thread, no logging set up."""
    code = (
        "import importlib, logging, sys, threading, unmask.cli\n"
        "for name in ('verbs.detect', 'verbs.doctor', 'verbs.prepare', 'data', 'scoring'):\n"
        "    importlib.import_module(f'unmask.{name}')\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert not logging.getLogger().handlers\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda path: path.name
)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if "://" not in target and target not in STILL_TO_COME:
            assert (path.parent / target).exists(), target
