"""The command line: what it prints, what it returns, and that no traceback gets out."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

import unmask
from make_media import gradient_frames, portrait_frames, write_video
from make_model import write_blueness
from unmask import cli
from unmask.jobs import run_tasks
from unmask.verbs import prepare as prepare_verb

VERBS = ("prepare", "train", "evaluate", "export", "detect", "doctor")
SMALL = ("clip.frames=4", "clip.size_px=48")


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process; as wide as a terminal that is a pipe."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("UNMASK_DEBUG", raising=False)

    def call(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["unmask", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        streams = capsys.readouterr()
        assert "Traceback" not in streams.out + streams.err
        return Done(code, streams.out, streams.err)

    return call


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video a class and split, and one that is broken."""
    root = tmp_path_factory.mktemp("cli") / "data"
    for split in ("train", "val", "test"):
        for label in ("real", "fake"):
            (root / split / label).mkdir(parents=True)
            path = root / split / label / f"{split}.mp4"
            write_video(path, portrait_frames(6, 120, 120, seed=len(path.name)))
    (root / "train" / "real" / "[red]odd :fire:.mp4").write_text("no video")
    return root


@pytest.fixture(scope="session")
def blue_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blueness(tmp_path_factory.mktemp("model") / "blue.onnx", frames=4)


# ------------------------------------------------------------------- help and versions


def test_help_names_every_verb(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    assert all(verb in done.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_its_words(run: Run, verb: str) -> None:
    done = run(verb, "-h")
    assert done.code == 0
    assert f"unmask {verb}" in done.out
    assert len(done.out.splitlines()) > 6


def test_version(run: Run) -> None:
    assert run("--version") == Done(0, f"unmask {unmask.__version__}\n", "")


def test_without_words_it_helps(run: Run) -> None:
    done = run()
    assert done.code == 2
    assert "detect" in done.out + done.err


# ------------------------------------------------------------------- usage: 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["guess"], "No such command"),
        (["detect"], "Missing argument"),
        (["prepare", "."], "Missing option"),
        (["detect", "a.mp4", "--frames", "0"], "frames"),
        (["detect", "a.mp4", "--speed", "3"], "No such option"),
        (["evaluate", "run", "--data", "x", "--split", "all"], "'train', 'val', 'test'"),
        (["prepare", ".", "--out", "x", "--workers", "none"], "workers"),
    ],
)
def test_usage(run: Run, words: list[str], says: str) -> None:
    done = run(*words)
    assert done.code == 2
    assert says in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("word", "code", "says"),
    [
        ("loop.epoch=3", "config_key", "Did you mean 'epochs'?"),
        ("clp.frames=3", "config_key", "Did you mean 'clip'?"),
        ("clip.frames=[", "config_override", "not valid YAML"),
        ("loop.epochs=0", "config_value", "'loop.epochs' must be at least 1"),
        ("loop.seed=-1", "config_value", "'loop.seed'"),
        ("optim.lr=.nan", "config_value", "'optim.lr'"),
        ("model.dropout=1.5", "config_value", "within 0-1"),
        ("loop.epochs=2020-01-01", "config_type", "int"),
        ("what", "config_override", "loop.epochs=5"),
    ],
)
def test_settings_that_cannot_be(
    run: Run, data: Path, tmp_path: Path, word: str, code: str, says: str
) -> None:
    for verb in ("prepare", "train"):
        done = run(verb, data, "--out", tmp_path / "out", word)
        assert (done.code, done.out) == (2, "")
        assert f"[{code}]" in done.err
        assert says in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"loop: [1", "config_syntax"),
        (b"\xff\xfe\x00", "config_syntax"),
        (b"- 1\n- 2\n", "config_value"),
        (b"loop: {epoch: 3}\n", "config_key"),
        (None, "config_missing"),
    ],
)
def test_a_configuration_file_with_a_mistake(
    run: Run, data: Path, tmp_path: Path, content: bytes | None, code: str
) -> None:
    file = tmp_path / "c.yaml"
    if content is not None:
        file.write_bytes(content)
    for more in ([], ["loop.epochs=2"]):
        done = run("prepare", data, "--out", tmp_path / "store", "--config", file, *more)
        assert done.code == 2
        assert f"[{code}]" in done.err


