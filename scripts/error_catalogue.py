"""Every code that a user of unmask can meet, read out of the source: no code is imported or run.

Three kinds are found: errors raised from `unmask.errors`, reasons and warnings (`Warn`), and
outcomes of single files (pairs of a code and a sentence in the verbs).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "unmask"

_CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_OUTCOME = re.compile(r"(prepare|scan)_[a-z_]+")
_NOTICES = {"Warn": "Warn", "_complain": "command"}


@dataclass(frozen=True)
class Entry:
    """One place where a code is given."""

    code: str
    kind: str
    """Class of the error; ``Warn`` for reasons and warnings, ``outcome``, or ``command``."""
    message: str
    """The sentence, with what is filled in as ``{name}``; empty where it is made elsewhere."""
    hint: str
    module: str
    """Dotted name of the module."""


@cache
def catalogue(source: Path = SOURCE) -> tuple[Entry, ...]:
    """All entries, in the order of kinds, codes and modules.

    Args:
        source: folder of the package.
    """
    kinds = error_kinds(source)
    entries: set[Entry] = set()
    for path in sorted(source.rglob("*.py")):
        module = ".".join(("unmask", *path.relative_to(source).with_suffix("").parts))
        module = module.removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        entries.update(_Module(tree, module, kinds).entries())
    order = list(kinds)

    def place(entry: Entry) -> tuple[int, str, str, str, str]:
        number = order.index(entry.kind) if entry.kind in kinds else len(order)
        return (number, entry.kind, entry.code, entry.module, entry.message)

    return tuple(sorted(entries, key=place))


def error_kinds(source: Path = SOURCE) -> dict[str, tuple[str, str]]:
    """Default code and first line of the docstring of each class of `unmask.errors`."""
    kinds = {}
    for node in ast.parse((source / "errors.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            code = next(
                item.value.value
                for item in node.body
                if isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant)
            )
            kinds[node.name] = (str(code), (ast.get_docstring(node) or "").splitlines()[0])
    return kinds


def codes() -> set[str]:
    """Every code, without where it comes from."""
    return {entry.code for entry in catalogue()}


class _Module:
    def __init__(self, tree: ast.Module, module: str, kinds: dict[str, tuple[str, str]]) -> None:
        self._tree, self._module, self._kinds = tree, module, kinds
        self._around: dict[ast.AST, ast.FunctionDef] = {}
        for function in ast.walk(tree):  # from the outside inwards
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    self._around[node] = function  # the innermost comes last

    def entries(self) -> Iterator[Entry]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else (
                    node.func.id if isinstance(node.func, ast.Name) else "")  # fmt: skip
                if name in self._kinds:
                    yield from self._raised(name, node)
                elif name in _NOTICES:
                    yield from self._pair(_NOTICES[name], node, node.args, _CODE)
                else:
                    yield from self._pair("outcome", node, node.args, _OUTCOME)
            elif isinstance(node, ast.Tuple):
                yield from self._pair("outcome", node, node.elts, _OUTCOME)

    def _raised(self, kind: str, call: ast.Call) -> Iterator[Entry]:
        words = {keyword.arg: keyword.value for keyword in call.keywords}
        message = self._text(call.args[0], call) if call.args else ""
        hint = self._text(words["hint"], call) if "hint" in words else ""
        default = ast.Constant(self._kinds[kind][0])
        for code in self._codes(words.get("code", default), call):
            yield Entry(code, kind, message, hint, self._module)

    def _codes(self, node: ast.expr, call: ast.Call) -> list[str]:
        """A code that is put together is looked for in the docstring of its function."""
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        if isinstance(node, ast.IfExp):
            return self._codes(node.body, call) + self._codes(node.orelse, call)
        if not isinstance(node, ast.JoinedStr):
            return []  # handed on from another error
        pattern = "".join(
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"\w+"
            for part in node.values
        )
        function = self._around.get(call)
        documented = ast.get_docstring(function) or "" if function else ""
        return sorted({code for code in re.findall(r"``(\w+)``", documented)
                       if re.fullmatch(pattern, code)})  # fmt: skip

    def _pair(
        self, kind: str, node: ast.AST, values: list[ast.expr], pattern: re.Pattern[str]
    ) -> Iterator[Entry]:
        for first, second, *rest in zip(values, values[1:], [*values[2:], None], strict=False):
            code = first.value if isinstance(first, ast.Constant) else None
            if isinstance(code, str) and pattern.fullmatch(code):
                hint = rest[0] if kind == "command" and rest else None
                yield Entry(code, kind, self._text(second, node),
                            self._text(hint, node) if hint else "", self._module)  # fmt: skip

    def _text(self, node: ast.expr, at: ast.AST) -> str:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.JoinedStr):
            return "".join(
                str(part.value) if isinstance(part, ast.Constant) else _hole(part)
                for part in node.values
            )
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._text(node.left, at) + self._text(node.right, at)
        if isinstance(node, ast.IfExp):
            texts = [self._text(node.body, at), self._text(node.orelse, at)]
            return " / ".join(text for text in texts if text)
        if isinstance(node, ast.Name):
            return self._assigned(node.id, at)
        return ""

    def _assigned(self, name: str, at: ast.AST) -> str:
        """The text that a variable of the same function, or of the module, was last given."""
        scope: ast.AST = self._around.get(at, self._tree)
        for where in (scope, self._tree):
            found = [
                (item.lineno, item.value)
                for item in ast.walk(where)
                if isinstance(item, ast.Assign)
                and any(isinstance(to, ast.Name) and to.id == name for to in item.targets)
                and item.lineno <= getattr(at, "lineno", 0)
                and not isinstance(item.value, ast.Name)
            ]
            if found:
                return self._text(max(found, key=lambda pair: pair[0])[1], at)
        return ""


def _hole(part: ast.expr) -> str:
    value = part.value if isinstance(part, ast.FormattedValue) else part
    if isinstance(value, ast.Name):
        return "{" + value.id + "}"
    if isinstance(value, ast.Attribute):
        return "{" + value.attr + "}"
    return "{...}"
