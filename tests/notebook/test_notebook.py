"""The notebook executed as Kaggle executes it; `test_folder` does so from the uploaded folder."""

import os
from pathlib import Path

import nbformat
import pytest
from layouts import LAYOUTS
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import kaggle as builder
from kaggle_execution_test import RESULTS, SMALL


def _execute(
    book: nbformat.NotebookNode, kaggle: Path, monkeypatch: pytest.MonkeyPatch, *words: str
) -> NotebookClient:
    """In a kernel with no way out: every proxy leads nowhere."""
    monkeypatch.setenv("UNMASK_SETTINGS", "\n".join([*SMALL, *words]))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    work = kaggle / "working"
    client = NotebookClient(book, timeout=300, resources={"metadata": {"path": str(work)}})
    client.execute(env=dict(os.environ))
    return client


def _book() -> nbformat.NotebookNode:
    return nbformat.reads(builder.build_notebook(), as_version=4)


def _outputs(book: nbformat.NotebookNode, number: int) -> list[str]:
    """Media types and words that a cell shows."""
    cell = next(cell for cell in book.cells if cell.id == f"cell-{number:02d}")
    found = []
    for output in cell.outputs:
        found += [output.text] if output.output_type == "stream" else [*output.data]
        found += [output.data.get("text/html", "")] if "data" in output else []
    return found


@pytest.mark.slow
def test_several_devices_train_from_a_notebook(
    kaggle: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DDP cannot start from an interactive process; the cell starts it apart."""
    LAYOUTS["split folders"](clips, kaggle / "input" / "videos")
    book = _book()
    _execute(book, kaggle, monkeypatch, "loop.devices=2", "loop.epochs=1")
    assert any("2 device(s)" in text for text in _outputs(book, 12))
    assert [name for name in RESULTS if not (kaggle / "working" / name).is_file()] == []


@pytest.mark.slow
def test_an_error_stops_the_notebook_with_a_sentence(
    kaggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = _book()
    with pytest.raises(CellExecutionError) as caught:
        _execute(book, kaggle, monkeypatch)
    assert "error [dataset_layout] No dataset is recognised under" in str(caught.value)
    shown = next(cell for cell in book.cells if cell.id == "cell-02").outputs[-1]
    assert shown.output_type == "error"
    assert len(shown.traceback) == 2  # the sentence and its hint
