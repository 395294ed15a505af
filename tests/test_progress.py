from importlib.machinery import ModuleSpec
from importlib.util import find_spec as real_find_spec

import pytest

from unmask import progress


def test_a_library_that_imports_ipykernel_makes_no_notebook() -> None:
    import ipykernel.kernelapp  # noqa: F401

    assert not progress.in_notebook()


def test_a_notebook_without_widgets_gets_a_plain_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_widgets(name: str) -> ModuleSpec | None:
        return None if name == "ipywidgets" else real_find_spec(name)

    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(progress.importlib.util, "find_spec", without_widgets)
    with progress.Progress("prepare", 3, "videos") as bar:
        bar.advance(3, "done")
    assert "prepare" in capsys.readouterr().err
