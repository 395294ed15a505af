"""Progress of long work: a bar in a terminal, tqdm in a notebook, plain lines in a log."""

from __future__ import annotations

import importlib.util
import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from unmask.files import printable_text

LINE_SECONDS = 10.0  # between two plain lines


class Progress:
    """Counts up to ``total``; use as a context manager and call `advance`.

    Args:
        title: what is being done, e.g. ``"prepare"``.
        total: how many units there are.
        unit: their name, in the plural.
        shown: False keeps quiet.
    """

    def __init__(self, title: str, total: int, unit: str, *, shown: bool = True) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._kind = _surface() if shown else "none"
        self._done, self._began, self._last_line = 0, time.monotonic(), time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self._kind == "terminal":
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total, note="", rate="")
        elif self._kind == "notebook":
            self._bar = _tqdm()(total=self._total, desc=self._title, unit=self._unit)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._kind == "terminal":
            self._bar.stop()
        elif self._kind == "notebook":
            self._bar.close()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count ``count`` more units; ``note`` stands beside the bar."""
        self._done += count
        if self._kind == "terminal":
            self._bar.update(self._task, advance=count, note=note, rate=f"{self._rate():.1f}/s")
        elif self._kind == "notebook":
            self._bar.update(count)
            self._bar.set_postfix_str(note)
        elif self._kind == "lines" and time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            self._line(note)

    def _rate(self) -> float:
        return self._done / max(time.monotonic() - self._began, 1e-9)

    def _line(self, note: str) -> None:
        rate = self._rate()
        left = (self._total - self._done) / max(rate, 1e-9)
        counted = f"{self._title}: {self._done}/{self._total} {self._unit}"
        say(f"{counted}, {rate:.1f}/s, {left:.0f} s left  {note}".rstrip())


def say(text: str) -> None:
    """One line for people, on standard error, so that standard output stays for results."""
    sys.stderr.write(printable_text(text) + "\n")
    sys.stderr.flush()


def _tqdm() -> Any:
    """tqdm's bar of widgets, or its plain one where the notebook has no widgets."""
    if importlib.util.find_spec("ipywidgets") is None:
        from tqdm import tqdm
    else:
        from tqdm.notebook import tqdm
    return tqdm


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel; a library that imports ipykernel is none."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and bool(kernel.IPKernelApp.initialized())


def _surface() -> str:
    if in_notebook() and importlib.util.find_spec("tqdm") is not None:
        return "notebook"
    return "terminal" if sys.stderr.isatty() else "lines"
