"""Hold README and docs to the code: commands, settings, paths, codes, links and names in them.

    python scripts/docs_check.py             # reads every page, then runs their commands
    python scripts/docs_check.py --no-run    # reads only

Commands are parsed by the very parser that runs them. Then they are run, in temporary folders with
generated videos, datasets and models under the names that the pages use; training and the like with
a few words appended that make it short. At the end stands what was changed and what was not run.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
import shlex
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer

import error_catalogue
from docs_run import run_all
from unmask.cli import app
from unmask.config import TrainConfig, load, to_dict
from unmask.errors import UnmaskError

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("kaggle_cells/*.md")])

OTHER_PROGRAMS = {".", "cd", "echo", "find", "kaggle", "npm", "nvidia-smi"}
"""Programs of others that pages name: nothing here knows their options."""
TWINS = ("README.md", "KAGGLE_USAGE_GUIDE.md")
"""Pages that say the same in a second language."""
_FOLDERS = "scripts|configs|src|tests|docs|benchmarks|kaggle_cells|notebooks"
_PATH = re.compile(rf"(?:{_FOLDERS})/[\w./*-]+")
_SECTIONS = "|".join(to_dict(TrainConfig()))
_SETTING = re.compile(rf"({_SECTIONS})\.([a-z_]+)(=.*)?")
_CODE_FAMILIES = (
    "media",
    "dataset",
    "leak",
    "store",
    "config",
    "model",
    "run",
    "scan",
    "gpu",
    "annotate",
)
_CODE = re.compile(rf"\[?((?:{'|'.join(_CODE_FAMILIES)}|extra|cell)_[a-z0-9_]+)\]?")
_NAME = re.compile(r"unmask(?:\.[A-Za-z_]\w*)+")


@dataclass(frozen=True)
class Page:
    """A page, taken apart."""

    path: Path
    blocks: tuple[tuple[str, str], ...]
    """Code blocks: language (``sh`` for indented commands, may be empty) and text."""
    inline: tuple[str, ...]
    """What stands in backticks outside of blocks."""
    links: tuple[str, ...]
    headings: tuple[tuple[int, str], ...]
    """Level and text."""
    prose: str
    """What stands outside of blocks."""


def read_page(path: Path) -> Page:
    """Take a Markdown file apart."""
    prose: list[str] = []
    blocks: list[tuple[str, str]] = []
    fence: str | None = None
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        mark = re.match(r"\s*```(\w*)", line)
        if mark and fence is None:
            fence, lines = mark[1], []
        elif mark:
            blocks.append((str(fence), "\n".join(lines)))
            fence = None
        elif fence is not None:
            lines.append(line)
        elif re.match(r" {4}(unmask|python|pip|make|node|npm) ", line):
            blocks.append(("sh", line.strip()))
        else:
            prose.append(line)
    text = "\n".join(prose)
    inline = re.findall(r"`([^`]+)`", text)
    return Page(
        path=path,
        blocks=tuple(blocks),
        inline=tuple(" ".join(code.split()) for code in inline),
        links=tuple(re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]+`", "", text))),
        headings=tuple((len(m[1]), m[2]) for m in re.finditer(r"^(#+) (.+)$", text, re.M)),
        prose=text,
    )


def commands(page: Page) -> list[str]:
    """The commands of a page's shell blocks, one a line; continued lines are joined."""
    found = []
    for language, text in page.blocks:
        if language not in ("sh", "bash", "console") and not _looks_like_commands(text):
            continue
        for line in text.replace("\\\n", " ").splitlines():
            words = line.strip().removeprefix("$ ")
            if words and not words.startswith("#"):
                found.append(words)
    return found


def _looks_like_commands(text: str) -> bool:
    return bool(re.match(r"(unmask|python|pip|make|node) ", text))


def faults_of(page: Page) -> Iterator[str]:
    """Everything on a page that is not true of this repository."""
    for line in commands(page):
        yield from command_faults(line)
    for code in page.inline:
        if re.match(r"(unmask|make|python|pip) \S", code):
            yield from command_faults(code, whole=False)
        yield from _word_faults(code)
    for language, text in page.blocks:
        for word in re.findall(r"\S+", text):
            yield from _path_faults(word)
        if language == "python":
            yield from python_faults(text)
    yield from _link_faults(page)


def command_faults(line: str, *, whole: bool = True) -> Iterator[str]:
    """What is wrong with a line for the shell.

    Args:
        line: commands, joined by ``|`` or ``&&`` perhaps.
        whole: False for a command in a sentence, which may leave arguments out.
    """
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        yield f"{line}: {error}"
        return
    command: list[str] = []
    for word in [*words, "|"]:
        if word not in ("|", "&&", ";"):
            command.append(word)
            continue
        if command:
            yield from (f"'{line}': {fault}" for fault in _one_command(command, whole))
        command = []


