"""A scan of a folder with everything in it, killed, resumed, changed and asked for otherwise."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

import make_media
import unmask
from make_model import write_blueness
from unmask import scan
from unmask.cli import app
from unmask.errors import ModelError, ScanError
from unmask.jobs import Outcome
from unmask.verbs import scan as verb
from unmask.verbs.scan import ScanReport

SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "verdict.schema.json").read_text("utf-8"))
)
FRAMES = 8


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blueness(tmp_path_factory.mktemp("model") / "blue.onnx")


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four short videos of one person, and one of nobody."""
    folder = tmp_path_factory.mktemp("films")
    for seed in range(4):
        frames = make_media.portrait_frames(12, 160, 120, seed=seed)
        make_media.write_video(folder / f"person{seed}.mp4", frames)
    make_media.write_video(folder / "nobody.mp4", make_media.gradient_frames(8, 160, 120))
    return folder


@pytest.fixture
def folder(films: Path, tmp_path: Path) -> Path:
    """The films, copies of some, and everything that is no film."""
    folder = tmp_path / "in"
    shutil.copytree(films, folder)
    shutil.copy(folder / "person1.mp4", folder / "again.mp4")
    (folder / "link.mp4").symlink_to("person2.mp4")
    shutil.copy(folder / "person3.mp4", folder / os.fsdecode(b"odd\xff\n<b>.mp4"))
    (folder / ".hidden.mp4").write_text("no video")
    (folder / "empty.mp4").touch()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "circle.mp4").symlink_to("circle.mp4")
    (folder / "notes.txt").write_text("no media")
    return folder


def run(folder: Path, out: Path, model: Path, **settings: Any) -> ScanReport:
    """In this process, unless workers are asked for."""
    settings = {"frames": FRAMES, "workers": 1, "show_progress": False} | settings
    return scan([folder], out, model=model, **settings)


