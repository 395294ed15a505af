"""The pages of the site that are made from the code say all of it."""

import posixpath
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer
import yaml

import error_catalogue
import make_docs
from make_model import write_blueness
from unmask import weights
from unmask.cli import app
from unmask.config import TrainConfig

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return make_docs.pages()


def test_the_command_line_has_every_verb_and_option(pages: dict[str, str]) -> None:
    page = pages["reference/cli.md"]
    group: Any = typer.main.get_command(app)
    assert {"detect", "scan", "train", "doctor"} <= set(group.commands)
    for name, command in group.commands.items():
        section = page.partition(f"## unmask {name}\n")[2].partition("\n## ")[0]
        assert command.help in section
        for param in command.params:
            flags = [] if param.param_type_name == "argument" else param.opts
            assert all(f"`{flag}`" in section for flag in flags), (name, param.name)
            assert param.help.split(".")[0] in section.replace(r"\|", "|"), (name, param.name)
    assert "unmask detect VIDEOS... [OPTIONS]" in page


def test_settings_has_every_key_with_its_default(pages: dict[str, str]) -> None:
    page = pages["reference/settings.md"]
    for section in fields(TrainConfig):
        for item in fields(get_type_hints(TrainConfig)[section.name]):
            assert f"| `{section.name}.{item.name}` | `" in page
    assert "| `clip.frames` | `16` | Crops in a clip (T). |" in page
    assert "| `loop.channels_last` | `true` |" in page
    assert "| `loss.name` | `focal` | One of focal, bce. |" in page


def test_codes_has_every_code_once_as_an_anchor(pages: dict[str, str]) -> None:
    page = pages["reference/errors.md"]
    anchors = re.findall(r'<span id="(\w+)">', page)
    assert set(anchors) == error_catalogue.codes()
    assert "| There is no file {path}. |" in page


def test_every_bundled_network_has_its_card(pages: dict[str, str]) -> None:
    for name in weights.names():
        card = weights.read_card(name)
        section = pages["cards.md"].partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert card.sha256 in section
        assert card.licence in section
        for field in fields(weights.Card):  # nothing of a card stays in the file
            text = " ".join(str(getattr(card, field.name)).replace("_", " ").split())
            shown = " ".join(section.replace("_", " ").split())
            assert text in shown or text.replace("|", r"\|") in shown, field.name


def test_a_detector_tells_its_threshold_and_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_blueness(tmp_path / "blue.onnx")
    card = weights.Card(
        "blue", "blue.onnx", "ab12", "deepfake_detection", "A test.", "MIT", "A script.", "Exact."
    )
    monkeypatch.setattr(weights, "names", lambda: ("blue",))
    monkeypatch.setattr(weights, "read_card", lambda _: card)
    monkeypatch.setattr(weights, "load", lambda _: file)
    page = make_docs.cards_page()
    assert "## blue" in page
    assert "| task | deepfake detection |" in page
    assert "| crops | 8 a clip, 96 px, margin 1.15 |" in page
    assert "| fitted on | 100 authentic and 100 manipulated validation videos |" in page
    assert "| threshold | 0.600 |" in page
    assert "| called manipulated there | 5.0% of the authentic |" in page
    assert "- It sees blue, and nothing else." in page


def test_every_module_is_in_the_api(pages: dict[str, str]) -> None:
    named = set(re.findall(r"^::: (\S+)$", "\n".join(pages.values()), re.M))
    source = ROOT / "src" / "unmask"
    for path in source.rglob("*.py"):
        name = ".".join(("unmask", *path.relative_to(source).with_suffix("").parts))
        if path.stem not in ("__init__", "__main__", "cli"):
            assert name in named, name


def test_the_navigation_names_every_page_and_no_other(pages: dict[str, str]) -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    def leaves(node: Any) -> list[str]:
        if isinstance(node, str):
            return [node]
        parts = node.values() if isinstance(node, dict) else node
        return [leaf for part in parts for leaf in leaves(part)]

    named = set(leaves(config["nav"])) - {"API"}
    docs = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert named == docs | {page for page in pages if not page.startswith("reference/api/")}


def test_nothing_is_fetched_from_elsewhere() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert config["theme"]["font"] is False
    assert config["extra"]["polyfills"] == ["assets/iframe-worker.js"]
    assert (ROOT / "docs" / "assets" / "iframe-worker.js").is_file()


@pytest.mark.parametrize(
    ("uri", "written", "linked"),
    [
        ("index.md", "[x](docs/verdict.md)", "[x](verdict.md)"),
        ("index.md", "[x](docs/evidence.md#the-page)", "[x](evidence.md#the-page)"),
        ("index.md", "[x](README.zh-CN.md)", "[x](index.zh.md)"),
        ("index.md", "[x](NOTICE)", "[x](notice.md)"),
        ("kaggle.md", "[x](KAGGLE_USAGE_GUIDE.zh-CN.md)", "[x](kaggle.zh.md)"),
        ("tutorial.md", "[x](../CONTRIBUTING.md)", "[x](contributing.md)"),
        ("tutorial.md", "[x](reference/cli.md)", "[x](reference/cli.md)"),
        ("reference/cli.md", "[x](errors.md)", "[x](errors.md)"),
        ("index.md", "[x](https://example.org/a.md)", "[x](https://example.org/a.md)"),
        ("index.md", "[x](#here)", "[x](#here)"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(
    uri: str, written: str, linked: str
) -> None:
    assert make_docs.link_pages(written, uri) == linked


def test_links_between_pages_lead_somewhere(pages: dict[str, str]) -> None:
    docs = {
        path.relative_to(ROOT / "docs").as_posix(): path.read_text(encoding="utf-8")
        for path in ROOT.glob("docs/**/*.md")
    }
    site = docs | pages
    for uri, text in site.items():
        prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", make_docs.link_pages(prose, uri)):
            place, _, _ = target.partition("#")
            if place and "://" not in target:
                file = posixpath.normpath(posixpath.join(posixpath.dirname(uri), place))
                assert file in site or (ROOT / "docs" / file).is_file(), (uri, target)


def test_text_from_the_code_is_shown_as_it_is() -> None:
    assert make_docs._literal("a <b> *c* d_e [f] | g") == r"a \<b> \*c\* d\_e \[f\] \| g"
