"""What every detector promises: shapes, masks, freezing, rates and learning."""

import dataclasses

import pytest
import torch
from torch import Tensor

from unmask.config import LossConfig, ModelConfig, OptimConfig
from unmask.errors import ConfigError
from unmask.models import Detector, build, build_loss, summary

SIDE = 32
BILSTM = ModelConfig(
    backbone="test_resnet", weights="random", lstm_hidden=16, lstm_layers=2, attention_heads=4
)
FRAME = ModelConfig(name="frame", backbone="test_resnet", weights="random")
VIT = dataclasses.replace(FRAME, backbone="test_vit", normalize_features=True)
BOTH = pytest.mark.parametrize("config", [BILSTM, FRAME], ids=["bilstm", "frame"])
MASK = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [0, 0, 0, 1, 0]], dtype=torch.bool)


def make(config: ModelConfig, *, training: bool = False) -> Detector:
    torch.manual_seed(0)
    return build(config, SIDE).train(training)


def random_clips(batch: int, length: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, length, 3, SIDE, SIDE)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("config", [BILSTM, FRAME, VIT], ids=["bilstm", "frame", "vit"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 5)])
def test_any_number_of_clips_and_frames(config: ModelConfig, shape: tuple[int, int]) -> None:
    with torch.no_grad():
        output = make(config)(random_clips(*shape), torch.ones(shape, dtype=torch.bool))
    assert output.frame_logits.shape == shape
    assert output.clip_logit.shape == shape[:1]
    assert output.frame_logits.dtype == output.clip_logit.dtype == torch.float32


@BOTH
@pytest.mark.parametrize("training", [False, True])
def test_masked_frames_change_nothing(config: ModelConfig, training: bool) -> None:
    """Neither the logits nor, in training, the batch statistics that later logits depend on."""
    config = dataclasses.replace(config, dropout=0.0)
    clips = random_clips(3, 5)
    garbage = torch.where(MASK[:, :, None, None, None], clips, random_clips(3, 5, seed=1))
    answers = []
    for frames in (clips, garbage):
        detector = make(config, training=training)
        with torch.no_grad():
            output = detector(frames, MASK)
        answers.append((*output[:2], *detector.buffers()))
    for one, other in zip(*answers, strict=True):
        assert torch.equal(one, other)