def _one_command(words: list[str], whole: bool) -> Iterator[str]:
    program, *rest = words
    program = program.removeprefix(".venv/bin/")
    checks = {"unmask": _unmask, "pip": _pip, "make": _make, "python": _python, "node": _python}
    if program in checks:
        yield from checks[program](rest, whole)
    elif program not in OTHER_PROGRAMS:
        yield f"'{program}' is no program that is known here"


def _unmask(words: list[str], whole: bool) -> Iterator[str]:
    verbs = _verbs()
    if not words or words[0] in ("--help", "-h", "--version"):
        return
    verb, *rest = words
    command = verbs.get(verb)
    if command is None and not whole and verb == "is":
        return  # a sentence that begins with the name
    if command is None:
        yield f"there is no verb '{verb}'"
        return
    if not whole:
        known = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
        known |= {"--help", "-h"}
        yield from (f"no option {w}" for w in rest if w.startswith("-") and w not in known)
        return
    try:
        context = command.make_context(verb, list(rest))
    except typer.Exit:
        return
    except Exception as error:  # noqa: BLE001 - whatever the parser says is the finding
        yield getattr(error, "message", "") or str(error) or type(error).__name__
        return
    config = context.params.get("config")
    if config and not (ROOT / config).is_file():
        yield f"there is no {config}"
        return
    try:
        load(ROOT / config if config else None, context.params.get("words") or ())
    except UnmaskError as error:
        yield str(error)


@cache
def _verbs() -> dict[str, Any]:
    group = typer.main.get_command(app)
    return dict(group.commands)  # type: ignore[attr-defined]


def _pip(words: list[str], whole: bool) -> Iterator[str]:
    extras = _project()["optional-dependencies"]
    for before, word in zip(["", *words], words, strict=False):
        if before in ("-c", "-r") and not (ROOT / word).is_file():
            yield f"there is no {word}"
        if match := re.fullmatch(r"(?:\.|unmask)\[([\w,]+)\]", word):
            yield from (f"no extra '{x}'" for x in match[1].split(",") if x not in extras)


@cache
def _project() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]  # type: ignore[no-any-return]


def _make(words: list[str], whole: bool) -> Iterator[str]:
    text = (ROOT / "Makefile").read_text("utf-8")
    for word in words:
        name, equals, _ = word.partition("=")
        pattern = rf"^{re.escape(name)} *\?=" if equals else rf"^{re.escape(name)}:"
        if not re.search(pattern, text, re.M):
            yield f"the Makefile has no {'variable' if equals else 'target'} '{name}'"


def _python(words: list[str], whole: bool) -> Iterator[str]:
    first, *rest = words
    if first == "-c":
        yield from python_faults(rest[0])
    elif first == "-m":
        if importlib.util.find_spec(rest[0]) is None:
            yield f"no module '{rest[0]}'"
    elif not (ROOT / first).is_file():
        yield f"there is no {first}"
    elif first.endswith(".py"):
        known = _options(ROOT / first)
        yield from (f"{first} has no option {w}" for w in rest
                    if w.startswith("-") and w.partition("=")[0] not in known)  # fmt: skip


