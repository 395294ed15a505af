"""Both guides say the same, and name what there is."""

import re
from pathlib import Path

import pytest

import error_catalogue
from unmask.config import load
from unmask.notebook import CELLS

ROOT = Path(__file__).parents[2]
GUIDES = [
    ROOT / "kaggle_cells" / name
    for name in ("KAGGLE_USAGE_GUIDE.md", "KAGGLE_USAGE_GUIDE.zh-CN.md")
]


def _code(text: str) -> set[str]:
    """Everything in backticks and code blocks, without comments; a link to the twin is no code."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return {word for word in (*inline, *lines) if word}


def test_both_languages_have_the_same_commands_settings_and_messages() -> None:
    english, chinese = (_code(path.read_text(encoding="utf-8")) for path in GUIDES)
    assert english == chinese


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_the_settings_exist(path: Path) -> None:
    words = re.findall(r'"((?:loop|clip|model|data|optim)\.\w+=[^"]+)"', path.read_text("utf-8"))
    assert len(words) >= 10
    load(None, words)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_codes_of_messages_and_files_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    codes = re.findall(r"`\[(\w+)\]`", text)
    assert len(codes) >= 12
    assert set(codes) - error_catalogue.codes() == set()
    for file in re.findall(r"(?:kaggle_cells|notebooks)/[\w.]+\.(?:py|ipynb)", text):
        assert (ROOT / file).is_file()
    assert text.count("\n| 14 |") == 1
    assert len(CELLS) == 14
