"""A bank of faces instead of videos: the same verb, and a model that detect runs."""

import csv
from pathlib import Path

import pytest
from bank_faces import face

from unmask.data.facebank import FaceBank
from unmask.errors import DatasetError
from unmask.inference import load_model
from unmask.verbs.train import train

pytestmark = pytest.mark.slow
WORDS = (
    "clip={frames: 1, size_px: 64}",
    "model={name: frame, backbone: test_vit, weights: random, blocks: 1, patch_map: true}",
    "pairs={sources: {portraits: 1.0}, kinds: {sbi: 1.0, rerender: 1.0}, val_pairs: 2}",
    "optim={schedule: trapezoid, warmup_steps: 2}",
    "loop={epochs: 2, steps_per_epoch: 3, batch_size: 4, accelerator: cpu, precision: fp32}",
    "data.workers=0",
)


def test_it_leaves_a_model_with_a_patch_map(tmp_path: Path) -> None:
    faces = [
        face(f"p/{i}", "portraits", f"g{i}", "val" if i > 5 else "train", tone=0.6 + 0.05 * i)
        for i in range(9)
    ]
    bank = tmp_path / "faces.npz"
    FaceBank.of(faces).save(bank)
    report = train(bank, out=tmp_path / "run", overrides=WORDS)
    assert report.results == {}
    assert report.state.step == 6
    with (report.run / "results" / "training_history.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    text = (report.run / "results" / "experiment_report.txt").read_text()
    assert "no test split" in text
    assert "waiting for a batch" in text
    model = load_model(report.run)
    assert model.has_patches
    assert model.spec.size_px == 64
    again = train(bank, out=tmp_path / "run", overrides=WORDS)
    assert again.state.history == report.state.history


def test_a_file_that_is_no_bank(tmp_path: Path) -> None:
    file = tmp_path / "faces.npz"
    file.write_bytes(b"no bank")
    with pytest.raises(DatasetError) as caught:
        train(file, out=tmp_path / "run", overrides=WORDS)
    assert caught.value.code == "dataset_bank"
