import dataclasses

import pytest
import timm
import torch

from unmask.config import LossConfig, ModelConfig, OptimConfig
from unmask.errors import ConfigError
from unmask.models import PatchTargets, build, build_loss
from unmask.models import backbone as backbone_module
from unmask.models.losses import patch_loss

CONFIG = ModelConfig(
    name="frame",
    backbone="vit_tiny_patch16_224",
    weights="random",
    blocks=2,
    patch_map=True,
    dropout=0.0,
)
CLIPS = torch.randint(
    0, 256, (4, 2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
MASK = torch.ones(4, 2, dtype=torch.bool)
LABELS = torch.tensor([0.0, 1.0, 0.0, 1.0])


def _targets(known: tuple[int, ...] = (1, 1, 1, 1)) -> PatchTargets:
    target = torch.zeros(4, 2, 2, 4, 4)
    target[1::2, :, :, 1:3, 1:3] = 1.0
    return PatchTargets(target, torch.tensor(known, dtype=torch.bool))


def test_shapes_and_missing_frames() -> None:
    detector = build(CONFIG, 64).eval()
    mask = MASK.clone()
    mask[0, 1] = False
    output = detector(CLIPS, mask)
    assert output.patch_logits is not None
    assert output.patch_logits.shape == (4, 2, 2, 4, 4)
    assert output.frame_logits.shape == (4, 2)
    assert output.frame_logits[0, 1] == 0
    assert torch.allclose(output.clip_logit[0], output.frame_logits[0, 0])


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet"])
def test_missing_frames_do_not_reach_the_batch_statistics(backbone: str) -> None:
    config = dataclasses.replace(CONFIG, backbone=backbone, blocks=0)
    mask = MASK.clone()
    mask[0, 1] = mask[2, 0] = False
    outputs, statistics = [], []
    for missing in (0, 255):
        torch.manual_seed(0)
        detector = build(config, 64).train()
        clips = torch.where(mask[..., None, None, None], CLIPS, torch.full_like(CLIPS, missing))
        outputs.append(detector(clips, mask))
        statistics.append(dict(detector.named_buffers()))
    for name, value in statistics[0].items():
        assert torch.equal(value, statistics[1][name]), name
    one, other = outputs
    assert torch.equal(one.frame_logits, other.frame_logits)
    assert one.patch_logits is not None
    assert torch.equal(one.patch_logits[:, :, 0, 0, 0].isnan(), ~mask)
    assert one.features is not None
    assert (one.features[~mask] == 0).all()


def test_patches_are_dropped_beside_register_tokens() -> None:
    backbone = "vit_small_patch14_reg4_dinov2"
    config = dataclasses.replace(CONFIG, backbone=backbone, blocks=1, patch_drop=0.4)
    detector = build(config, 56).train()
    output = detector(CLIPS[..., :56, :56], MASK)
    assert output.patch_logits is not None
    seen = ~output.patch_logits[0, 0, 0].isnan()
    assert int(seen.sum()) == round(16 * 0.6)


def test_dropping_patches_of_a_convolutional_network_does_nothing() -> None:
    config = dataclasses.replace(CONFIG, backbone="test_resnet", blocks=0, patch_drop=0.4)
    assert build(config, 64).train()(CLIPS, MASK).patch_logits is not None


def test_it_learns_where() -> None:
    """Bright squares on dark crops: after a few steps the map knows the bright patches."""
    torch.manual_seed(0)
    detector = build(CONFIG, 64)
    clips = torch.full((4, 2, 3, 64, 64), 40, dtype=torch.uint8)
    clips[1::2, :, :, 16:48, 16:48] = 200
    optimizer = torch.optim.AdamW(detector.parameter_groups(OptimConfig(lr=3e-4)))
    loss = build_loss(LossConfig(name="bce"))
    for _ in range(30):
        optimizer.zero_grad()
        loss(detector(clips, MASK), LABELS, MASK, _targets()).backward()
        optimizer.step()
    output = detector.eval()(clips, MASK)
    inside = output.patch_logits[1, 0, 0, 1:3, 1:3]
    outside = torch.cat([output.patch_logits[0, 0, 0].ravel(), output.patch_logits[1, 0, 0, 0]])
    assert inside.min() > outside.max()
    assert (output.clip_logit[1::2] > output.clip_logit[::2]).all()


def test_dropped_patches_are_nan_and_teach_nothing() -> None:
    detector = build(dataclasses.replace(CONFIG, patch_drop=0.5), 64)
    output = detector(CLIPS, MASK)
    dropped = output.patch_logits.isnan()
    assert dropped.float().mean() == 0.5
    assert (dropped == dropped[0, 0, 0]).all()  # both of a pair lose the same
    loss = build_loss(LossConfig(name="bce"))(output, LABELS, MASK, _targets())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is None or p.grad.isfinite().all() for p in detector.parameters())
    detector.settle()
    assert not detector(CLIPS, MASK).patch_logits.isnan().any()


def test_only_known_masks_count() -> None:
    logits = torch.zeros(4, 2, 2, 4, 4)
    logits[2:] = 50.0  # very wrong, and unknown
    assert patch_loss(logits, _targets((1, 1, 0, 0))) == pytest.approx(0.6931, abs=1e-3)
    assert patch_loss(logits, _targets((0, 0, 0, 0))) == 0


@pytest.mark.parametrize(("backbone", "cells"), [("resnet18", 2), ("tf_efficientnet_lite0", 2)])
def test_the_places_of_a_convolutional_map_are_its_patches(backbone: str, cells: int) -> None:
    """A place lights up where its own part of the crop changes, and far ones stay as they were."""
    torch.manual_seed(0)
    plain = dataclasses.replace(CONFIG, backbone=backbone, blocks=0)
    detector = build(plain, 64).eval()
    assert detector.cells == cells
    output = detector(CLIPS, MASK)
    assert output.patch_logits.shape == (4, 2, 2, cells, cells)
    frames = build(dataclasses.replace(plain, patch_map=False), 64).eval()
    frames.load_state_dict(detector.state_dict(), strict=False)  # the map alone is more
    torch.testing.assert_close(frames(CLIPS, MASK).frame_logits, output.frame_logits)
    wide = build(plain, 256).eval()
    wide.load_state_dict(detector.state_dict())
    grey = torch.full((1, 1, 3, 256, 256), 128, dtype=torch.uint8)
    changed = grey.clone()
    changed[..., :32, :32] = 255
    one = torch.ones(1, 1, dtype=torch.bool)
    moved = (wide(changed, one).patch_logits - wide(grey, one).patch_logits).abs()[0, 0].sum(0)
    assert moved.shape == (8, 8)
    assert moved[0, 0] > 5 * moved[-1, -1]


def test_a_patch_map_needs_patches_and_the_frame_detector() -> None:
    with pytest.raises(ConfigError, match="vision transformer"):
        build(dataclasses.replace(CONFIG, backbone="swin_tiny_patch4_window7_224", blocks=0), 224)
    with pytest.raises(ConfigError, match="frame"):
        build(dataclasses.replace(CONFIG, name="resnet50_bilstm_attention"), 64)


def test_crops_that_do_not_divide_into_patches_are_refused() -> None:
    with pytest.raises(ConfigError, match="multiple") as caught:
        build(CONFIG, 56)
    assert caught.value.hint == "Set clip.size_px=64."


def test_a_transformer_without_a_class_token_is_refused() -> None:
    config = ModelConfig(
        name="frame", backbone="vit_medium_patch16_reg4_gap_256", weights="random", blocks=1,
        patch_map=True,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="class token"):
        build(config, 64)


def test_downloaded_weights_do_not_hide_crops_that_do_not_divide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        backbone_module, "_download", lambda name, options: timm.create_model(name, **options)
    )
    config = ModelConfig(name="frame", backbone="test_vit", weights="imagenet")
    with pytest.raises(ConfigError, match="multiple"):
        build(config, 72)
