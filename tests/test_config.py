from pathlib import Path

import pytest
import yaml

from unmask.config import ClipSpec, TrainConfig, dump, from_dict, load, to_dict
from unmask.errors import ConfigError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_is_read(path: Path) -> None:
    assert load(path) != TrainConfig()


def test_yaml_round_trip_keeps_every_value() -> None:
    config = load(None, ["loop.epochs=3", "augment.crop_scale=[0.9, 1.0]", "optim.lr=3e-5"])
    assert config.optim.lr == 3e-5
    assert from_dict(TrainConfig, yaml.safe_load(dump(config))) == config
    assert from_dict(TrainConfig, to_dict(config)) == config


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["loop.epoch=3"], "config_key", "Did you mean 'epochs'?"),
        (["lop.epochs=3"], "config_key", "Did you mean 'loop'?"),
        (["loop.epochs=many"], "config_type", "'loop.epochs' must be of type int"),
        (["loop.epochs"], "config_override", "key=value"),
        (["loop.epochs=true"], "config_type", "int"),
        (["clip.sampling=first"], "config_value", "even, windows"),
        (["clip.frames=0"], "config_value", "'clip.frames' must be at least 1"),
        (["model.patch_drop=1.0"], "config_value", "'model.patch_drop'"),
        (["pairs.harsh=2"], "config_value", "'pairs.harsh'"),
        (["loss.patch_weight=-1"], "config_value", "'loss.patch_weight'"),
        (["augment.crop_scale=[1.0]"], "config_type", "a list of 2"),
        (["loop=3"], "config_value", "'loop' must be a mapping"),
        (["loop.epochs.more=3"], "config_type", "'loop.epochs' must be of type int"),
    ],
)
def test_mistakes_are_named(words: list[str], code: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, words)
    assert caught.value.code == code
    assert says in str(caught.value)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml")
    assert caught.value.code == "config_missing"
    broken = tmp_path / "broken.yaml"
    broken.write_text("loop: [1, 2")
    with pytest.raises(ConfigError) as caught:
        load(broken)
    assert caught.value.code == "config_syntax"


def test_clip_hash_follows_every_field() -> None:
    assert ClipSpec().hash == ClipSpec().hash
    changed = [ClipSpec(frames=8), ClipSpec(size_px=128), ClipSpec(margin=1.3), ClipSpec(clips=2)]
    assert len({ClipSpec().hash, *(spec.hash for spec in changed)}) == 5


@pytest.mark.parametrize(("frames", "clips"), [(16, 2), (5, 7), (1, 32), (32, 1), (40, 1)])
def test_a_spec_looks_at_as_many_frames_as_asked(frames: int, clips: int) -> None:
    assert ClipSpec(frames=frames, clips=9).looking_at(32) == ClipSpec(frames=frames, clips=clips)
