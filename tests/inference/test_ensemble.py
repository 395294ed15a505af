"""Several networks that judge as one: the mean of their logits over their temperatures."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_models import write_model

from make_model import CALIBRATION, write_blueness
from unmask.errors import ModelError
from unmask.inference import ensemble, heatmap, load_model
from unmask.inference.ensemble import _on_grid
from unmask.inference.session import OnnxModel

SIDE = 96


@pytest.fixture
def members(tmp_path: Path) -> list[str]:
    """Two networks that say the same, the second with four times the temperature."""
    hot = dataclasses.replace(CALIBRATION, temperature=4.0)
    write_blueness(tmp_path / "cold.onnx", name="cold")
    (tmp_path / "deeper").mkdir()
    write_blueness(tmp_path / "deeper" / "hot.onnx", hot, name="hot")
    return ["cold.onnx", "deeper/hot.onnx"]


def put(path: Path, **tree: Any) -> Path:
    path.write_text(json.dumps(tree))
    return path


def code_of(path: Path) -> tuple[str, str]:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    return caught.value.code, caught.value.hint


def clips(batch: int = 3, length: int = 2) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (batch, length, SIDE, SIDE, 3), dtype=np.uint8)
    frames[..., 2] //= 2
    mask = np.ones((batch, length), bool)
    mask[0, 1] = False
    return frames, mask


def test_logits_are_the_mean_over_the_temperatures(tmp_path: Path, members: list[str]) -> None:
    model = load_model(put(tmp_path / "both.json", members=members))
    frames, mask = clips()
    single = load_model(tmp_path / "cold.onnx").logits(frames, mask)
    for one, both in zip(single, model.logits(frames, mask), strict=True):
        assert np.abs(one).max() > 1
        np.testing.assert_allclose(both, (1 + 1 / 4) / 2 * one, rtol=1e-5)
    assert (model.name, model.version, model.calibration) == ("both", "1", {})
    assert [member["name"] for member in model.metadata["members"]] == ["cold", "hot"]


def test_features_are_those_of_the_first_member_that_has_any(
    tmp_path: Path, members: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard was fitted on them."""
    inner, has = OnnxModel.logits_and_features, {"cold", "hot"}

    def with_features(self: OnnxModel, frames: np.ndarray, mask: np.ndarray) -> Any:
        features = np.full((*mask.shape, 4), ord(self.name[0])) if self.name in has else None
        return *inner(self, frames, mask)[:2], features

    monkeypatch.setattr(OnnxModel, "logits_and_features", with_features)
    model = load_model(put(tmp_path / "both.json", members=members))
    for name in ("cold", "hot"):
        features = model.logits_and_features(*clips())[2]
        assert features is not None
        assert (features == ord(name[0])).all()
        has.remove(name)
    assert model.logits_and_features(*clips())[2] is None


def test_a_mirrored_member_sees_left_and_right_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_blueness(tmp_path / "cold.onnx", name="cold")
    mirrored = {"model": "cold.onnx", "mirrored": True}
    path = put(tmp_path / "both.json", members=["cold.onnx", mirrored])
    seen = []
    inner = OnnxModel.logits_and_features

    def watch(self: OnnxModel, frames: np.ndarray, mask: np.ndarray) -> Any:
        seen.append(frames)
        return inner(self, frames, mask)

    monkeypatch.setattr(OnnxModel, "logits_and_features", watch)
    frames, mask = clips()
    load_model(path).logits(frames, mask)
    np.testing.assert_array_equal(seen[0], frames)
    np.testing.assert_array_equal(seen[1], frames[:, :, :, ::-1])
    ensemble.write(ensemble.read(path), tmp_path / "again.json")
    members = load_model(tmp_path / "again.json").metadata["members"]
    assert [member["mirrored"] for member in members] == [False, True]
    plain = put(tmp_path / "plain.json", members=["cold.onnx", "cold.onnx"])
    assert load_model(plain).sha256 != load_model(path).sha256


def test_the_map_is_that_of_a_member_which_has_one(tmp_path: Path, members: list[str]) -> None:
    crop = clips()[0][0, 0]
    plain = load_model(put(tmp_path / "plain.json", members=members))
    assert heatmap(plain, crop).method == "occlusion"
    with pytest.raises(ValueError, match="patch"):
        plain.patch_logits(*clips())


def test_the_map_is_the_mean_of_the_members_maps(tmp_path: Path) -> None:
    write_model(tmp_path / "rich.onnx", patches=True)
    members = ["rich.onnx", {"model": "rich.onnx", "mirrored": True}]
    both = load_model(put(tmp_path / "both.json", members=members))
    frames, mask = clips()
    alone = load_model(tmp_path / "rich.onnx").patch_logits(frames, mask)
    mirrored = load_model(tmp_path / "rich.onnx").patch_logits(frames[..., ::-1, :].copy(), mask)
    found = both.patch_logits(frames, mask)
    np.testing.assert_allclose(found, (alone + mirrored[..., ::-1]) / 2, atol=1e-5)


