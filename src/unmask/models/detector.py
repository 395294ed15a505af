"""The detectors: clips of face crops in, frame logits and a clip logit out."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.nn import functional as F

from unmask.config import ModelConfig, OptimConfig
from unmask.errors import ConfigError
from unmask.models.backbone import FEATURE_SCALE, Backbone, PatchDrop
from unmask.models.temporal import AttentionPool, MaskedBiLSTM, MaskedSelfAttention, masked_mean


class Output(NamedTuple):
    """Raw logits; above 0 leans to manipulated."""

    frame_logits: Tensor
    """``(B, T)``; 0 where there is no frame."""
    clip_logit: Tensor
    """``(B,)``."""
    patch_logits: Tensor | None = None
    """``(B, T, 2, g, g)``, of models with a patch map: where the crop is manipulated, and where
    the manipulation's boundary runs. NaN for patches that training left out."""
    features: Tensor | None = None
    """``(B, T, F)``: what the frame logits are read from; means nothing where there is no frame."""


class Detector(nn.Module):
    """A backbone for every frame and a head over the clip; subclasses are the head.

    Frames where the mask is False change nothing: in training they do not reach the backbone (nor
    its batch statistics), and their features are zero everywhere.
    """

    def __init__(self, config: ModelConfig, size_px: int) -> None:
        super().__init__()
        self.config = config
        self.size_px = size_px
        self.backbone = Backbone(config, size_px)

    def head(self, features: Tensor, mask: Tensor) -> Output:
        """Features ``(B, T, F)``, zero where bool ``mask (B, T)`` is False, to logits."""
        raise NotImplementedError

    def forward(self, clips: Tensor, mask: Tensor) -> Output:
        """Clips ``(B, T, 3, H, W)`` uint8 or float in 0-255 and bool ``mask (B, T)`` to logits."""
        batch, length = clips.shape[:2]
        if self.training and not bool(mask.all()):
            valid = self.backbone(clips[mask])
            features = valid.new_zeros(batch, length, valid.shape[-1])
            features[mask] = valid
        else:
            features = self.backbone(clips.flatten(0, 1)).reshape(batch, length, -1)
            features = torch.where(mask.unsqueeze(-1), features, torch.zeros_like(features))
        return self.head(features, mask)

    def train(self, mode: bool = True) -> Detector:
        """As usual, but a backbone that is not fully tuned keeps its statistics and no dropout."""
        super().train(mode)
        if self.config.tune != "full":
            self.backbone.eval()
        return self

    def freeze(self) -> None:
        """Let only the parameters of ``config.tune`` learn.

        Raises:
            ConfigError: ``layernorm`` for a backbone that has none.
        """
        if self.config.tune == "full":
            return
        self.backbone.requires_grad_(False)
        if self.config.tune == "layernorm":
            norms = [
                module for module in self.backbone.modules() if isinstance(module, nn.LayerNorm)
            ]
            if not norms:
                raise ConfigError(
                    f"'model.tune' is layernorm, but '{self.config.backbone}' has no LayerNorm."
                )
            for norm in norms:
                norm.requires_grad_(True)
        self.train(self.training)

    def settle(self) -> None:
        """From now on training sees whole crops: what was left out to save time is left in."""
        for module in self.modules():
            if isinstance(module, PatchDrop):
                module.share = 0.0

    def parameter_groups(self, optim: OptimConfig) -> list[dict[str, Any]]:
        """Learning parameters for an optimiser: ``params``, ``lr``, ``weight_decay``, ``name``.

        The backbone's rate falls by ``layer_decay`` from layer to layer downwards; the head has
        ``head_lr``; norms, biases and other vectors have no weight decay.
        """
        network = self.backbone.network
        spared = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
        groups = param_groups_layer_decay(
            network, optim.weight_decay, spared, layer_decay=optim.layer_decay
        )
        named = [
            {
                "params": group["params"],
                "lr": optim.lr * group["lr_scale"],
                "weight_decay": group["weight_decay"],
                "name": "backbone",
            }
            for group in groups
        ]
        head = [
            parameter
            for name, parameter in self.named_parameters()
            if parameter.requires_grad and not name.startswith("backbone.")
        ]
        for decay, matrix in ((optim.weight_decay, True), (0.0, False)):
            params = [parameter for parameter in head if (parameter.ndim > 1) == matrix]
            if params:
                named.append(
                    {"params": params, "lr": optim.head_lr, "weight_decay": decay, "name": "head"}
                )
        return _merged(named)


