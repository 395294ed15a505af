from pathlib import Path

import pytest
import torch

from unmask.config import LoopConfig, ModelConfig
from unmask.training import fabric
from unmask.training.fabric import has_amx, is_dense, pick_precision, tune_cuda


@pytest.mark.parametrize(
    ("backbone", "dense"),
    [("resnet18", True), ("vit_tiny_patch16_224", True), ("tf_efficientnet_lite0", False)],
)
def test_dense_networks_are_told_from_depthwise_ones(backbone: str, dense: bool) -> None:
    assert is_dense(backbone) is dense


def test_amx_is_read_from_the_processor(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    assert not has_amx(cpuinfo)
    cpuinfo.write_text("flags : avx512_bf16 avx_vnni")
    assert not has_amx(cpuinfo)
    cpuinfo.write_text("flags : avx512_bf16 amx_bf16 amx_tile")
    assert has_amx(cpuinfo)


@pytest.mark.parametrize(
    ("amx", "backbone", "precision"),
    [
        (True, "resnet18", "bf16"),
        (True, "tf_efficientnet_lite0", "fp32"),
        (False, "resnet18", "fp32"),
    ],
)
def test_a_cpu_takes_bf16_only_where_it_is_quick(
    monkeypatch: pytest.MonkeyPatch, amx: bool, backbone: str, precision: str
) -> None:
    monkeypatch.setattr(fabric, "has_amx", lambda: amx)
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