def test_maps_of_a_coarser_grid_are_laid_on_the_finest() -> None:
    coarse = np.array([[0.0, 4.0], [8.0, 12.0]], np.float32)[None, None]
    fine = _on_grid(np.repeat(coarse, 3, 1), 4)
    assert fine.shape == (1, 3, 4, 4)
    np.testing.assert_allclose(fine[0, 2, [0, 0, 3, 3], [0, 3, 0, 3]], [0, 4, 8, 12])
    assert fine.mean() == pytest.approx(6.0)


def test_another_member_is_another_digest(tmp_path: Path, members: list[str]) -> None:
    path = put(tmp_path / "both.json", members=members)
    before = load_model(path).sha256
    assert load_model(path).sha256 == before
    write_blueness(tmp_path / "cold.onnx", name="colder")
    assert load_model(path).sha256 != before


def test_members_that_look_at_other_crops_are_refused(tmp_path: Path, members: list[str]) -> None:
    write_blueness(tmp_path / "wide.onnx", name="wide", margin=1.5)
    path = put(tmp_path / "both.json", members=[*members, "wide.onnx"])
    code, hint = code_of(path)
    assert code == "model_mismatch"
    assert "clip.margin" in hint


@pytest.mark.parametrize(
    ("tree", "code"),
    [
        ({}, "model_foreign"),
        ({"members": "cold.onnx"}, "model_foreign"),
        ({"members": ["cold.onnx"]}, "model_foreign"),
        ({"members": ["cold.onnx", 3]}, "model_foreign"),
        ({"members": ["cold.onnx", {"mirrored": True}]}, "model_foreign"),
        ({"members": ["cold.onnx", {"model": "cold.onnx", "mirrored": 1}]}, "model_foreign"),
        ({"members": ["cold.onnx", "itself.json"]}, "model_foreign"),
        ({"members": ["cold.onnx", "absent.onnx"]}, "model_missing"),
        ({"members": {"of": "later times"}, "format_version": 99}, "model_format"),
        ({"members": ["cold.onnx", "cold.onnx"], "calibration": 3}, "model_foreign"),
    ],
)
def test_files_that_are_none(
    tmp_path: Path, members: list[str], tree: dict[str, Any], code: str
) -> None:
    found, hint = code_of(put(tmp_path / "itself.json", **tree))
    assert found == code
    assert hint


def test_what_is_written_is_read_again(tmp_path: Path, members: list[str]) -> None:
    record = ensemble.read(put(tmp_path / "both.json", members=members))
    named = dataclasses.replace(record, name="two", version="7", calibration={"temperature": 2.0})
    ensemble.write(named, tmp_path / "elsewhere.json")
    model = load_model(tmp_path / "elsewhere.json")
    assert (model.name, model.version) == ("two", "7")
    assert model.calibration == {"temperature": 2.0}


def test_members_are_found_from_wherever_it_is_written_to(
    tmp_path: Path, members: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "both.json", members=members)
    monkeypatch.chdir(tmp_path)
    ensemble.write(ensemble.read(Path("both.json")), Path("deeper/fitted.json"))
    assert len(load_model("deeper/fitted.json").metadata["members"]) == 2


def test_members_that_look_at_other_clips_are_refused(tmp_path: Path) -> None:
    for frames in (1, 4, 8):
        write_blueness(tmp_path / f"{frames}.onnx", name=str(frames), frames=frames)
    code, hint = code_of(put(tmp_path / "both.json", members=["4.onnx", "8.onnx"]))
    assert (code, "clip.frames" in hint) == ("model_mismatch", True)
    for members in (["1.onnx", "4.onnx"], ["4.onnx", "1.onnx"]):
        model = load_model(put(tmp_path / "both.json", members=members))
        assert model.spec.frames == model.metadata["clip"]["frames"] == 4


def test_what_was_trained_on_is_known_where_the_members_agree() -> None:
    def told(*configs: dict[str, Any]) -> dict[str, Any]:
        models = [SimpleNamespace(metadata={"training": {"config": config}}) for config in configs]
        return ensemble._training(models)  # type: ignore[arg-type]

    seven = {"loop": {"seed": 7, "epochs": 1}, "data": {"val_share": 0.2}}
    again = {"loop": {"seed": 7, "epochs": 9}, "data": {"val_share": 0.2}}
    assert told(seven, again) == {"training": {"config": seven}}
    assert told(seven, {**seven, "loop": {"seed": 8}}) == {}
    assert told({}, {}) == {}
