"""A trained model meets videos of another kind: new threshold, same logits."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from stores import make_store

from unmask.augment.conditions import CONDITIONS, Condition
from unmask.config import ClipSpec, ModelConfig, TrainConfig
from unmask.errors import ConfigError, DatasetError, ModelError, StoreError
from unmask.inference import load_model
from unmask.models import build, load_checkpoint, save_model
from unmask.scoring import Calibration, Guard
from unmask.verbs import calibrate as verb
from unmask.verbs.calibrate import calibrate
from unmask.verbs.evaluate import score_split
from unmask.verbs.export import export

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture
def pth(tmp_path: Path, store: Path) -> Path:
    from unmask.clips import ClipStore

    torch.manual_seed(0)
    model = ModelConfig(name="frame", backbone="test_resnet", weights="random")
    config = TrainConfig(clip=ClipStore.open(store).spec, model=model)
    path = tmp_path / "model.pth"
    detector = build(model, config.clip.size_px)
    with torch.no_grad():
        detector.classifier.weight.normal_()
    save_model(path, path.with_suffix(".safetensors"), detector, config, {}, {"val_auc_video": 0.5})
    return path


def test_every_file_gets_the_new_calibration_and_keeps_its_weights(pth: Path, store: Path) -> None:
    before, _ = load_checkpoint(pth)
    rows = score_split(pth, store, "val").predictions
    report = calibrate(pth, [store], split="val", name="mine", version="2")
    after, checkpoint = load_checkpoint(pth)
    assert (checkpoint.name, checkpoint.version) == ("mine", "2")
    assert checkpoint.metrics == {"val_auc_video": 0.5}
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.equal(one, other)
    model = load_model(pth.with_suffix(".onnx"))
    assert (model.name, model.version) == ("mine", "2")
    assert Calibration.from_dict(model.calibration) == report.calibration
    authentic = [row for row in rows if row.label == 0]
    assert report.calibration.authentic == len(authentic)
    assert report.videos == {str(store): len(rows)}
    called = report.calibration.scores([row.logit for row in authentic])
    assert np.mean(called >= report.calibration.threshold) <= 0.05


def test_a_split_without_videos_is_named(pth: Path, store: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        calibrate(pth, [store], split="nowhere")


def test_a_store_may_look_at_more_of_a_video_but_not_at_other_crops(
    pth: Path, tmp_path: Path
) -> None:
    spec = ClipSpec(frames=3, size_px=32, clips=4)
    assert len(score_split(pth, make_store(tmp_path / "more", spec), "val").predictions) == 12
    wider = ClipSpec(frames=3, size_px=32, margin=1.5)
    with pytest.raises(StoreError, match="margin"):
        score_split(pth, make_store(tmp_path / "wider", wider), "val")


def test_an_ensemble_gets_a_calibration_of_its_own(pth: Path, store: Path, tmp_path: Path) -> None:
    export(pth)
    record = tmp_path / "both.json"
    record.write_text('{"members": ["model.onnx", "model.onnx"]}')
    out = tmp_path / "fitted.json"
    report = calibrate(record, [store], split="val", name="both", version="3", out=out)
    assert report.model == out
    model = load_model(out)
    assert (model.name, model.version) == ("both", "3")
    assert Calibration.from_dict(model.calibration) == report.calibration
    alone = score_split(pth, store, "val").predictions
    twice = score_split(out, store, "val").predictions
    for one, other in zip(alone, twice, strict=True):
        assert other.logit == pytest.approx(one.logit, abs=1e-3)
    with pytest.raises(ModelError) as caught:
        export(record)
    assert caught.value.code == "model_foreign"
    assert "members" in caught.value.hint


def test_copies_under_conditions_count_but_are_no_videos(pth: Path, store: Path) -> None:
    """A model of noise: with noisy copies, the threshold rises until it holds for them as well."""
    alone = calibrate(pth, [store]).calibration
    rows = score_split(pth, store, "val", [_condition("noise"), _condition("jpeg_30")])
    assert len(rows.harmed) == 2 * len(rows.predictions)
    moved = [abs(a.logit - b.logit) for a, b in zip(2 * rows.predictions, rows.harmed, strict=True)]
    assert min(moved) > 0
    both = calibrate(pth, [store], conditions=["noise", "jpeg_30"]).calibration
    assert (both.authentic, both.manipulated) == (alone.authentic, alone.manipulated)
    assert both != alone
    record = load_model(pth.with_suffix(".onnx")).calibration
    assert record["under"] == ["none", "noise", "jpeg_30"]
    assert sorted(record["cross_fitted"]) == ["apcer", "bpcer", "ece"]
    assert 0 <= record["cross_fitted"]["ece"]["value"] <= 1
    everything = [row for row in (*rows.predictions, *rows.harmed) if row.label == 0]
    called = both.scores([row.logit for row in everything]) >= both.threshold
    assert np.mean(called) <= 0.05


def test_a_condition_that_there_is_not(pth: Path, store: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        calibrate(pth, [store], conditions=["rain"])
    assert "h264_crf_23" in caught.value.hint


def _condition(key: str) -> Condition:
    return next(condition for condition in CONDITIONS if condition.key == key)


def test_an_exported_file_is_not_overwritten_by_another_kind(pth: Path, store: Path) -> None:
    onnx = export(pth)
    before = onnx.read_bytes()
    with pytest.raises(ModelError) as caught:
        calibrate(onnx, [store], out=onnx)
    assert caught.value.code == "model_suffix"
    assert onnx.read_bytes() == before


def test_people_of_two_folders_are_not_taken_for_each_other(
    pth: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(store, tmp_path / "other")
    seen: list[str] = []

    def watch(logits: object, labels: object, groups: list[str]) -> None:
        seen.extend(groups)

    monkeypatch.setattr(verb, "cross_fit", watch)
    calibrate(pth, [store, copy])
    alone = {group.removeprefix(f"{store}:") for group in seen if group.startswith(f"{store}:")}
    assert len(alone) > 1
    assert len(set(seen)) == 2 * len(alone)


def test_the_guards_reference_is_written_where_faces_are_of_two_sources(
    pth: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "export", lambda path: path)  # it takes over what the .pth holds
    calibrate(pth, [store], split="train")
    assert "guard" not in load_checkpoint(pth)[1].calibration
    calibrate(pth, [store, shutil.copytree(store, tmp_path / "other")], split="train")
    known = Guard.from_record(load_checkpoint(pth)[1].calibration).familiarity
    assert known is not None
    assert known.faces == 2 * len(score_split(pth, store, "train").features)


def test_one_class_is_not_enough_and_nothing_is_written(pth: Path, tmp_path: Path) -> None:
    stills = tmp_path / "stills"
    for number in range(4):
        file = stills / "val" / "real" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        face = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(file), face)
    before = pth.read_bytes()
    with pytest.raises(DatasetError) as caught:
        calibrate(pth, [stills])
    assert caught.value.code in ("dataset_one_class", "dataset_empty_class")
    assert pth.read_bytes() == before
