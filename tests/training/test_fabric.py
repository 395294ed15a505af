import pytest
import timm
import torch

from unmask.config import LoopConfig, ModelConfig
from unmask.training import fabric
from unmask.training.fabric import (
    bf16_is_quick,
    is_dense,
    pick_precision,
    tune_attention,
    tune_cuda,
)


@pytest.mark.parametrize(
    ("backbone", "dense"),
    [("resnet18", True), ("vit_tiny_patch16_224", True), ("tf_efficientnet_lite0", False)],
)
def test_dense_networks_are_told_from_depthwise_ones(backbone: str, dense: bool) -> None:
    assert is_dense(backbone) is dense


def test_a_product_in_each_precision_tells_whether_bf16_is_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {torch.float32: 3.0, torch.bfloat16: 1.0}
    monkeypatch.setattr(fabric, "_seconds", seconds.__getitem__)
    bf16_is_quick.cache_clear()
    assert bf16_is_quick()
    seconds[torch.bfloat16] = 2.5
    assert bf16_is_quick(), "one answer a process: no run may change its precision"
    bf16_is_quick.cache_clear()
    assert not bf16_is_quick()
    bf16_is_quick.cache_clear()


@pytest.mark.parametrize(
    ("precision", "accelerator", "fused"),
    [("bf16", "cpu", False), ("fp32", "cpu", True), ("bf16", "cuda", True)],
)
def test_attention_is_plain_where_the_fused_one_is_slower(
    precision: str, accelerator: str, fused: bool
) -> None:
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, depth=2, img_size=32)
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = model.eval()(pictures)
    tune_attention(model, precision, accelerator)
    flags = [layer.fused_attn for layer in model.modules() if hasattr(layer, "fused_attn")]
    assert len(flags) == 2
    assert all(bool(flag) is fused for flag in flags)
    torch.testing.assert_close(model(pictures), before, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("quick", "backbone", "precision"),
    [
        (True, "resnet18", "bf16"),
        (True, "tf_efficientnet_lite0", "fp32"),
        (False, "resnet18", "fp32"),
    ],
)
def test_a_cpu_takes_bf16_only_where_it_is_quick(
    monkeypatch: pytest.MonkeyPatch, quick: bool, backbone: str, precision: str
) -> None:
    monkeypatch.setattr(fabric, "bf16_is_quick", lambda: quick)
    model = ModelConfig(backbone=backbone)
    assert pick_precision(LoopConfig(), "cpu", model) == precision
    assert pick_precision(LoopConfig(precision="bf16"), "cpu", model) == "bf16"


@pytest.mark.parametrize(
    ("device", "deterministic", "tuned"),
    [("cpu", False, False), ("cuda", True, False), ("cuda", False, True)],
)
def test_tf32_and_cudnns_search_are_for_gpus(
    monkeypatch: pytest.MonkeyPatch, device: str, deterministic: bool, tuned: bool
) -> None:
    chosen: list[str] = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", chosen.append)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    tune_cuda(torch.device(device), deterministic=deterministic)
    assert (torch.backends.cudnn.benchmark, chosen) == (tuned, ["high"] if tuned else [])