@cache
def _options(script: Path) -> set[str]:
    """Names given to ``add_argument`` in a script."""
    return {
        word.value
        for node in ast.walk(ast.parse(script.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"
        for word in node.args
        if isinstance(word, ast.Constant) and isinstance(word.value, str)
    } | {"-h", "--help"}


def python_faults(code: str) -> Iterator[str]:
    """Code that does not compile, and names of unmask in it that do not exist."""
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        yield f"Python code: {error}"
        return
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            names |= {ast.unparse(node)}
    for name in sorted(names):
        if _NAME.fullmatch(name) and "__" not in name and not name_exists(name):
            yield f"there is no {name}"


@cache
def name_exists(name: str) -> bool:
    """Whether a dotted name of unmask is a module, or a name in one, without importing it."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        base = SOURCE.joinpath(*parts[:length])
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if file.is_file():
            return length == len(parts) or parts[length] in _names_in(file)
    return False


@cache
def _names_in(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _word_faults(code: str) -> Iterator[str]:
    """Settings, codes, paths and names in backticks."""
    if (match := _SETTING.fullmatch(code)) and match[2] != "py":
        yield from _setting_faults(*match.groups())
    if match := _CODE.fullmatch(code):
        known = _codes() if code.startswith("[") else _known_words()
        if match[1] not in known:
            yield f"'{match[1]}' is no code"
    if _NAME.fullmatch(code) and not name_exists(code):
        yield f"there is no {code}"
    yield from _path_faults(code)


def _setting_faults(section: str, key: str, value: str | None) -> Iterator[str]:
    if value is None:
        known = to_dict(TrainConfig())[section]
        if key not in known and not name_exists(f"unmask.{section}.{key}"):
            yield f"there is no setting {section}.{key}"
        return
    try:
        load(None, [f"{section}.{key}{value}"])
    except UnmaskError as error:
        yield str(error)


@cache
def _codes() -> set[str]:
    return error_catalogue.codes()


@cache
def _known_words() -> set[str]:
    """Codes, and words of the same look that are names in the source or columns of tables."""
    words = set(_codes())
    for file in SOURCE.rglob("*.py"):
        words |= set(re.findall(r"\b[a-z]+_[a-z0-9_]+\b", file.read_text("utf-8")))
    return words


def _path_faults(word: str) -> Iterator[str]:
    if not _PATH.fullmatch(word.rstrip(".")):
        return
    path = word.rstrip("./")
    if "*" in path:
        if not any(ROOT.glob(path)):
            yield f"nothing is like {path}"
    elif not (ROOT / path).exists():
        yield f"there is no {path}"


def _link_faults(page: Page) -> Iterator[str]:
    for link in page.links:
        target, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        file = (page.path.parent / target).resolve() if target else page.path
        if not file.exists():
            yield f"the link {link} leads nowhere"
        elif anchor and anchor not in {slug(text) for _, text in read_page(file).headings}:
            yield f"{target or 'the page'} has no heading for #{anchor}"


def slug(heading: str) -> str:
    """The anchor of a heading."""
    text = re.sub(r"[^\w\s-]", "", heading.replace("`", "").lower())
    return re.sub(r"[-\s]+", "-", text).strip("-")


def twin_faults(english: Page, other: Page) -> Iterator[str]:
    """Where two pages that say the same in two languages differ in what is no language."""
    code = [[(kind, _bare(text)) for kind, text in page.blocks] for page in (english, other)]
    levels = [[level for level, _ in page.headings] for page in (english, other)]
    if levels[0] != levels[1]:
        yield f"headings differ: {levels[0]} and {levels[1]}"
    if code[0] != code[1]:
        pairs = zip(*code, strict=False)
        first = next((a for a, b in pairs if a != b), ("", "their number"))
        yield f"code blocks differ: {first[1]}"
    links = [sorted(link.replace(".zh-CN", "") for link in page.links) for page in (english, other)]
    if links[0] != links[1]:
        yield f"links differ: {sorted(set(links[0]) ^ set(links[1]))}"
    codes = [Counter(page.inline) for page in (english, other)]
    if codes[0] != codes[1]:
        differing = (codes[0] - codes[1]) + (codes[1] - codes[0])
        yield f"code in sentences differs: {sorted(differing)}"
    for what, count in (("numbers", _numbers), ("rows, points, paragraphs", _parts)):
        found = [count(page.prose) for page in (english, other)]
        if found[0] != found[1]:
            yield f"{what} differ: {(found[0] - found[1]) + (found[1] - found[0])}"


def _numbers(prose: str) -> Counter[str]:
    plain = re.sub(r"`[^`]*`|\]\([^)]*\)", "", prose)
    return Counter(re.findall(r"\d+(?:\.\d+)?", plain))


def _parts(prose: str) -> Counter[str]:
    lines = prose.splitlines()
    return Counter(
        rows=sum(line.startswith("|") for line in lines),
        points=sum(line.startswith("- ") for line in lines),
        paragraphs=len(re.split(r"\n\s*\n", prose)),
    )


def _bare(text: str) -> str:
    """A code block without its comments, which are in the reader's language."""
    return "\n".join(re.sub(r"\s*#.*", "", line) for line in text.splitlines())


def complete_commands(page: Page) -> list[str]:
    """Commands in sentences that can be run as they stand, not just a verb's name."""
    return [
        code
        for code in page.inline
        if re.match(r"(unmask|make|python|pip) \S", code) and not list(command_faults(code))
    ]


def main() -> None:
    """Check every page, then run their commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-run", action="store_true", help="read the pages only")
    parser.add_argument("pages", nargs="*", help="run the commands of these alone")
    arguments = parser.parse_args()
    pages = [read_page(path) for path in PAGES]
    faults = [f"{page.path.relative_to(ROOT)}: {f}" for page in pages for f in faults_of(page)]
    by_name = {page.path.name: page for page in pages}
    for name in TWINS:
        faults += twin_faults(by_name[name], by_name[name.replace(".md", ".zh-CN.md")])
    count = sum(len(commands(page)) for page in pages)
    print(f"{len(pages)} pages, {count} commands, {sum(len(p.links) for p in pages)} links.")
    if not arguments.no_run:
        named = {str(page.path.relative_to(ROOT)): page for page in pages}
        named = {name: named[name] for name in arguments.pages or named}
        faults += run_all(
            {name: (commands(page), complete_commands(page)) for name, page in named.items()}
        )
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        sys.exit(f"{len(faults)} faults.")
    print("All true.")


if __name__ == "__main__":
    main()