def results(out: Path) -> list[dict[str, Any]]:
    text = (out / "results.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def untimed(out: Path) -> list[dict[str, Any]]:
    found = results(out)
    for result in found:
        result["runtime"] = {
            name: value for name, value in result["runtime"].items() if "seconds" not in name
        }
    return found


def table(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def name_of(result: Mapping[str, Any]) -> str:
    return Path(result["file"]["path"]).name


def judged_paths(out: Path) -> Counter[str]:
    """How often each path was judged, ever."""
    rows = (json.loads(line) for line in (out / "journal.jsonl").read_bytes().splitlines())
    return Counter(row["path"] for row in rows if "verdict" in row)


def test_everything_in_a_folder_has_one_outcome(folder: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    report = run(folder, out, model, workers=2)
    found = results(out)
    for result in found:
        assert [error.message for error in SCHEMA.iter_errors(result)] == []
    assert {
        name_of(r): r["error"]["code"] if r["error"] else r["verdict"]["label"] for r in found
    } == {
        ".hidden.mp4": "media_format",
        "again.mp4": "weak_evidence",
        "circle.mp4": "media_unreadable",
        "empty.mp4": "media_empty",
        "link.mp4": "weak_evidence",
        "nobody.mp4": "not_applicable",
        "odd\\xff\n<b>.mp4": "weak_evidence",
        "person0.mp4": "weak_evidence",
        "pipe.mp4": "media_not_regular",
    }
    assert [r["file"]["path"] for r in found] == sorted(r["file"]["path"] for r in found)
    copies = {name_of(r): [Path(c["path"]).name for c in r["file"]["duplicates"]] for r in found}
    assert {name: others for name, others in copies.items() if others} == {
        "again.mp4": ["person1.mp4"],
        "link.mp4": ["person2.mp4"],
        "odd\\xff\n<b>.mp4": ["person3.mp4"],
    }
    assert [name_of(r) for r in found] == [r["input"]["name"] for r in found]
    assert all(r["input"]["sha256"] for r in found if r["error"] is None)
    assert (report.paths, report.files, report.duplicates, report.skipped) == (12, 9, 3, 1)
    assert (report.judged, report.failed) == (9, 4)
    assert report.labels == {"not_applicable": 1, "weak_evidence": 4}
    assert [reason.code for reason in report.reasons] == [
        "media_empty", "media_format", "media_not_regular", "media_unreadable",
    ]  # fmt: skip


def test_the_tables_and_the_page_hold_every_path(folder: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    report = run(folder, out, model)
    rows = table(out)
    assert len(rows) == report.paths
    by_name = {Path(row["path"]).name: row for row in rows}
    copy, first = by_name["person1.mp4"], by_name["again.mp4"]
    assert copy["duplicate_of"] == first["path"]
    assert copy["score"] == first["score"] != ""
    assert by_name["empty.mp4"]["error_code"] == "media_empty"
    assert by_name["nobody.mp4"]["score"] == ""
    parquet = pytest.importorskip("pyarrow.parquet")
    stored = parquet.read_table(out / "results.parquet").to_pylist()
    assert [row["path"] for row in stored] == [row["path"] for row in rows]
    assert [row["score"] for row in stored] == [
        float(row["score"]) if row["score"] else None for row in rows
    ]
    page = (out / "index.html").read_text("utf-8")
    assert page.count("<tr data-path=") == report.files
    assert "<b>.mp4" not in page  # a name is text, whatever is in it
    assert page.count('src="thumbnails/') == 5 == len(list((out / "thumbnails").rglob("*.jpg")))


def test_names_that_are_not_utf8_can_be_had_back_from_every_output(
    films: Path, tmp_path: Path, model: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / os.fsdecode(b"out\xff")
    folder.mkdir()
    shutil.copy(films / "person0.mp4", folder / os.fsdecode(b"\xff\\xff.mp4"))
    (folder / os.fsdecode(b"bad\xfe.mp4")).touch()
    words = ["scan", str(folder), "--out", str(out), "--model", str(model), "--frames", "8"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 3, done.output
    assert "out\\xff: 2 files" in done.output
    found = {result["input"]["name"]: result for result in results(out)}
    assert set(found) == {"\\xff\\\\xff.mp4", "bad\\xfe.mp4"}
    assert found["bad\\xfe.mp4"]["error"]["message"].endswith("bad\\xfe.mp4 is empty.")
    paths = sorted(result["file"]["path"] for result in found.values())
    assert sorted(row["path"] for row in table(out)) == paths
    page = (out / "index.html").read_text("utf-8")
    assert all(name in page for name in found)
    assert page.count('src="thumbnails/') == 1 == len(list((out / "thumbnails").rglob("*.jpg")))
    parquet = pytest.importorskip("pyarrow.parquet")
    with (out / "results.parquet").open("rb") as file:
        stored = parquet.read_table(file).to_pylist()
    assert sorted(row["path"] for row in stored) == paths


def test_trust_anchors_reach_the_workers_and_are_a_setting(
    films: Path, tmp_path: Path, model: Path
) -> None:
    pytest.importorskip("c2pa")
    out, anchors = tmp_path / "out", tmp_path / "roots.pem"
    anchors.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    words = ["scan", str(films / "person0.mp4"), "--out", str(out), "--model", str(model)]
    done = CliRunner().invoke(app, [*words, "--frames", "8", "--trust-anchors", str(anchors)])
    assert done.exit_code == 0, done.output
    assert [result["provenance"]["c2pa"]["trust_list"] for result in results(out)] == [True]
    with pytest.raises(ScanError, match="trust_anchors was") as caught:
        run(films, out, model)
    assert caught.value.code == "scan_settings"


def test_a_second_run_judges_nothing_and_a_third_what_has_changed(
    folder: Path, tmp_path: Path, model: Path
) -> None:
    out = tmp_path / "out"
    run(folder, out, model)
    before = (out / "results.jsonl").read_bytes()
    assert run(folder, out, model).judged == 0
    assert (out / "results.jsonl").read_bytes() == before

    os.utime(folder / "person0.mp4", ns=(0, 0))  # a new date, no new content
    (folder / "nobody.mp4").rename(folder / "moved.mp4")
    shutil.copy(folder / "person0.mp4", folder / "person2.mp4")  # another content, and its size
    make_media.write_video(folder / "new.mp4", make_media.gradient_frames(9, 96, 96))
    (folder / "again.mp4").unlink()
    report = run(folder, out, model)
    assert report.judged == 1
    found = {name_of(result): result for result in results(out)}
    assert "again.mp4" not in found
    assert found["moved.mp4"]["input"]["name"] == "moved.mp4"
    assert found["person1.mp4"]["file"]["duplicates"] == []
    assert [Path(c["path"]).name for c in found["link.mp4"]["file"]["duplicates"]] == [
        "person0.mp4", "person2.mp4",
    ]  # fmt: skip


def test_a_file_that_grows_is_judged_again(films: Path, tmp_path: Path, model: Path) -> None:
    out, path = tmp_path / "out", tmp_path / "in.mp4"
    shutil.copy(films / "nobody.mp4", path)
    run(path, out, model)
    shutil.copy(films / "person0.mp4", path)
    assert run(path, out, model).judged == 1
    assert [result["verdict"]["label"] for result in results(out)] == ["weak_evidence"]


def test_killed_at_any_moment_it_ends_as_if_undisturbed(
    folder: Path, tmp_path: Path, model: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(folder, whole, model)
    command = [sys.executable, "-m", "unmask", "scan", folder, "--out", out, "--model", model]
    command += ["--frames", str(FRAMES), "--workers", "1"]
    for rows in (0, 1, 4):  # killed when that many verdicts stand in the journal
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
            while one.poll() is None and not _has_rows(out, rows):
                time.sleep(0.01)
            assert one.poll() is None, "it was over before it was killed"
            one.send_signal(signal.SIGKILL)
        (out / ".results-12345678.jsonl").touch()  # as a kill in the middle of a write leaves it
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert untimed(out) == untimed(whole)
    assert set(judged_paths(out).values()) == {1}
    assert [path.name for path in out.rglob(".*")] == [".lock"]  # no half-written file stays
    assert "media_empty" in done.stdout


def _has_rows(out: Path, rows: int) -> bool:
    journal = out / "journal.jsonl"
    return journal.exists() and journal.read_bytes().count(b'"verdict": {"schema') >= rows


def test_results_come_one_by_one(films: Path, tmp_path: Path, model: Path) -> None:
    """A kill before the end leaves the lines of what was judged, each whole and once."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "unmask", "scan", films, "--out", out, "--model", model]
    with subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.DEVNULL) as one:
        while one.poll() is None and not _has_rows(out, 2):
            time.sleep(0.01)
        one.kill()
    names = [name_of(result) for result in results(out)]
    assert len(names) >= 1
    assert len(set(names)) == len(names)


def test_other_settings_or_another_model_are_refused(
    films: Path, tmp_path: Path, model: Path
) -> None:
    out = tmp_path / "out"
    run(films / "nobody.mp4", out, model)
    other = write_blueness(tmp_path / "other.onnx", name="other")
    for settings in ({"frames": 16}, {"model": other}):
        with pytest.raises(ScanError) as caught:
            run(films, out, **({"model": model} | settings))
        assert caught.value.code == "scan_settings"
    assert len(results(out)) == 1


def test_results_of_two_versions_are_not_mixed(
    films: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(films / "nobody.mp4", out, model)
    monkeypatch.setattr(unmask, "__version__", "99.0")
    with pytest.raises(ScanError, match=r"tool was unmask \S+, is unmask 99\.0") as caught:
        run(films, out, model)
    assert caught.value.code == "scan_settings"
    assert len(results(out)) == 1


def test_limits_are_no_settings_and_failures_can_be_tried_again(
    films: Path, tmp_path: Path, model: Path
) -> None:
    out = tmp_path / "out"
    report = run(films, out, model, timeout_seconds=0.001)
    assert [(reason.code, reason.files) for reason in report.reasons] == [("scan_timeout", 5)]
    for result in results(out):
        assert [error.message for error in SCHEMA.iter_errors(result)] == []
    assert run(films, out, model).judged == 0
    report = run(films, out, model, retry_failed=True)
    assert (report.judged, report.failed) == (5, 0)
    assert len(results(out)) == 5
    assert run(films, out, model, retry_failed=True).judged == 0


def test_every_misfortune_of_a_worker_is_a_verdict_with_its_code(
    films: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fates = {
        "died": ("scan_crashed", -11),
        "timeout": ("scan_timeout", None),
        "memory": ("scan_memory", MemoryError()),
        "cpu": ("scan_cpu", -24),
        "error": ("scan_internal", RuntimeError("oops")),
    }

    def misfortune(_: Any, tasks: Iterator[Any], **limits: Any) -> Iterator[Outcome[Any]]:
        for (status, (_, value)), task in zip(fates.items(), tasks, strict=True):
            yield Outcome(task, status, value)  # type: ignore[arg-type]

    monkeypatch.setattr(verb, "run_tasks", misfortune)
    run(films, tmp_path / "out", model)
    found = results(tmp_path / "out")
    assert [r["error"]["code"] for r in found] == [code for code, _ in fates.values()]
    for result in found:
        assert [error.message for error in SCHEMA.iter_errors(result)] == []
        assert result["model"]["name"] == "blueness"


def test_what_is_no_files_fault_ends_the_scan(
    films: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(_: Any, tasks: Iterator[Any], **limits: Any) -> Iterator[Outcome[Any]]:
        yield Outcome(next(tasks), "error", ModelError("altered", code="model_altered"))

    monkeypatch.setattr(verb, "run_tasks", altered)
    with pytest.raises(ModelError):
        run(films, tmp_path / "out", model)
    monkeypatch.undo()
    assert run(films, tmp_path / "out", model).judged == 5


def test_a_copy_is_judged_when_the_file_that_stood_for_it_has_gone(
    films: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(films / "person0.mp4", folder / name)
    hash_lookalikes = verb._Scan.hash_lookalikes

    def hash_and_remove(self: Any, threads: int) -> None:
        hash_lookalikes(self, threads)
        (folder / "a.mp4").unlink()

    monkeypatch.setattr(verb._Scan, "hash_lookalikes", hash_and_remove)
    report = run(folder, tmp_path / "out", model)
    found = {name_of(result): result for result in results(tmp_path / "out")}
    assert found["a.mp4"]["error"]["code"] == "media_not_found"
    assert found["b.mp4"]["verdict"]["label"] == "weak_evidence"
    assert (report.files, report.judged) == (2, 2)


def test_a_wrong_model_is_told_before_anything_is_written(films: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        run(films, tmp_path / "out", tmp_path / "absent.onnx")
    assert not (tmp_path / "out").exists()


def test_the_command_tells_what_failed_and_exits_with_three(
    folder: Path, tmp_path: Path, model: Path
) -> None:
    command = ["scan", str(folder), "--out", str(tmp_path / "out"), "--model", str(model)]
    command += ["--frames", str(FRAMES), "--workers", "2"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 3
    assert "9 judged now" in done.stdout
    assert "1 media_empty" in done.stdout
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 3
    tree = json.loads(done.stdout)
    assert (tree["files"], tree["judged"], tree["failed"]) == (9, 0, 4)
    (tmp_path / "list").write_text(str(folder / "person0.mp4"))
    done = CliRunner().invoke(
        app, ["scan", "--list", str(tmp_path / "list"), *command[2:]], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert [name_of(result) for result in results(tmp_path / "out")] == ["person0.mp4"]


def test_it_reaches_no_training_package() -> None:
    code = (
        "import sys; from unmask import scan;"
        "heavy = {'torch', 'torchvision', 'timm', 'sklearn', 'matplotlib', 'ray', 'pyarrow'};"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_ray_gives_the_same_results(folder: Path, tmp_path: Path, model: Path) -> None:
    pytest.importorskip("ray")
    run(folder, tmp_path / "here", model)
    run(folder, tmp_path / "there", model, engine="ray", workers=2)
    assert untimed(tmp_path / "there") == untimed(tmp_path / "here")
    assert [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in table(tmp_path / "there")
    ] == [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in table(tmp_path / "here")
    ]