class FrameDetector(Detector):
    """``frame``: a linear head a frame; the clip logit is the mean of the frames'."""

    def __init__(self, config: ModelConfig, size_px: int) -> None:
        super().__init__(config, size_px)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = _linear(self.backbone.features)
        if config.normalize_features:
            self.scale = nn.Parameter(torch.tensor(FEATURE_SCALE))

    def head(self, features: Tensor, mask: Tensor) -> Output:
        """A linear head on the features, of unit length times a learned scale if configured."""
        if self.config.normalize_features:
            features = F.normalize(features.float(), dim=-1) * self.scale
        logits = self.classifier(self.dropout(features.to(self.classifier.weight.dtype)))
        logits = logits.squeeze(-1).float() * mask
        return Output(logits, masked_mean(logits, mask), features=features)


class PatchMapDetector(Detector):
    """``frame`` with ``patch_map``: every patch has logits of its own beside the frame's."""

    def __init__(self, config: ModelConfig, size_px: int) -> None:
        super().__init__(config, size_px)
        self.cells = self.backbone.cells
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = _linear(self.backbone.map_features)
        self.patch_classifier = nn.Linear(self.backbone.patch_features, 2)
        nn.init.normal_(self.patch_classifier.weight, std=0.02)
        nn.init.constant_(self.patch_classifier.bias, -1.5)  # most patches are authentic

    def forward(self, clips: Tensor, mask: Tensor) -> Output:
        """As `Detector.forward`, with a patch map."""
        batch, length = clips.shape[:2]
        some = self.training and not bool(mask.all())
        frames = clips[mask] if some else clips.flatten(0, 1)
        features, patches, kept = self.backbone.with_patches(frames)
        logits = self.classifier(self.dropout(features.to(self.classifier.weight.dtype))).float()
        places = self.patch_classifier(patches).float().transpose(1, 2)
        if kept is not None:
            whole = places.new_full((*places.shape[:2], self.cells**2), torch.nan)
            places = whole.index_copy(2, kept, places)
        if some:
            logits, features = (_in_place(part, mask, 0.0) for part in (logits, features))
            places = _in_place(places, mask, torch.nan)
        logits = logits.reshape(batch, length) * mask
        places = places.reshape(batch, length, 2, self.cells, self.cells)
        return Output(
            logits, masked_mean(logits, mask), places, features.reshape(batch, length, -1)
        )


class BilstmAttentionDetector(Detector):
    """``resnet50_bilstm_attention``: BiLSTM, self-attention, mean and attention pooling."""

    def __init__(self, config: ModelConfig, size_px: int) -> None:
        super().__init__(config, size_px)
        self.lstm = MaskedBiLSTM(
            self.backbone.features, config.lstm_hidden, config.lstm_layers, config.dropout
        )
        width = self.lstm.features
        if width % config.attention_heads:
            raise ConfigError(
                f"'model.attention_heads' must divide {width} (2 x model.lstm_hidden), "
                f"got {config.attention_heads}."
            )
        self.attention = MaskedSelfAttention(width, config.attention_heads, config.dropout)
        self.norm = nn.LayerNorm(width)
        self.pool = AttentionPool(width)
        self.dropout = nn.Dropout(config.dropout)
        self.frame_classifier = _linear(width)
        self.classifier = _linear(2 * width)

    def head(self, features: Tensor, mask: Tensor) -> Output:
        """Temporal features ``(B, T, 2 * lstm_hidden)``; their pooled pair makes the clip logit."""
        features = features.to(self.classifier.weight.dtype)
        steps = self.norm(self.attention(self.lstm(features, mask), mask))
        pooled = torch.cat([masked_mean(steps, mask), self.pool(steps, mask)], dim=-1)
        frame_logits = self.frame_classifier(self.dropout(steps)).squeeze(-1).float() * mask
        clip_logit = self.classifier(self.dropout(pooled)).squeeze(-1).float()
        return Output(frame_logits, clip_logit, features=steps)


def _in_place(values: Tensor, mask: Tensor, missing: float) -> Tensor:
    """Values ``(N, ...)`` of the N frames that there are, as ``(B * T, ...)`` of all."""
    whole = values.new_full((mask.numel(), *values.shape[1:]), missing)
    return whole.index_put((mask.flatten(),), values)


def _linear(features: int) -> nn.Linear:
    """One logit, near zero at the start."""
    layer = nn.Linear(features, 1)
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def _merged(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups of equal rates and decay joined: fewer, larger steps for the optimiser."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group in groups:
        key = (group["name"], group["lr"], group["weight_decay"])
        merged.setdefault(key, {**group, "params": []})["params"].extend(group["params"])
    return list(merged.values())