def test_an_empty_part_of_a_file_may_be_filled_on_the_command_line(
    run: Run, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("loop:\nclip: {frames: 4}\n")
    words = ["--config", tmp_path / "c.yaml", "loop.seed=3", "clip.size_px=48", "--workers", "1"]
    assert run("prepare", data, "--out", tmp_path / "store", *words).code == 3


def test_models_that_are_not_there(run: Run, data: Path, tmp_path: Path) -> None:
    absent = tmp_path / "none.onnx"
    for words in (
        ["detect", data / "test" / "real" / "test.mp4", "--model", absent],
        ["export", tmp_path / "run"],
        ["evaluate", absent, "--data", data],
    ):
        done = run(*words)
        assert (done.code, done.out) == (2, "")
        assert "[model_missing]" in done.err
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    done = run("detect", data / "test" / "real" / "test.mp4", "--model", text)
    assert (done.code, done.out) == (2, "")


# ------------------------------------------------------------------- failures: 1 and 3


@pytest.mark.parametrize("verb", ["prepare", "train"])
def test_no_dataset(run: Run, tmp_path: Path, verb: str) -> None:
    done = run(verb, tmp_path / "nothing", "--out", tmp_path / "out")
    assert (done.code, done.out) == (1, "")
    assert "[dataset_missing]" in done.err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(run: Run, data: Path) -> None:
    done = run("prepare", data, "--out", "/proc/unmask", *SMALL)
    assert (done.code, done.out) == (1, "")
    assert "/proc/unmask" in done.err
    assert "[store_disk]" in done.err


def test_a_run_folder_that_is_a_file(run: Run, data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    done = run("train", data, "--out", tmp_path / "run", *SMALL)
    assert done.code == 1
    assert "[system]" in done.err
    assert (tmp_path / "run").read_text() == "mine"


def test_a_fault_of_ours_is_named_as_such(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("[bold]by zero[/bold]")

    monkeypatch.setattr("unmask.verbs.doctor.doctor", broken)
    done = run("doctor")
    assert done.code == 1
    assert "[internal] ZeroDivisionError: [bold]by zero[/bold]" in done.err
    assert "UNMASK_DEBUG" in done.err


def test_prepare(run: Run, data: Path, tmp_path: Path) -> None:
    done = run("prepare", data, "--out", tmp_path / "store", "--workers", "1", *SMALL)
    assert done.code == 3  # one of the files is broken
    assert "6 clips of 7 videos" in done.out
    assert "train/real/[red]odd :fire:.mp4: [media_format]" in done.out
    again = run("prepare", data, "--out", tmp_path / "store", "--json", *SMALL)
    assert again.code == 3
    tree = json.loads(again.out)
    assert (tree["videos"], tree["worked"], tree["ok"], tree["failed"]) == (7, 0, 6, 1)
    assert tree["problems"][0]["code"] == "media_format"
    other = run("prepare", data, "--out", tmp_path / "store", "clip.frames=5")
    assert other.code == 1
    assert "[store_spec]" in other.err


def test_detect_tells_some_inputs_failed(
    run: Run, data: Path, tmp_path: Path, blue_model: Path
) -> None:
    wall = write_video(tmp_path / "wall.mp4", gradient_frames(6, 120, 90))
    good = data / "test" / "real" / "test.mp4"
    alone = run("detect", good, wall, "--model", blue_model, "--json")
    assert alone.code == 0  # nothing to judge is no failure
    labels = [json.loads(line)["verdict"]["label"] for line in alone.out.splitlines()]
    assert labels == ["weak_evidence", "not_applicable"]
    bad = run("detect", tmp_path / "none.mp4", good, "--model", blue_model, "--json")
    assert bad.code == 3
    first, second = (json.loads(line) for line in bad.out.splitlines())
    assert (first["status"], second["status"]) == ("failed", "completed")
    assert first["error"]["code"] == "media_not_found"
    text = run("detect", good, wall, tmp_path / "none.mp4", "--model", blue_model)
    assert text.code == 3
    notes = [n for n, line in enumerate(text.out.splitlines()) if line.startswith("  note ")]
    assert notes == [len(text.out.splitlines()) - 1], "what holds for every file is said once"
    assert "none.mp4: failed [media_not_found]" in text.out
    assert "test.mp4: weak evidence" in text.out


def test_names_that_are_not_utf8_give_strict_json(
    run: Run, data: Path, tmp_path: Path, blue_model: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"a\xff\\.mp4")
    odd.write_bytes((data / "test" / "real" / "test.mp4").read_bytes())
    words = ("detect", odd, tmp_path / os.fsdecode(b"none\xfe.mp4"), "--model", blue_model)
    done = run(*words, "--json", "--html", tmp_path / "pages", "--annotate", tmp_path / "films")
    assert done.code == 3
    first, second = (json.loads(line) for line in done.out.encode("utf-8").splitlines())
    assert (first["input"]["name"], first["status"]) == ("a\\xff\\\\.mp4", "completed")
    assert second["input"]["name"] == "none\\xfe.mp4"
    assert "none\\xfe.mp4" in second["error"]["message"]
    page = tmp_path / "pages" / os.fsdecode(b"a\xff\\.mp4.html")
    assert "a\\xff\\\\.mp4" in page.read_text("utf-8")
    assert (tmp_path / "films" / os.fsdecode(b"a\xff\\.mp4.mp4")).stat().st_size > 0
    text = run(*words)
    assert "a\\xff\\\\.mp4: weak evidence" in text.out
    assert "none\\xfe.mp4: failed [media_not_found]" in text.out


def test_a_terminal_that_has_not_all_letters(data: Path, tmp_path: Path, blue_model: Path) -> None:
    odd = tmp_path / "视频 é 😀.mp4"
    odd.write_bytes((data / "test" / "real" / "test.mp4").read_bytes())
    narrow = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = command("detect", odd, "--model", blue_model, "--json", env=narrow)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["input"]["name"] == odd.name
    out = tmp_path / "résultats"
    scanned = command("scan", odd, "--model", blue_model, "--workers", 1, "--out", out, env=narrow)
    assert scanned.returncode == 0, scanned.stderr
    assert "1 files; 1 judged" in scanned.stdout


def test_prepare_takes_the_workers_of_the_settings(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noted(*args: object, **how: object) -> Iterator[object]:
        asked.append(how["workers"])
        return run_tasks(*args, **{**how, "workers": 0})  # type: ignore[arg-type]

    monkeypatch.setattr(prepare_verb, "run_tasks", noted)
    run("prepare", data, "--out", tmp_path / "a", *SMALL, "data.workers=3")
    run("prepare", data, "--out", tmp_path / "b", *SMALL, "data.workers=3", "--workers", "1")
    assert asked == [3, 1]


def test_doctor(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("doctor")
    checks = json.loads(run("doctor", "--json").out)
    assert done.code == (1 if any(check["status"] == "broken" for check in checks) else 0)
    assert all(check["name"] in done.out for check in checks)
    for check in checks:  # brackets are no markup
        for word in check["remedy"].split():
            assert word in done.out


# ------------------------------------------------------------------- processes


def command(*words: object, **how: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "unmask", *map(str, words)],
        capture_output=True, text=True, check=False, **how,  # type: ignore[call-overload]
    )  # fmt: skip


def test_as_a_module() -> None:
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"unmask {unmask.__version__}\n")


def test_ctrl_c_says_that_it_resumes(data: Path, tmp_path: Path) -> None:
    words = ["prepare", data, "--out", tmp_path / "store", "--workers", "1", *SMALL]
    process = subprocess.Popen(
        [sys.executable, "-m", "unmask", *map(str, words)], stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "store" / "store.json").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "[interrupted]" in err
    assert "it resumes" in err
    assert "Traceback" not in err


def test_a_reader_that_goes_away(data: Path, blue_model: Path) -> None:
    """As in ``unmask detect ... | head -1``."""
    reader, writer = os.pipe()
    os.close(reader)
    videos = [str(data / "test" / "real" / "test.mp4")] * 2
    done = subprocess.run(
        [sys.executable, "-m", "unmask", "detect", *videos, "--model", str(blue_model), "--json"],
        stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode in (1, 141)
    assert "Traceback" not in done.stderr


LIGHT = """
import sys
from unmask.cli import main
try:
    main()
except SystemExit as end:
    code = end.code or 0
heavy = {'torch', 'torchvision', 'timm', 'sklearn', 'matplotlib', 'scipy', 'skimage'}
sys.exit(f"imports {heavy & set(sys.modules)}" if heavy & set(sys.modules) else code)
"""


@pytest.mark.parametrize("what", ["import", "help", "detect", "prepare"])
def test_what_never_imports_torch(what: str, data: Path, tmp_path: Path, blue_model: Path) -> None:
    words = {
        "import": ["--version"],
        "help": ["--help"],
        "detect": ["detect", data / "test" / "real" / "test.mp4", "--model", blue_model],
        "prepare": ["prepare", data, "--out", tmp_path / "store", "--workers", "1", *SMALL],
    }[what]
    expected = 3 if what == "prepare" else 0  # one of its files is broken
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert "imports" not in done.stderr, done.stderr
    assert done.returncode == expected, done.stderr


def test_settings_on_the_command_line_end_in_the_store(
    run: Run, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"clip": {"frames": 9, "size_px": 48}}))
    words = ["-o", tmp_path / "s", "-c", tmp_path / "c.yaml", "clip.frames=4", "--workers", "1"]
    run("prepare", data, *words)
    facts = json.loads((tmp_path / "s" / "store.json").read_text())
    assert (facts["clip"]["frames"], facts["clip"]["size_px"]) == (4, 48)
