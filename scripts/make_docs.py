"""Pages of the documentation that are made from the code, as hooks of MkDocs (mkdocs.yml).

Nothing of it is committed: each build makes them anew. What a page says comes from the typer app,
the settings' dataclasses, the errors in the source, the cards of the weights, and `README.md` and
its like at the root, whose links are turned into links between pages.
"""

from __future__ import annotations

import ast
import os
import posixpath
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import typer
from mkdocs.structure.files import File, Files

import error_catalogue
from unmask import weights
from unmask.cli import app
from unmask.config import TrainConfig

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "unmask"

FROM_ROOT = {
    "index.md": "README.md",
    "index.zh.md": "README.zh-CN.md",
    "kaggle.md": "kaggle_cells/KAGGLE_USAGE_GUIDE.md",
    "kaggle.zh.md": "kaggle_cells/KAGGLE_USAGE_GUIDE.zh-CN.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Pages that are files of the repository outside of docs/, by page."""
LAST_IN_SEARCH = "---\nsearch: {boost: 0.001}\n---\n\n"
AS_TEXT = {"notice.md": ("NOTICE", "LICENSE", "LICENSE-APACHE")}

_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_KIND_TITLES = {
    "Warn": ("Reasons and warnings", "In `reasons`, `warnings` and notices: nothing has failed."),
    "outcome": ("Outcomes of single files", "The work goes on with the other files."),
    "command": ("The command line itself", "What is not a refusal of an input."),
}


def pages() -> dict[str, str]:
    """Markdown of every page that is made, by its place in the site."""
    made = {page: (ROOT / file).read_text("utf-8") for page, file in FROM_ROOT.items()}
    for page, files in AS_TEXT.items():
        texts = [f"## {name}\n\n```text\n{(ROOT / name).read_text('utf-8')}```" for name in files]
        made[page] = "\n\n".join(("# Licence and third-party files", *texts)) + "\n"
    made["reference/cli.md"] = command_page()
    made["reference/settings.md"] = settings_page()
    made["reference/errors.md"] = errors_page()
    made["cards.md"] = cards_page()
    made |= {f"reference/api/{room}.md": LAST_IN_SEARCH + text for room, text in api_pages()}
    return made


def on_config(config: Any) -> Any:
    """Hook: name the rooms' pages in the navigation."""
    rooms = [{page: f"reference/api/{page}.md"} for page, _ in api_pages()]
    for group in config.nav:
        for entry in group.get("Reference", ()):
            if isinstance(entry, dict) and "API" in entry:
                entry["API"] = rooms
    return config


def on_files(files: Files, config: Any) -> Files:
    """Hook: add the pages that are made."""
    for uri, text in pages().items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Hook: links to files of the repository become links to their pages."""
    return link_pages(markdown, page.file.src_uri)


def link_pages(markdown: str, uri: str) -> str:
    """Turn the relative links of a page, written for the repository, into links within the site.

    Args:
        markdown: text of the page.
        uri: its place in the site; what is not of `FROM_ROOT` lies in docs/ at the same place.
    """
    origin = FROM_ROOT.get(uri, f"docs/{uri}")
    places = {file: page for page, file in FROM_ROOT.items()}
    places |= {file: page for page, files in AS_TEXT.items() for file in files}

    def turn(match: re.Match[str]) -> str:
        target, hash_, anchor = match[2].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        page = places.get(file, file.removeprefix("docs/") if file.startswith("docs/") else None)
        if page is None:
            return match[0]
        new = os.path.relpath(page, posixpath.dirname(uri) or ".")
        return f"{match[1]}{new}{hash_}{anchor}{match[3]}"

    return _LINK.sub(turn, markdown)


def command_page() -> str:
    """The command line: usage, arguments and options of every verb."""
    parts = [
        "# Command line",
        "Made from the program itself. Exit codes: 0 all done, 1 failed, 2 usage, 3 some inputs "
        "failed, 130 interrupted. Settings are words like `loop.epochs=5`: see "
        "[Settings](settings.md). Errors name a code: see [Codes](errors.md).",
    ]
    group = typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):  # type: ignore[attr-defined]
        parts += [f"## unmask {name}", command.help or ""]
        usage, rows = [f"unmask {name}"], []
        for param in command.params:
            given = _value_name(param)
            if param.param_type_name == "argument":
                names = f"`{given}`"
                dots = "..." if param.nargs == -1 else ""
                usage.append(f"{given}{dots}" if param.required else f"[{given}{dots}]")
            else:
                flags = [*param.opts, *param.secondary_opts]
                names = ", ".join(f"`{flag}`" for flag in flags)
                names += "" if param.is_flag else f" `{given}`"
                if param.required:
                    usage.append(f"{param.opts[0]} {given}")
            default = "required" if param.required else _default(param.default)
            rows.append(f"| {names} | {_cell(param.help or '')} | {default} |")
        usage.append("[OPTIONS]")
        parts += [
            f"```text\n{' '.join(usage)}\n```",
            "\n".join(("| | | default |", "|---|---|---|", *rows)),
        ]
    return "\n\n".join(parts) + "\n"


def _value_name(param: Any) -> str:
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    kind = str(param.type_descriptor.annotation if hasattr(param, "type_descriptor") else "")
    for word, shown in (("Path", "PATH"), ("int", "N"), ("float", "NUMBER")):
        if word in kind:
            return shown
    return "TEXT"


def _default(value: Any) -> str:
    if value is None or value is False or value == "":
        return ""
    return "on" if value is True else f"`{value}`"


def settings_page() -> str:
    """Every setting with its default, out of the dataclasses' fields and docstrings."""
    parts = [
        "# Settings",
        "Made from `unmask.config`. A YAML file given with `--config` holds some of them, words on "
        "the command line (`loop.epochs=5`) change single ones, and the resolved tree is written "
        "as `config.yaml` beside a run. An unknown key is an error that names the nearest one.",
    ]
    documented = _field_docs(SOURCE / "config.py")
    for section in fields(TrainConfig):
        kind = get_type_hints(TrainConfig)[section.name]
        if not isinstance(kind, type) or not is_dataclass(kind):
            continue
        rows = []
        for item in fields(kind):
            about = documented.get((kind.__name__, item.name), "")
            if not about and str(item.type).startswith("Literal"):
                about = "One of " + ", ".join(re.findall(r"['\"](\w+)['\"]", str(item.type))) + "."
            value = _unset(item)
            shown = "`''`" if value == "" else f"`{_plain(value)}`"
            rows.append(f"| `{section.name}.{item.name}` | {shown} | {_cell(about)} |")
        parts += [
            f"## {section.name}",
            (kind.__doc__ or "").replace("``", "`"),
            "\n".join(("| key | default | |", "|---|---|---|", *rows)),
        ]
    return "\n\n".join(parts) + "\n"


def _unset(item: Field[Any]) -> Any:
    """What a setting is where nobody sets it."""
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _field_docs(file: Path) -> dict[tuple[str, str], str]:
    """The string under each field of each class of a module."""
    found = {}
    for kind in ast.parse(file.read_text("utf-8")).body:
        if not isinstance(kind, ast.ClassDef):
            continue
        for item, after in zip(kind.body, kind.body[1:], strict=False):
            if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
                continue
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                found[kind.name, item.target.id] = " ".join(str(after.value.value).split())
    return found


def errors_page() -> str:
    """Every code with its sentences and next steps, by kind."""
    kinds = error_catalogue.error_kinds()
    parts = [
        "# Codes",
        "Made from the source. Errors are one sentence, a code in brackets and the next step, as "
        "in `error [media_not_found] There is no file clip.mp4.` Codes never change once released; "
        "sentences may. Words in braces are filled in. In Python, `unmask.UnmaskError` has `code`, "
        "`message` and `hint`.",
    ]
    entries = error_catalogue.catalogue()
    for kind in dict.fromkeys(entry.kind for entry in entries):
        title, about = _KIND_TITLES.get(kind, (kind, kinds.get(kind, ("", ""))[1]))
        rows, last = [], ""
        for entry in (entry for entry in entries if entry.kind == kind):
            name = f'<span id="{entry.code}"></span>`{entry.code}`' if entry.code != last else ""
            last = entry.code
            said = _literal(entry.message) or "*(as the case is)*"
            rows.append(f"| {name} | {said} | {_literal(entry.hint)} |")
        parts += [
            f"## {title}",
            about.replace("``", "`"),
            "\n".join(("| code | says | next step |", "|---|---|---|", *rows)),
        ]
    return "\n\n".join(parts) + "\n"


def cards_page() -> str:
    """The cards of the networks that ship, with what a detector's file says of itself."""
    parts = [
        "# Model cards",
        "Networks that come with the install. `unmask doctor` checks each file against its "
        "SHA-256. How well the detectors do: [Results](results.md).",
    ]
    for name in weights.names():
        card = weights.read_card(name)
        parts.append(f"## {name}")
        rows = [
            ("task", card.task.replace("_", " ")),
            ("licence", card.licence),
            ("source", card.source),
            ("made by", card.made_by),
            ("parity", card.parity),
            ("notes", card.notes),
            ("file", f"`{card.file}`"),
            ("SHA-256", f"`{card.sha256}`"),
            ("in float16", f"`{card.float_file}`" if card.float_file else ""),
            ("its SHA-256", f"`{card.float_sha256}`" if card.float_file else ""),
            ("commit", f"`{card.commit}`" if card.commit else ""),
        ]
        body = [f"| {what} | {_cell(text)} |" for what, text in rows if text]
        parts.append("\n".join(("| | |", "|---|---|", *body)))
        sections = (
            ("Intended use", card.intended_use),
            ("Known failures", card.failures),
            ("Measures", card.metrics),
            ("Robustness", card.robustness),
            ("Data and terms", card.data),
            ("Recipe", card.recipe),
            ("Commands", f"```sh\n{card.commands}\n```" if card.commands else ""),
        )
        for title, text in sections:
            parts += [f"### {title} of {name}", text] if text else []
        if card.task != "face_detection":
            parts += _said_by_the_file(name)
    return "\n\n".join(parts) + "\n"


def _said_by_the_file(name: str) -> Iterator[str]:
    """What travels inside a detector: crops, threshold and what it costs, limits."""
    from unmask.inference import load_model

    about = load_model(weights.load(name), threads=1).metadata
    clip, fitted = about["clip"], about.get("calibration", {})
    rows = [
        ("version", about["version"]),
        ("network", " ".join(filter(None, map(about["model"].get, ("name", "backbone"))))),
        ("crops", f"{clip['frames']} a clip, {clip['size_px']} px, margin {clip['margin']}"),
    ]
    if fitted:
        rows += [
            ("fitted on", f"{fitted['authentic']} authentic and {fitted['manipulated']} "
                          "manipulated validation videos"),
            ("threshold", f"{fitted['threshold']:.3f}"),
            ("called manipulated there", f"{_share(fitted['expected_bpcer'])} of the authentic"),
            ("missed there", f"{_share(fitted['expected_apcer'])} of the manipulated"),
        ]  # fmt: skip
    yield f"### What {name} says of itself"
    yield "The file says of itself, and `detect` with each verdict:"
    yield "\n".join(
        ("| | |", "|---|---|", *(f"| {what} | {text} |" for what, text in rows if text))
    )
    yield "Limits:"
    yield "\n".join(f"- {text}" for text in about.get("limitations", ())) or "- none are named"


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def api_pages() -> Iterator[tuple[str, str]]:
    """One page a room, each module by its docstrings (mkdocstrings)."""
    verbs = sorted(path.stem for path in (SOURCE / "verbs").glob("[a-z]*.py"))
    yield (
        "unmask",
        "\n\n".join(
            [
                "# unmask",
                "The verbs, as functions of the package: `unmask.detect(...)` and so on. Results "
                "and settings: [types](types.md), [config](config.md), [errors](errors.md).",
                *(_module(f"unmask.verbs.{verb}", f"unmask.{verb}") for verb in verbs),
            ]
        )
        + "\n",
    )
    for path in sorted(SOURCE.iterdir()):
        if path.suffix == ".py" and not path.stem.startswith("__") and path.stem != "cli":
            yield path.stem, f"# unmask.{path.stem}\n\n{_module(f'unmask.{path.stem}')}\n"
        elif (path / "__init__.py").is_file() and path.name != "verbs":
            about = ast.get_docstring(ast.parse((path / "__init__.py").read_text("utf-8"))) or ""
            own = [_module(f"unmask.{path.name}")] if _defines(path / "__init__.py") else []
            names = sorted(file.stem for file in path.glob("[a-z]*.py"))
            sections = [_module(f"unmask.{path.name}.{n}", f"{path.name}.{n}") for n in names]
            yield path.name, "\n\n".join((f"# unmask.{path.name}", about.replace("``", "`"), *own,
                                          *sections)) + "\n"  # fmt: skip


def _module(name: str, title: str = "") -> str:
    heading = f"## {title}\n\n" if title else ""
    return f"{heading}::: {name}"


def _defines(file: Path) -> bool:
    kinds = (ast.FunctionDef, ast.ClassDef)
    body = ast.parse(file.read_text("utf-8")).body
    return any(isinstance(node, kinds) and not node.name.startswith("_") for node in body)


def _cell(text: str) -> str:
    """Text that may stand in a table's cell."""
    return " ".join(textwrap.dedent(text).split()).replace("|", r"\|").replace("``", "`")


def _literal(text: str) -> str:
    """Text from the code that must not be read as Markdown or HTML."""
    return re.sub(r"([*_<\[\]])", r"\\\1", _cell(text))
