"""What a run may begin with and learn from: an earlier model, a teacher, a schedule."""

from pathlib import Path

import pytest
import torch
from bank_faces import face
from lightning_fabric import Fabric
from stores import make_store, tiny_config
from torch.optim import SGD

from unmask.config import load
from unmask.data.facebank import FaceBank
from unmask.data.loader import ClipLoader
from unmask.data.pairs import pair_loaders
from unmask.errors import ModelError
from unmask.models import build, load_checkpoint, save_model
from unmask.training import fit as fit_module
from unmask.training import loop as loop_module
from unmask.training.fabric import build_fabric
from unmask.training.fit import fit
from unmask.training.loop import Trainer
from unmask.training.optim import set_trapezoid


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("clips") / "store")


@pytest.fixture(scope="module")
def trained(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "first"
    fit(tiny_config("loop.epochs=1"), store, run)
    return run / "models" / "best_model.pth"


def _weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path)[0].state_dict()


def test_a_run_goes_on_from_an_earlier_model(trained: Path, store: Path, tmp_path: Path) -> None:
    words = (f"loop.start_from={trained}", "optim.lr=0.0", "optim.head_lr=0.0", "loop.epochs=1")
    fit(tiny_config(*words), store, tmp_path)
    before, after = _weights(trained), _weights(tmp_path / "models" / "best_model.pth")
    for name, value in before.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, after[name]), name


def test_another_network_is_refused(trained: Path, store: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"loop\.start_from") as caught:
        fit(tiny_config(f"loop.start_from={trained}", "model.lstm_hidden=4"), store, tmp_path)
    assert caught.value.code == "model_mismatch"


def test_a_fake_and_its_source_are_augmented_alike(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    def augment(clips: torch.Tensor, draws: object, pairs: torch.Tensor) -> torch.Tensor:
        seen.append(pairs.tolist())
        return clips

    monkeypatch.setattr(loop_module, "Augment", lambda config: augment)
    fit(tiny_config("data.pair_sources=true", "loop.epochs=1"), store, tmp_path)
    assert seen == [[0, 0, 2, 2]] * 6


def test_training_sees_the_main_person_and_validation_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = []

    def trainer(fabric: Fabric, config: object, model: object, *loaders: object) -> None:
        for loader in loaders[:2]:
            assert isinstance(loader, ClipLoader)
            tracks.append([item.ref.track_id for item in loader.items])
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_module, "Trainer", trainer)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny_config(), make_store(tmp_path / "store", people=2), tmp_path / "run")
    assert tracks == [[0] * 24, [0, 1] * 12]


def test_a_student_learns_what_its_teacher_says(trained: Path, store: Path, tmp_path: Path) -> None:
    """The teacher calls everything manipulated; with it the student leans there, without it not."""
    teacher, about = load_checkpoint(trained)
    with torch.no_grad():
        teacher.classifier.bias.fill_(4.0)
    biased = tmp_path / "teacher.pth"
    save_model(biased, biased.with_suffix(".safetensors"), teacher, about.config, {}, {})
    leaning = []
    for weight in (0.0, 5.0):
        run = tmp_path / f"weight{weight:g}"
        words = (f"loss.teacher={biased}", f"loss.teacher_weight={weight}", "loop.epochs=1")
        fit(tiny_config(*words, "optim.head_lr=0.1"), store, run)
        student = load_checkpoint(run / "models" / "best_model.pth")[0]
        clips = torch.full((2, 3, 3, 32, 32), 128, dtype=torch.uint8)
        with torch.no_grad():
            leaning.append(float(student(clips, torch.ones(2, 3).bool()).clip_logit.mean()))
    assert leaning[1] > leaning[0] + 0.5


def test_a_teacher_of_other_crops_is_refused(trained: Path, store: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="margin"):
        fit(tiny_config(f"loss.teacher={trained}", "clip.margin=1.5"), store, tmp_path)


def test_the_trapezoid_is_flat_then_falls_to_almost_nothing() -> None:
    optimizer = SGD([{"params": [torch.zeros(1)], "lr": 1.0, "initial_lr": 0.4}])
    rates = []
    for progress in (0.0, 0.5, 0.74, 0.75, 0.875, 1.0, 1.2):
        set_trapezoid(optimizer, progress, 0.25)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.4, 0.4, 0.4, 0.4, 0.2, 0.004, 0.004])


def test_a_shallower_transformer_starts_from_a_deeper_one(store: Path, tmp_path: Path) -> None:
    vit = ("model.name=frame", "model.backbone=vit_tiny_patch16_224", "loop.epochs=1")
    deep = tmp_path / "deep"
    fit(tiny_config(*vit, "model.blocks=2"), store, deep)
    start = f"loop.start_from={deep / 'models' / 'best_model.pth'}"
    still = ("optim.lr=0.0", "optim.head_lr=0.0", start)
    fit(tiny_config(*vit, *still, "model.blocks=1"), store, tmp_path / "shallow")
    before = _weights(deep / "models" / "best_model.pth")
    after = _weights(tmp_path / "shallow" / "models" / "best_model.pth")
    assert set(before) - set(after) == {name for name in before if ".blocks.1." in name}
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_a_patch_map_is_learned_beside_weights_that_had_none(store: Path, tmp_path: Path) -> None:
    frame = ("model.name=frame", "loop.epochs=1", "optim.lr=0.0", "optim.head_lr=0.0")
    fit(tiny_config(*frame), store, tmp_path / "plain")
    before = _weights(tmp_path / "plain" / "models" / "best_model.pth")
    start = f"loop.start_from={tmp_path / 'plain' / 'models' / 'best_model.pth'}"
    fit(tiny_config(*frame, start, "model.patch_map=true"), store, tmp_path / "mapped")
    after = _weights(tmp_path / "mapped" / "models" / "best_model.pth")
    added = {"patch_classifier.weight", "patch_classifier.bias"}
    assert set(after) - set(before) == added
    assert torch.equal(after["classifier.weight"], before["classifier.weight"])


def test_pairs_of_a_bank_are_learned_from_as_they_come(tmp_path: Path) -> None:
    """They are degraded alike already, and a patch map's targets would not turn with the crop."""
    seen = []

    def forward(clips: torch.Tensor, mask: torch.Tensor) -> None:
        seen.append(clips)
        raise KeyboardInterrupt

    faces = [face(f"p/{i}", "portraits", f"g{i}", "val" if i > 3 else "train") for i in range(6)]
    config = load(
        None,
        [
            "clip={frames: 1, size_px: 64}",
            "model={name: frame, backbone: test_resnet, weights: random, patch_map: true}",
            "pairs={sources: {portraits: 1.0}, kinds: {none: 1.0}, val_pairs: 1}",
            "loop={batch_size: 4, accelerator: cpu, precision: fp32}",
            "data.workers=0",
        ],
    )
    fabric = build_fabric(config.loop, config.model)
    model = build(config.model, config.clip.size_px)
    train, val = pair_loaders(FaceBank.of(faces), config, fabric.device, tmp_path / "v.npz", 2)
    trainer = Trainer(fabric, config, model, train, val, tmp_path)
    trainer.forward = forward
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    assert torch.equal(seen[0], next(iter(train.batches(0, 4))).clips)
