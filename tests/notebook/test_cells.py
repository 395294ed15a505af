"""The cells themselves: their check can fail, they run, and they say what is wrong."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import kaggle as builder
import kaggle_execution_test as checker
from make_media import write_truncated
from unmask import notebook
from unmask.errors import ConfigError, DatasetError, LeakError, RunError
from unmask.notebook import machine, places, tables

CELLS = [(path.name, path.read_text(encoding="utf-8")) for path in checker.CELLS]


def test_the_cells_are_the_fourteen_and_sound() -> None:
    assert tuple(name for name, _ in CELLS) == notebook.CELLS
    assert checker.faults_of(CELLS) == []


@pytest.mark.parametrize(
    ("number", "add", "told"),
    [
        (3, "def helper(): pass", "no logic of its own (FunctionDef)"),
        (3, "import math", "imports belong into cell 1"),
        (3, "print(store)", "'store' is given by no earlier cell"),
        (3, "x = (", "cell_03"),
        (12, "print(samples)", "'samples' comes from cell 4"),
        (12, "notebook.need(globals(), samples=9)", "notebook.need says that 'samples'"),
    ],
)
def test_the_check_of_the_cells_can_fail(number: int, add: str, told: str) -> None:
    cells = [*CELLS]
    name, source = cells[number - 1]
    cells[number - 1] = (name, f"{source}\n{add}\n")
    assert any(told in fault for fault in checker.faults_of(cells))


def test_every_cell_out_of_order_names_the_missing_one() -> None:
    assert checker.order_faults(CELLS) == []
    assert checker.order_faults([CELLS[0], ("x.py", "print(1)")])  # runs where it must not


def test_need_names_the_first_missing_cell_and_the_rest() -> None:
    with pytest.raises(RunError) as caught:
        notebook.need({"settings": 1}, settings=2, store=9, samples=4)
    assert caught.value.code == "cell_order"
    assert "'samples' from cell 4" in caught.value.message
    assert "cell_04_dataset_class.py), then cell 9, then this one" in caught.value.hint


def test_a_cell_as_a_script_tells_without_a_traceback() -> None:
    path = checker.HERE / "cell_05_model_definition.py"
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Run cell 1 first (cell_01_imports_and_setup.py)" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_notebook_is_made_of_the_cells() -> None:
    told = "run: python scripts/kaggle.py notebook"
    assert builder.NOTEBOOK.read_text(encoding="utf-8") == builder.build_notebook(), told


def _run(count: int, base_path: Path | None, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """The first cells in one namespace, with base_path and overrides as a user types them."""
    namespace: dict[str, Any] = {"__name__": "cells"}
    for number, (name, source) in enumerate(CELLS[:count], 1):
        if number == 2:
            path = repr(str(base_path)) if base_path else "None"
            source = source.replace("base_path = None", f"base_path = {path}")
            source = source.replace("overrides = [", f"overrides = [*{(*checker.SMALL, *words)!r},")
        exec(compile(source, name, "exec"), namespace)
    return namespace


def test_a_wrong_path_is_told_with_what_is_there(kaggle: Path) -> None:
    (kaggle / "input" / "my-videos").mkdir()
    with pytest.raises(DatasetError) as caught:
        _run(2, kaggle / "input" / "my-video")
    assert caught.value.code == "dataset_missing"
    assert "my-videos" in caught.value.hint
    assert "base_path in cell 2" in caught.value.hint


def test_nothing_attached_is_told(kaggle: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        _run(2, None)
    assert caught.value.code == "dataset_layout"
    assert "Add Input" in caught.value.hint


def test_an_empty_class_folder_is_told(kaggle: Path, clips: Path) -> None:
    data = kaggle / "input" / "mine"
    (data / "fake").mkdir(parents=True)
    (data / "real").mkdir()
    for file in (clips / "train" / "real").glob("*.mp4"):
        (data / "real" / file.name).symlink_to(file)
    with pytest.raises(DatasetError) as caught:
        _run(4, None)
    assert caught.value.code == "dataset_empty_class"
    assert "no manipulated videos" in caught.value.message


def test_an_unknown_setting_is_told(kaggle: Path, clips: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'epochs'"):
        _run(2, clips, ("loop.epoch=3",))


def test_damaged_videos_are_passed_over_and_listed(
    kaggle: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = kaggle / "input" / "mine"
    for label in ("real", "fake"):
        (data / label).mkdir(parents=True)
        files = sorted((clips / "train" / label).glob("*.mp4"))
        for file in files:
            (data / label / file.name).symlink_to(file)
        write_truncated(files[0], data / label / "a_damaged_one.mp4", 0.3)
    namespace = _run(9, None)
    assert len([e for e in namespace["store"].entries if e.status == "failed"]) == 2
    assert namespace["prepared"].store.is_relative_to(kaggle / "temp" / "unmask")
    said = capsys.readouterr().out
    assert "Passed over fake/a_damaged_one.mp4: [media_damaged]" in said
    assert "without clips: 0 show no usable face, 2 failed" in said


def test_leaks_stop_before_the_training_and_say_how_to_go_on(
    kaggle: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LeakError) as caught:  # one portrait in every clip
        _run(9, clips, ("data.allow_leaks=[]",))
    assert "STOPS TRAINING" in capsys.readouterr().out
    assert "data.allow_leaks=[" in caught.value.hint


def test_little_memory_puts_the_clips_on_disk_and_says_so(
    kaggle: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = _run(9, clips)
    monkeypatch.setattr(tables, "free_bytes", lambda device: (2**10, 2**10))
    told = str(notebook.clips_table(namespace["store"], namespace["settings"]))
    assert told.count("shards") == 3


def test_the_defaults_are_the_classic_setting(
    kaggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unmask.config import load

    classic = load(Path(__file__).parents[2] / "configs" / "classic.yaml")
    assert notebook.settings_from(["loop.devices=1"]) == classic
    monkeypatch.setattr(places, "gpus", lambda: 2)
    assert notebook.settings_from().loop.devices == 2


def test_a_gpu_that_torch_cannot_use_means_the_cpu(
    kaggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kaggle's P100 under a torch without code for it."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda index: (6, 0))
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_75", "sm_90"])
    assert notebook.settings_from().loop.accelerator == "cpu"
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_60", "sm_75"])
    assert notebook.settings_from().loop.accelerator == "auto"


def test_a_machine_without_gpu_is_told_and_used(
    kaggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    told = str(notebook.tune_machine())
    assert "none: everything runs on the CPU, only slower" in told
    settings = notebook.settings_from()
    assert (settings.loop.accelerator, settings.loop.devices) == ("auto", 1)
    assert machine.device_of(settings).type == "cpu"


def test_the_machine_is_set_up_for_speed_and_the_users_own_choice_stays(
    kaggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "mine:1")
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("highest")
    notebook.tune_machine()
    assert torch.backends.cudnn.benchmark
    assert torch.get_float32_matmul_precision() == "high"
    assert os.environ["PYTORCH_CUDA_ALLOC_CONF"] == "mine:1"
    monkeypatch.delenv("PYTORCH_CUDA_ALLOC_CONF")
    notebook.tune_machine()
    assert os.environ["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"


def test_each_gpu_is_told_with_its_memory_and_those_that_are_of_no_use(
    kaggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda index: f"card {index}")
    monkeypatch.setattr(
        "torch.cuda.get_device_properties",
        lambda index: SimpleNamespace(total_memory=(index + 1.5) * 2**30),
    )
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda i: [(6, 0), (7, 5), (6, 0)][i])
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_75", "sm_90"])
    assert machine.gpus() == 1
    table = notebook.tune_machine()
    assert table.rows[:4] == (
        ("GPUs", "card 0, card 1, card 2"), ("GPU 0 memory", "1.5 GiB"),
        ("GPU 1 memory", "2.5 GiB"), ("GPU 2 memory", "3.5 GiB"),
    )  # fmt: skip
    assert "no code for 2 of the GPUs" in table.notes[0]
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_60", "sm_75"])
    assert notebook.tune_machine().notes == ()
    assert machine.device_of(notebook.settings_from()) == torch.device("cuda", 0)


def test_errors_on_purpose_are_sentences_and_others_keep_their_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)  # as in a plain script
    notebook.tidy_errors()
    for error in (RunError("It ended.", code="run_failed", hint="Again."), ValueError("a bug")):
        try:
            raise error
        except (RunError, ValueError):
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    told, _, bug = capsys.readouterr().err.partition("Traceback")
    assert told == "error [run_failed] It ended.\nAgain.\n"
    assert bug.endswith("ValueError: a bug\n")


@pytest.mark.slow
@pytest.mark.parametrize("limit_gib", [0, 2])
def test_all_cells_run_as_the_script_and_leave_every_result(limit_gib: int) -> None:
    """As it is, and with 2 GiB of memory for data."""
    limit = f"resource.setrlimit(resource.RLIMIT_DATA, ({limit_gib} * 2**30,) * 2); "
    script = checker.HERE / "kaggle_execution_test.py"
    start = (
        f"import resource, runpy, sys; {limit if limit_gib else ''}"
        f"sys.argv = [{str(script)!r}, '--quiet']; "
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", start], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "17 passed, 0 failed" in done.stdout
