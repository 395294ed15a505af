"""The order of the cells, and what is said when it is not kept."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from unmask.errors import RunError, UnmaskError

CELLS = (
    "cell_01_imports_and_setup.py",
    "cell_02_global_config.py",
    "cell_03_data_processing.py",
    "cell_04_dataset_class.py",
    "cell_05_model_definition.py",
    "cell_06_loss_and_utils.py",
    "cell_07_training_functions.py",
    "cell_08_evaluation_functions.py",
    "cell_09_data_preparation.py",
    "cell_10_data_loaders.py",
    "cell_11_model_setup.py",
    "cell_12_training_loop.py",
    "cell_13_model_evaluation.py",
    "cell_14_results_summary.py",
)


def need(namespace: Mapping[str, Any], **cells: int) -> None:
    """Stop a cell whose forerunners have not been run.

    Args:
        namespace: the notebook's ``globals()``.
        cells: each name that is needed, with the number of the cell that gives it.

    Raises:
        RunError: ``cell_order``, naming the first cell that is missing.
    """
    missing = sorted((number, name) for name, number in cells.items() if name not in namespace)
    if not missing:
        return
    number, name = missing[0]
    others = sorted({other for other, _ in missing[1:]} - {number})
    after = f", then cell {', '.join(map(str, others))}" if others else ""
    raise RunError(
        f"This cell needs '{name}' from cell {number}, which has not been run.",
        code="cell_order",
        hint=f"Run cell {number} ({CELLS[number - 1]}){after}, then this one again.",
    )


def tidy_errors() -> None:
    """Show errors that unmask raises on purpose as a sentence instead of a traceback.

    Works in IPython and in plain scripts; other errors keep their traceback.
    """
    shell = _shell()
    if shell is not None:
        shell.set_custom_exc((UnmaskError,), _in_notebook)
    else:
        sys.excepthook = _in_script


def _shell() -> Any:
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()


def _words(error: UnmaskError) -> list[str]:
    return [f"error [{error.code}] {error.message}", *([error.hint] if error.hint else [])]


def _in_notebook(
    shell: Any,
    kind: type[BaseException],
    error: UnmaskError,
    trace: TracebackType | None,
    tb_offset: int | None = None,
) -> list[str]:
    words = _words(error)
    shell._showtraceback(kind, error, words)
    return words


def _in_script(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if isinstance(error, UnmaskError):
        sys.stderr.write("\n".join(_words(error)) + "\n")
    else:
        sys.__excepthook__(kind, error, trace)
