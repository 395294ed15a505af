"""README and docs are true of the code; `make docs-check` runs their commands as well."""

import re
from pathlib import Path

import pytest

import docs_check
import docs_run
import docs_stage
import error_catalogue
from docs_check import (
    PAGES,
    ROOT,
    Page,
    command_faults,
    commands,
    complete_commands,
    faults_of,
    python_faults,
    read_page,
    slug,
    twin_faults,
)
from unmask import errors


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_true(path: Path) -> None:
    assert list(faults_of(read_page(path))) == []


@pytest.mark.parametrize("name", docs_check.TWINS)
def test_both_languages_say_the_same(name: str) -> None:
    english, chinese = (_page(name) for name in (name, name.replace(".md", ".zh-CN.md")))
    assert list(twin_faults(english, chinese)) == []
    assert len(english.headings) >= 8
    assert len(english.blocks) >= 5


def _page(name: str) -> Page:
    return read_page(next(path for path in PAGES if path.name == name))


def test_the_readme_begins_with_demo_and_test() -> None:
    page = read_page(ROOT / "README.md")
    assert [line.split("#")[0].strip() for line in commands(page)[:2]] == ["make demo", "make test"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("unmask detekt clip.mp4", "no verb 'detekt'"),
        ("unmask detect clip.mp4 --htlm x.html", "--htlm"),
        ("unmask detect clip.mp4 --frames many", "many"),
        ("unmask evaluate runs/mine", "data"),
        ("unmask train DATA loop.epoch=5", "epochs"),
        ("unmask train DATA loop.epochs=few", "loop.epochs"),
        ("unmask train DATA --config configs/none.yaml", "configs/none.yaml"),
        ("pip install 'unmask[everything]'", "everything"),
        ("pip install -c pins.txt .", "pins.txt"),
        ("make tea", "tea"),
        ("make kaggle SUGAR=2", "SUGAR"),
        ("python scripts/none.py", "scripts/none.py"),
        ("python scripts/make_media.py portrait x.mp4 --colour red", "--colour"),
        ("python -m no_such_module", "no_such_module"),
        ("python -c 'import unmask.nothing'", "unmask.nothing"),
        ("cat x.txt | unmask detect", "cat"),
        ("unmask 'detect", "quotation"),
    ],
)
def test_a_wrong_command_is_found(line: str, fault: str) -> None:
    assert fault in " ".join(command_faults(line))


@pytest.mark.parametrize(
    "line",
    [
        "unmask --version",
        "unmask detect *.mp4 --json  # words",
        "unmask train DATA --config configs/classic.yaml loop.epochs=5 optim.lr=1e-3",
        "python -m venv .venv && pip install '.[train]'",
    ],
)
def test_a_right_command_passes(line: str) -> None:
    assert list(command_faults(line)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("see `optim.rate`", "optim.rate"),
        ("see `clip.size_px=large`", "clip.size_px"),
        ("see `[media_eaten]`", "media_eaten"),
        ("see `configs/none.yaml`", "configs/none.yaml"),
        ("see `unmask.media.dream`", "unmask.media.dream"),
        ("see [this](none.md)", "none.md"),
        ("# Head\n\nsee [this](#tail)", "#tail"),
        ("```sh\nunmask fly\n```", "fly"),
        ("    unmask fly away", "fly"),
        ("```python\nimport unmask\n\nunmask.guess()\n```", "unmask.guess"),
        ("run `unmask detect --loud`", "--loud"),
    ],
)
def test_a_wrong_page_is_found(tmp_path: Path, text: str, fault: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    assert fault in " ".join(faults_of(read_page(page)))


def test_differing_twins_are_found(tmp_path: Path) -> None:
    def page(name: str, text: str) -> Page:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_page(tmp_path / name)

    english = page("a.md", "# A\n\n```sh\nmake test\n```\n\n[x](y.md) `z` 3 s\n\n- p\n")
    same = page("b.md", "# 甲\n\n```sh\nmake test  # 注\n```\n\n[乙](y.md) `z` 3 秒\n\n- 丙\n")
    other = page("c.md", "## 甲\n\n```sh\nmake demo  # 注\n```\n\n[乙](z.md) `y` 4 秒\n")
    assert list(twin_faults(english, same)) == []
    found = [fault.split()[0] for fault in twin_faults(english, other)]
    assert found == ["headings", "code", "links", "code", "numbers", "rows,"]


def test_anchors() -> None:
    assert slug("Content `Credentials`, at last") == "content-credentials-at-last"
    assert slug("有多准、有多快") == "有多准有多快"


def test_python_that_does_not_compile() -> None:
    assert list(python_faults("unmask.detect(")) != []
    assert list(python_faults("import unmask\n\nunmask.detect('x.mp4')")) == []


def test_the_catalogue_has_every_kind_of_error_and_its_default_code() -> None:
    kinds = error_catalogue.error_kinds()
    assert kinds["MediaError"] == ("media_damaged", "A media file cannot be read.")
    for name, (code, _) in kinds.items():
        assert getattr(errors, name).default_code == code


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("media_not_found", "There is no file {path}.", ""),
        ("config_override", "is not of the form key=value.", "loop.epochs=5"),
        ("leak_near_duplicate", "in two splits", "groups.csv"),  # a code that is put together
        ("model_card", "cannot be used: {reason}", "Install unmask again."),  # by a function
        ("no_face", "No usable face in {...}", ""),  # by a variable
        ("prepare_timeout", "Given up after", ""),
        ("interrupted", "Interrupted.", "it resumes"),
    ],
)
def test_the_catalogue_knows(code: str, message: str, hint: str) -> None:
    found = [entry for entry in error_catalogue.catalogue() if entry.code == code]
    assert any(message in entry.message and hint in entry.hint for entry in found), found


