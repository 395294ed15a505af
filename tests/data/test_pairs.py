import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import psutil
import pytest
import torch
from bank_faces import face

from unmask.augment.blend import KINDS
from unmask.config import PairsConfig, TrainConfig, from_dict
from unmask.data.facebank import FaceBank
from unmask.data.pairs import pair_loaders
from unmask.errors import ConfigError
from unmask.types import FAKE

CPU = torch.device("cpu")
CONFIG = from_dict(
    TrainConfig,
    {
        "clip": {"frames": 1, "size_px": 84},
        "pairs": {"sources": {"portraits": 1.0}, "val_pairs": 2, "kinds": {"sbi": 1.0}},
        "data": {"workers": 0},
    },
)


@pytest.fixture(scope="module")
def bank() -> FaceBank:
    faces = [
        face(f"p/{i}", "portraits", f"g{i}", "val" if i > 3 else "train", tone=0.7 + 0.05 * i)
        for i in range(8)
    ]
    faces.append(face("p/fake", "portraits", "g7", "val", FAKE, "p/7", tone=1.05))
    return FaceBank.of(faces)


def test_a_killed_run_sees_the_batches_that_it_lost(bank: FaceBank, tmp_path: Path) -> None:
    train, _ = pair_loaders(bank, CONFIG, CPU, tmp_path / "val.npz", cells=6)
    straight = list(islice(train.batches(3, 4), 3))
    resumed = next(iter(train.batches(3, 4, first=2)))
    assert torch.equal(straight[2].clips, resumed.clips)
    assert not torch.equal(straight[0].clips, straight[1].clips)
    assert straight[0].labels.tolist() == [0, 1, 0, 1]
    assert straight[0].patches is not None
    assert straight[0].patches.target.shape == (4, 2, 1, 6, 6)
    assert straight[0].patches.known.all()
    assert straight[0].degraded


def test_the_first_epochs_may_hold_other_kinds(bank: FaceBank, tmp_path: Path) -> None:
    tree = _tree()
    tree["pairs"] = {**tree["pairs"], "first_kinds": {"rerender": 1.0}, "first_epochs": 2}
    train, _ = pair_loaders(bank, from_dict(TrainConfig, tree), CPU, tmp_path / "val.npz")
    plain, _ = pair_loaders(bank, CONFIG, CPU, tmp_path / "val.npz")
    for epoch, alike in ((0, False), (1, False), (2, True), (7, True)):
        one, other = (next(iter(loader.batches(epoch, 4))) for loader in (train, plain))
        assert torch.equal(one.clips, other.clips) == alike


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ({"kinds": {"sbj": 1.0}}, "no kind 'sbj'"),
        ({"first_kinds": {"sbj": 1.0}}, "no kind 'sbj'"),
        ({"kinds": {"sbi": 0.0}}, "above 0"),
        ({"kinds": {"sbi": 1.0, "swap": -1.0}}, "above 0"),
        ({"sources": {"portraits": 0.0}}, "above 0"),
        ({"first_epochs": 3}, "'pairs.first_kinds'"),
        ({"first_kinds": {"sbi": 1.0}}, "for how long"),
    ],
)
def test_weights_that_draw_nothing_are_told(
    bank: FaceBank, tmp_path: Path, pairs: dict[str, object], words: str
) -> None:
    tree = _tree()
    tree["pairs"] = {**tree["pairs"], **pairs}
    with pytest.raises(ConfigError, match=words) as caught:
        pair_loaders(bank, from_dict(TrainConfig, tree), CPU, tmp_path / "val.npz")
    assert caught.value.hint


def test_fakes_of_a_collection_that_is_left_out_are_missing_from_validation_too(
    tmp_path: Path,
) -> None:
    faces = [
        face(f"{source}/{i}", source, f"{source}{i}", "val" if i > 3 else "train")
        for source in ("portraits", "dfdc")
        for i in range(6)
    ]
    faces += [
        face(f"dfdc/{i}f", "dfdc", f"dfdc{i}", "val" if i > 3 else "train", FAKE, f"dfdc/{i}")
        for i in range(6)
    ]
    tree = _tree()
    tree["pairs"] = {**tree["pairs"], "kinds": {"sbi": 1.0, "dataset": 1.0}}
    train, val = pair_loaders(
        FaceBank.of(faces), from_dict(TrainConfig, tree), CPU, tmp_path / "v.npz"
    )
    assert "no pairs of kind dataset" in train.describe()
    assert {item.record.method for item in val.items} - {""} == set(KINDS) - {"none"}


