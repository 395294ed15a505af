"""From a folder of videos to a store of clips: resumed, told, nothing dropped."""

import csv
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from datasets import make_dataset

import make_media
import unmask
from unmask.clips import ClipStore, read_records
from unmask.config import ClipSpec, DataConfig
from unmask.device import choice, walk
from unmask.errors import ConfigError, DatasetError, MediaError, RunError, StoreError
from unmask.verbs import prepare as verb
from unmask.verbs.prepare import PrepareReport, prepare

SPEC = ClipSpec(frames=4, size_px=48)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight videos, a text, an empty file, and a scene without a face."""
    scenes = {"train": 2, "val": 1, "test": 1}
    root = make_dataset(tmp_path_factory.mktemp("prepare") / "data", scenes)
    (root / "train" / "fake" / "text.mp4").write_text("no video")
    (root / "train" / "real" / "empty.mp4").touch()
    empty = make_media.gradient_frames(6, 160, 120)
    make_media.write_video(root / "test" / "real" / "wall.mp4", empty)
    return root


def run(data: Path, store: Path, **how: object) -> PrepareReport:
    return prepare(data, store, clip=SPEC, workers=0, show_progress=False, **how)  # type: ignore[arg-type]


def test_every_video_ends_with_clips_or_a_reason(dataset: Path, tmp_path: Path) -> None:
    report = run(dataset, tmp_path / "store")
    assert (report.videos, report.worked, report.skipped) == (11, 11, 0)
    assert (report.ok, report.no_face, report.failed, report.clips) == (8, 1, 2, 8)
    assert report.counts == {"train": (2, 2), "val": (1, 1), "test": (1, 1)}
    found = {p.path: (p.status, p.code) for p in report.problems}
    assert found == {
        "train/fake/text.mp4": ("failed", "media_format"),
        "train/real/empty.mp4": ("failed", "media_empty"),
        "test/real/wall.mp4": ("no_face", "no_face"),
    }
    with (tmp_path / "store" / "problems.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"]: (row["status"], row["code"]) for row in rows} == found
    assert all(row["message"] for row in rows)
    store = ClipStore.open(tmp_path / "store", SPEC)
    assert len(store.entries) == len(read_records(store.path / "manifest.csv")) == 11
    good = [entry for entry in store.entries if entry.status == "ok"]
    for entry in good:
        assert entry.media["codec"] == "h264"
        assert entry.coverage["frames_with_face"] == 4
        assert len(entry.record.sha256) == 64
        assert store.read(entry.clips[0]).mask.all()


def test_the_summary_says_it_in_words(dataset: Path, tmp_path: Path) -> None:
    text = run(dataset, tmp_path / "store").summary()
    assert "8 clips of 11 videos" in text
    assert "train: 2 authentic, 2 manipulated" in text
    assert "without clips: 1 show no usable face, 2 failed" in text
    assert "train/fake/text.mp4: [media_format]" in text


def test_again_nothing_is_read(dataset: Path, tmp_path: Path) -> None:
    first = run(dataset, tmp_path / "store")
    index = (tmp_path / "store" / "index.jsonl").read_bytes()
    again = run(dataset, tmp_path / "store")
    assert (again.worked, again.skipped) == (0, 11)
    assert (again.ok, again.clips, again.problems) == (first.ok, first.clips, first.problems)
    assert (tmp_path / "store" / "index.jsonl").read_bytes() == index


def test_only_what_changed_is_read_again(dataset: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(dataset, data)
    run(data, tmp_path / "store")
    os.utime(data / "train" / "real" / "s01.mp4", (1, 1))  # a new date, the same bytes
    shutil.copy(data / "train" / "real" / "s02.mp4", data / "train" / "fake" / "text.mp4")
    (data / "train" / "fake" / "s01x.mp4").unlink()
    report = run(data, tmp_path / "store")
    assert (report.videos, report.worked, report.ok, report.failed) == (10, 2, 8, 1)
    paths = [entry.record.path for entry in ClipStore.open(tmp_path / "store").entries]
    assert "train/fake/s01x.mp4" not in paths
    assert run(data, tmp_path / "store").worked == 0


def test_worker_processes_give_the_same_store(dataset: Path, tmp_path: Path) -> None:
    run(dataset, tmp_path / "one")
    prepare(dataset, tmp_path / "two", clip=SPEC, workers=2, show_progress=False)
    one, two = (ClipStore.open(tmp_path / name) for name in ("one", "two"))
    for a, b in zip(one.entries, two.entries, strict=True):
        assert a.record == b.record
        assert a.status == b.status
        for x, y in zip(a.clips, b.clips, strict=True):
            np.testing.assert_array_equal(one.frames(x), two.frames(y))
            np.testing.assert_array_equal(x.boxes_xyxy_px, y.boxes_xyxy_px)


def test_killed_and_taken_up_again(dataset: Path, tmp_path: Path) -> None:
    """SIGKILL to the command when the pixels of its third video are put, but not yet their row."""
    store = tmp_path / "store"
    code = (
        f"import os, signal, sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from unmask.clips import writer\n"
        "from unmask.config import ClipSpec\n"
        "from unmask.verbs.prepare import prepare\n"
        "writer.COMMIT_ROWS = 1\n"
        "write = writer.StoreWriter._write_row\n"
        "def dying(self, entry):\n"
        "    if len(self.entries) == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    write(self, entry)\n"
        "writer.StoreWriter._write_row = dying\n"
        "spec = ClipSpec(frames=4, size_px=48)\n"
        f"prepare(Path({str(dataset)!r}), Path({str(store)!r}), clip=spec, workers=0)\n"
    )
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    index = (store / "index.jsonl").read_bytes()
    report = run(dataset, store)
    assert (report.worked, report.skipped) == (9, 2)
    assert (store / "index.jsonl").read_bytes().startswith(index)  # nothing of it is done again
    run(dataset, tmp_path / "whole")
    one, two = ClipStore.open(store), ClipStore.open(tmp_path / "whole")
    for a, b in zip(one.entries, two.entries, strict=True):
        assert (a.record, a.status) == (b.record, b.status)
        for x, y in zip(a.clips, b.clips, strict=True):
            np.testing.assert_array_equal(one.frames(x), two.frames(y))


def test_failures_of_the_work_are_tried_again(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **how: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(verb, "clips_of", broken)
    report = run(dataset, tmp_path / "store")
    assert report.ok == 0
    assert {p.code for p in report.problems} == {"prepare_internal", "media_empty"}
    monkeypatch.undo()
    assert run(dataset, tmp_path / "store").ok == 8


def test_a_file_that_could_not_be_read_is_tried_again(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share that was gone, a permission that was missing: the file itself did not change."""
    hashed = verb.sha256_of

    def gone(source: object) -> str:
        raise MediaError("The share is gone.", code="media_unreadable")

    monkeypatch.setattr(verb, "sha256_of", gone)
    assert run(dataset, tmp_path / "store").ok == 0
    monkeypatch.setattr(verb, "sha256_of", hashed)
    assert run(dataset, tmp_path / "store").ok == 8