def test_the_catalogue_reads_a_source_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "errors.py").write_text(
        'class OddError(Exception):\n    """Odd."""\n\n    default_code = "odd"\n'
    )
    (tmp_path / "room.py").write_text(
        "def f(x):\n"
        '    """Raises ``odd_left`` or ``odd_right``; ``even_up`` is not ours."""\n'
        '    text = "old"\n'
        '    text = f"It is {x.name}."\n'
        '    raise OddError(text, code=f"odd_{x}", hint="Turn." if x else "Stop.")\n\n'
        "def g():\n"
        '    raise OddError("Plain.")\n'
    )
    found = {(e.code, e.message, e.hint) for e in error_catalogue.catalogue(tmp_path)}
    assert found == {
        ("odd_left", "It is {name}.", "Turn. / Stop."),
        ("odd_right", "It is {name}.", "Turn. / Stop."),
        ("odd", "Plain.", ""),
    }


@pytest.mark.parametrize(
    ("line", "script"),
    [
        ("unmask doctor   # words", "unmask doctor"),
        ("unmask detect *.mp4 --json", "unmask detect *.mp4 --json"),
        ("unmask evaluate runs/mine --data DATA", "unmask evaluate runs/mine --data DATA"),
        ("unmask calibrate runs/mine --data DATA", "unmask calibrate runs/mine --data DATA"),
        ("unmask export runs/mine", "unmask export runs/mine"),
        ("python -c 'print(1) # no'", "python -c 'print(1) # no'"),
        ("make docs", "make docs -o .venv/.light -o .venv/.dev"),
        ("python benchmarks/faces.py --each 30", "python benchmarks/faces.py --help"),
        ("npm install axe-core", ""),
        ("pip install .", ""),
        ("kaggle kernels push -p dist/kaggle/kernel", ""),
    ],
)
def test_what_is_run(line: str, script: str) -> None:
    step = docs_run.plan(line)
    assert step.script == script
    assert step.parsed_only == (not script or script.endswith("--help"))
    assert bool(step.reason) == (script != line.partition("   #")[0])


def test_a_training_is_made_short_and_keeps_what_the_page_sets() -> None:
    line = "unmask train DATA --config configs/classic.yaml --out runs/x loop.epochs=3"
    step = docs_run.plan(line)
    assert step.script.startswith(f"{line} model.backbone=test_resnet ")
    assert step.script.count("loop.epochs") == 1
    assert step.reason
    assert list(command_faults(step.script)) == []


def test_a_translated_page_is_run_once_and_sentences_add_what_is_new() -> None:
    blocks = ["unmask doctor", "make test"]
    pages = {
        "a.md": (blocks, ["unmask doctor", "unmask --version"]),
        "b.md": (["unmask doctor  # 注释", "make test"], ["unmask --version"]),
        "c.md": (["unmask doctor", "unmask export runs/x"], ["unmask --help"]),
        "d.md": (["unmask export runs/x", "unmask export runs/y"], []),
    }
    plans = docs_run.plans_of(pages)
    assert {name: [step.line for step in steps] for name, steps in plans.items()} == {
        "a.md": ["unmask doctor", "make test", "unmask --version"],
        "c.md": ["unmask export runs/x", "unmask --help"],
        "d.md": ["unmask export runs/x", "unmask export runs/y"],
    }


def test_every_dataset_that_a_command_reads_is_there_when_it_is_run(tmp_path: Path) -> None:
    material, folder = tmp_path / "material", tmp_path / "page"
    for name in ("videos/train", "few", "stills"):
        (material / name).mkdir(parents=True)
    for name in ("clip.mp4", "model.onnx", "faces.npz"):
        (material / name).touch()
    folder.mkdir()
    docs_stage.stage(material, folder)
    pages = [read_page(path) for path in PAGES]
    steps = [docs_run.plan(line) for page in pages for line in commands(page)]
    lines = [step.line for step in steps if not step.parsed_only]
    read = {word for line in lines for word in re.findall(r"--data ([A-Z_]+)\b", line)}
    assert {"DATA", "PEOPLE"} <= read
    assert [word for word in sorted(read) if not (folder / word).exists()] == []


def test_a_command_that_fails_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(line: str) -> str:
        return docs_run._run("p.md", docs_run.plan(line), tmp_path).fault

    assert run("test -d .") == ""
    assert "ends with 1" in run("test -d nothing")
    shows = "echo 'error [run_config] x' >&2; exit 1"
    monkeypatch.setattr(docs_run, "EXPECTED", {shows: ("p.md", "run_config")})
    assert run(shows) == ""
    monkeypatch.setattr(docs_run, "EXPECTED", {shows: ("p.md", "run_disk")})
    assert "does not show [run_disk]" in run(shows)
    monkeypatch.setattr(docs_run, "EXPECTED", {"true": ("p.md", "run_disk")})
    assert "does not show [run_disk]" in run("true")


def test_only_whole_commands_of_sentences_are_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`unmask detect` is `unmask is not installed`, `unmask doctor`, `make tea`\n")
    assert complete_commands(read_page(page)) == ["unmask doctor"]


def test_every_block_of_the_readme_is_seen() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    page = read_page(ROOT / "README.md")
    assert text.count("```") == 2 * len(page.blocks)
    assert sum(line.startswith("unmask ") for line in commands(page)) >= 9
    assert docs_check.SOURCE.is_dir()