def test_the_ranks_together_make_the_pairs_of_one_process(bank: FaceBank, tmp_path: Path) -> None:
    train, _ = pair_loaders(bank, CONFIG, CPU, tmp_path / "val.npz")
    (_, whole) = islice(train.batches(0, 8), 2)
    halves = [next(iter(train.batches(0, 8, first=1, rank=rank, world=2))) for rank in (0, 1)]
    assert [len(half) for half in halves] == [4, 4]
    assert not torch.equal(halves[0].clips, halves[1].clips)
    assert torch.equal(torch.cat([half.clips for half in halves]), whole.clips)


def test_a_collection_that_nothing_is_drawn_from_is_named(tmp_path: Path) -> None:
    faces = [face(f"p/{i}", "portraits", f"g{i}", "val" if i > 3 else "train") for i in range(6)]
    faces.append(face("w/0", "portraits_wide", "w", "train"))
    train, _ = pair_loaders(FaceBank.of(faces), CONFIG, CPU, tmp_path / "val.npz")
    assert len(train) == 2 * 4
    assert train.describe() == (
        "pairs of 4 authentic faces; portraits_wide without a weight in pairs.sources"
    )


def test_workers_make_the_same_pairs(bank: FaceBank, tmp_path: Path) -> None:
    alone, _ = pair_loaders(bank, CONFIG, CPU, tmp_path / "val.npz")
    settings = from_dict(TrainConfig, {**_tree(), "data": {"workers": 1}})
    helped, _ = pair_loaders(bank, settings, CPU, tmp_path / "val.npz")
    for one, other in zip(
        islice(alone.batches(0, 4), 2), islice(helped.batches(0, 4), 2), strict=True
    ):
        assert torch.equal(one.clips, other.clips)


def test_validation_holds_every_kind_taught_or_not(bank: FaceBank, tmp_path: Path) -> None:
    _, val = pair_loaders(bank, CONFIG, CPU, tmp_path / "val.npz")
    methods = {item.record.method for item in val.items}
    assert methods == {"", "sbi", "swap", "reenact", "mouth", "rerender", "dataset"}
    groups = {item.record.group for item in val.items}
    assert groups <= {"g4", "g5", "g6", "g7"}
    _, again = pair_loaders(bank, CONFIG, CPU, tmp_path / "val.npz")
    assert torch.equal(val.batch([0, 5]).clips, again.batch([0, 5]).clips)


def test_a_collection_can_be_left_out_of_training_and_kept_in_validation(tmp_path: Path) -> None:
    faces = [
        face(f"{source}/{split}{i}", source, f"{source}{split}{i}", split, tone=0.7 + 0.1 * i)
        for source in ("portraits", "dfdc")
        for split in ("train", "val")
        for i in range(3)
    ]
    both = {"portraits": 1.0, "dfdc": 1.0}
    settings = _tree()
    settings["pairs"] = {**settings["pairs"], "val_sources": both, "val_pairs": 6}
    config = from_dict(TrainConfig, settings)
    train, val = pair_loaders(FaceBank.of(faces), config, CPU, tmp_path / "val.npz")
    assert {item.record.dataset for item in val.items} == {"portraits", "dfdc"}
    seen = [name for batch in islice(train.batches(0, 12), 3) for name in train.names(batch)]
    assert {name.partition("/")[0] for name in seen} == {"portraits"}


def test_the_defaults_name_known_kinds() -> None:
    assert sum(PairsConfig().kinds.values()) == pytest.approx(1.0)


def _tree() -> dict[str, object]:
    return {
        "clip": {"frames": 1, "size_px": 84},
        "pairs": {"sources": {"portraits": 1.0}, "val_pairs": 2, "kinds": {"sbi": 1.0}},
    }


ABANDONED = """
import multiprocessing, sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
import torch
from test_pairs import CONFIG, _tree
from unmask.config import TrainConfig, from_dict
from unmask.data.facebank import FaceBank
from unmask.data.pairs import pair_loaders
settings = from_dict(TrainConfig, {{**_tree(), "data": {{"workers": 1}}}})
bank = FaceBank.load(Path({bank!r}))
train, _ = pair_loaders(bank, settings, torch.device("cpu"), Path({kept!r}))
batches = train.batches(0, 8)
next(batches)
print(multiprocessing.active_children()[0].pid, flush=True)
time.sleep(600)  # nobody takes the next batch: the worker's pipe is full
"""


@pytest.mark.slow
def test_a_worker_ends_with_a_run_that_is_killed(bank: FaceBank, tmp_path: Path) -> None:
    """It has inherited the lock of the run's folder, so that nobody could resume."""
    bank.save(tmp_path / "faces.npz")
    script = ABANDONED.format(
        tests=str(Path(__file__).parent),
        bank=str(tmp_path / "faces.npz"),
        kept=str(tmp_path / "val.npz"),
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        worker = psutil.Process(int(run.stdout.readline()))
        time.sleep(1)  # until the pipe is full
        run.kill()
    worker.wait(timeout=10)
    assert not worker.is_running()