def test_a_file_that_is_not_the_one_of_the_manifest_is_told(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data", {"train": 1, "val": 1, "test": 1})
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.mp4"))
    digest = hashlib.sha256((root / files[0]).read_bytes()).hexdigest()
    rows = [f"{path},{path.split('/')[1]},{path.split('/')[0]},{digest}" for path in files]
    (root / "manifest.csv").write_text("\n".join(["path,label,split,sha256", *rows]) + "\n")
    run(root, tmp_path / "store")
    entries = ClipStore.open(tmp_path / "store").entries
    told = {entry.record.path: [warning.code for warning in entry.warnings] for entry in entries}
    assert told == {name: ["sha256_differs"] for name in files} | {files[0]: []}


def test_a_name_does_not_steer_the_terminal_nor_split_the_tables(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data", {"train": 1, "val": 1, "test": 1})
    (root / "train" / "real" / "\x1b]0;owned\x07\rtwo.mp4").write_text("no video")
    report = run(root, tmp_path / "store")
    assert "\x1b" not in report.summary()
    assert "two.mp4: [media_format]" in report.summary()
    with (tmp_path / "store" / "problems.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["path"] == report.problems[0].path == "train/real/\x1b]0;owned\x07\rtwo.mp4"
    assert len(ClipStore.open(tmp_path / "store").entries) == 7


def test_stills_are_clips_of_one_frame(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    for label in ("real", "fake"):
        (root / label).mkdir(parents=True)
        frames = make_media.portrait_frames(10, 80, 80, seed=label == "fake", face_px=70)
        for number, frame in enumerate(frames):
            cv2.imwrite(str(root / label / f"{number}.jpg"), frame[..., ::-1])
    spec = ClipSpec(frames=1, size_px=48)
    report = prepare(root, tmp_path / "store", clip=spec, workers=0, show_progress=False)
    assert (report.videos, report.ok, report.clips) == (20, 20, 20)
    store = ClipStore.open(tmp_path / "store")
    assert {entry.clips[0].shape for entry in store.entries} == {(1, 48, 48, 3)}


def test_copies_of_a_recording_stay_in_one_split(tmp_path: Path) -> None:
    """Where the splits are ours to choose, twins are found by their pictures and kept together."""
    root = make_dataset(tmp_path / "data", {"": 8})
    for number in range(1, 9):
        source = root / "real" / f"s{number:02d}.mp4"
        shutil.copy(source, root / "real" / f"copy-of-{number}.mp4")
    prepare(root, tmp_path / "store", clip=SPEC, workers=0, show_progress=False)
    records = {r.path: r for r in read_records(tmp_path / "store" / "manifest.csv")}
    for number in range(1, 9):
        copy, source = (
            records[f"real/copy-of-{number}.mp4"], records[f"real/s{number:02d}.mp4"]
        )  # fmt: skip
        assert (copy.group, copy.split) == (source.group, source.split)


def test_copies_among_a_limited_number_of_videos(tmp_path: Path) -> None:
    """Kept together as well, and no video is asked for that was not prepared."""
    root = tmp_path / "data"
    frames = list(make_media.portrait_frames(24, 80, 80, face_px=70))
    for number, frame in enumerate(frames):
        for label, image in (("real", frame), ("fake", 255 - frame)):
            (root / label).mkdir(parents=True, exist_ok=True)
            for name in (f"{number:02d}", f"copy-{number:02d}"):
                cv2.imwrite(str(root / label / f"{name}.png"), image[..., ::-1])
    limited = DataConfig(videos_per_class=5)
    spec = ClipSpec(frames=1, size_px=48)
    report = prepare(
        root, tmp_path / "store", clip=spec, data_config=limited, workers=0, show_progress=False
    )
    assert report.videos == report.ok == len(read_records(tmp_path / "store" / "manifest.csv"))
    again = prepare(
        root, tmp_path / "store", clip=spec, data_config=limited, workers=0, show_progress=False
    )
    assert (again.worked, again.ok) == (0, report.ok)


def test_where_videos_were_decoded_is_told(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the arithmetic of the GPU's walk on a CPU device: the store is the same to a level."""
    monkeypatch.setattr(choice, "missing_gpu", lambda: "")
    on_cpu = functools.partial(walk.clips_of, device=torch.device("cpu"))
    monkeypatch.setattr(walk, "clips_of", on_cpu)
    report = run(dataset, tmp_path / "device", decoder="cuda")
    run(dataset, tmp_path / "plain", decoder="cpu")
    assert (report.ok, report.no_face, report.failed) == (8, 1, 2)
    assert "decoded on the GPU: 0 of 11 read now" in report.notes  # a CPU device is no GPU
    device, plain = (ClipStore.open(tmp_path / name) for name in ("device", "plain"))
    for a, b in zip(device.entries, plain.entries, strict=True):
        assert (a.status, a.code, a.coverage) == (b.status, b.code, b.coverage)
        for x, y in zip(a.clips, b.clips, strict=True):
            assert np.abs(device.frames(x).astype(int) - plain.frames(y)).max() <= 1


def test_files_that_the_gpu_hands_over_are_counted(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr(choice, "missing_gpu", lambda: "")
    report = run(dataset, tmp_path / "store", data_config=DataConfig(decoder="cuda"))
    (note,) = (note for note in report.notes if note.startswith("decoded"))
    assert note.startswith("decoded on the GPU: 0 of 11 read now; left to the CPU: 9 gpu_decode_")
    assert note in report.summary()
    good = [entry for entry in ClipStore.open(tmp_path / "store").entries if entry.clips]
    assert all(entry.coverage["decoder"] == "cpu" for entry in good)
    assert all(entry.warnings[-1].code == "gpu_decode_failed" for entry in good)


def test_a_gpu_that_is_not_there(dataset: Path, tmp_path: Path) -> None:
    if not choice.missing_gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(RunError) as caught:
        run(dataset, tmp_path / "store", decoder="cuda")
    assert caught.value.code == "run_decoder"
    assert not (tmp_path / "store").exists()


@pytest.mark.gpu
def test_a_gpu_makes_the_same_store(dataset: Path, tmp_path: Path) -> None:
    if choice.missing_gpu():
        pytest.skip(choice.missing_gpu())
    report = prepare(
        dataset, tmp_path / "gpu", clip=SPEC, workers=2, decoder="cuda", show_progress=False
    )
    run(dataset, tmp_path / "cpu", decoder="cpu")
    assert "decoded on the GPU: 9 of 11 read now" in report.notes
    gpu, cpu = (ClipStore.open(tmp_path / name) for name in ("gpu", "cpu"))
    for a, b in zip(gpu.entries, cpu.entries, strict=True):
        assert (a.status, a.code) == (b.status, b.code)
        for x, y in zip(a.clips, b.clips, strict=True):
            assert np.abs(gpu.frames(x).astype(int) - cpu.frames(y)).max() <= 1


def test_mistakes_are_told(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        run(tmp_path / "none", tmp_path / "store")
    assert not (tmp_path / "store").exists()
    with pytest.raises(StoreError) as caught:
        run(dataset, dataset)
    assert caught.value.code == "store_foreign"
    with pytest.raises(ConfigError):
        run(dataset, tmp_path / "store", detector="eyes")
    run(dataset, tmp_path / "store", data_config=DataConfig(videos_per_class=1))
    with pytest.raises(StoreError) as caught:
        prepare(dataset, tmp_path / "store", clip=ClipSpec(frames=5, size_px=48), workers=0)
    assert caught.value.code == "store_spec"


def test_it_needs_no_training_package(dataset: Path) -> None:
    assert unmask.prepare is prepare
    code = "import sys, unmask; unmask.prepare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