@BOTH
def test_missing_frames_equal_absent_ones(config: ModelConfig) -> None:
    """A gap in the middle of a clip reads as the shorter clip without it."""
    detector = make(config)
    clips = random_clips(1, 5)
    mask = torch.tensor([[True, False, True, True, False]])
    with torch.no_grad():
        gappy = detector(clips, mask)
        short = detector(clips[:, mask[0]], torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(gappy.clip_logit, short.clip_logit)
    torch.testing.assert_close(gappy.frame_logits[mask], short.frame_logits[0])
    assert torch.equal(gappy.frame_logits[~mask], torch.zeros(2))


@BOTH
def test_a_clip_without_any_frame_stays_finite(config: ModelConfig) -> None:
    with torch.no_grad():
        output = make(config)(random_clips(1, 2), torch.zeros(1, 2, dtype=torch.bool))
    assert torch.isfinite(output.clip_logit).all()


def test_time_matters_to_the_bilstm_only() -> None:
    clips, mask = random_clips(1, 4), torch.ones(1, 4, dtype=torch.bool)
    shifts = {}
    for config in (BILSTM, FRAME):
        detector = make(config)
        with torch.no_grad():
            there, back = (detector(c, mask).clip_logit for c in (clips, clips.flip(1)))
        shifts[config.name] = float((there - back).abs())
    assert shifts["frame"] < 1e-6 < shifts["resnet50_bilstm_attention"]


def test_float_pixels_equal_uint8_ones() -> None:
    detector, mask = make(FRAME), torch.ones(1, 2, dtype=torch.bool)
    clips = random_clips(1, 2)
    with torch.no_grad():
        assert torch.equal(detector(clips, mask)[1], detector(clips.float(), mask)[1])


def test_normalised_features_ignore_their_length() -> None:
    """Scaling the features leaves the logits alone: only the direction counts."""
    detector = make(VIT)
    features, mask = torch.randn(2, 3, detector.backbone.features), torch.ones(2, 3).bool()
    with torch.no_grad():
        one, other = detector.head(features, mask), detector.head(7 * features, mask)
    torch.testing.assert_close(one.clip_logit, other.clip_logit)


@pytest.mark.parametrize("config", [BILSTM, FRAME, VIT], ids=["bilstm", "frame", "vit"])
def test_it_learns_a_batch_of_four(config: ModelConfig) -> None:
    config = dataclasses.replace(config, dropout=0.0)
    detector = make(config, training=True)
    loss_of = build_loss(LossConfig(name="bce", frame_weight=0.5))
    optimiser = torch.optim.AdamW(detector.parameter_groups(OptimConfig(lr=1e-3, head_lr=1e-2)))
    clips, mask, labels = random_clips(4, 3), torch.ones(4, 3).bool(), torch.tensor([0, 1, 0, 1])
    mask[0, 2] = False
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = loss_of(detector(clips, mask), labels, mask)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_head_tuning_leaves_the_backbone_exactly_as_it_was() -> None:
    detector = make(dataclasses.replace(FRAME, tune="head"), training=True)
    before = {name: value.clone() for name, value in detector.backbone.state_dict().items()}
    optimiser = torch.optim.SGD(detector.parameter_groups(OptimConfig(lr=1.0, head_lr=1.0)), lr=1.0)
    weight = detector.get_parameter("classifier.weight").clone()
    detector(random_clips(2, 2), torch.ones(2, 2).bool()).clip_logit.sum().backward()
    optimiser.step()
    after = detector.backbone.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not torch.equal(weight, detector.get_parameter("classifier.weight"))


def test_layernorm_tuning_learns_norms_and_head_only() -> None:
    detector = make(dataclasses.replace(VIT, tune="layernorm"), training=True)
    learning = {name for name, p in detector.named_parameters() if p.requires_grad}
    assert all("norm" in n for n in learning if n.startswith("backbone."))
    assert "backbone.network.blocks.0.norm1.weight" in learning
    assert {"classifier.weight", "classifier.bias", "scale"} < learning
    assert not detector.backbone.training
    assert detector.training


def test_layernorm_tuning_needs_layernorms() -> None:
    with pytest.raises(ConfigError, match="has no LayerNorm"):
        build(dataclasses.replace(FRAME, tune="layernorm"), SIDE)


def test_groups_hold_every_learning_parameter_once_and_fall_with_depth() -> None:
    detector = make(VIT)
    groups = detector.parameter_groups(OptimConfig(lr=1e-4, head_lr=1e-3, layer_decay=0.5))
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in detector.parameters())
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    network = detector.backbone.network
    first, last = (rate[id(network.blocks[i].mlp.fc1.weight)] for i in (0, -1))
    assert first == pytest.approx(last * 0.5 ** (len(network.blocks) - 1))
    assert rate[id(network.norm.weight)] == pytest.approx(1e-4)
    assert rate[id(detector.get_parameter("classifier.weight"))] == pytest.approx(1e-3)
    for group in groups:
        assert all(p.ndim > 1 for p in group["params"]) or group["weight_decay"] == 0


def test_without_layer_decay_there_are_four_groups() -> None:
    groups = make(BILSTM).parameter_groups(OptimConfig())
    names = [(group["name"], group["weight_decay"] > 0) for group in groups]
    assert sorted(names) == [(n, d) for n in ("backbone", "head") for d in (False, True)]


def test_the_first_blocks_of_a_vision_transformer() -> None:
    detector = make(dataclasses.replace(VIT, blocks=2))
    assert len(detector.backbone.network.blocks) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks": 2}, "needs a vision transformer"),
        ({"backbone": "test_vit", "blocks": 99}, "within 1-"),
        ({"backbone": "resnet5"}, "timm has no model 'resnet5'"),
        ({"name": "frames"}, "Did you mean 'frame'"),
        ({"name": "resnet50_bilstm_attention", "attention_heads": 7}, "must divide 512"),
    ],
)
def test_impossible_settings_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(dataclasses.replace(FRAME, **change), SIDE)


def test_summary_counts() -> None:
    detector = make(dataclasses.replace(FRAME, tune="head"))
    told = summary(detector)
    assert told.parameters == sum(p.numel() for p in detector.parameters())
    assert told.trainable == detector.backbone.features + 1
    assert told.macs_per_frame > 100_000
    assert "frame on test_resnet" in str(told)
