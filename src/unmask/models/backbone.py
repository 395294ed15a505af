"""The per-frame network: any timm model by name, as a function from pixels to features."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn
from torch.nn import functional as F

from unmask.config import ModelConfig
from unmask.errors import ConfigError, ModelError
from unmask.models import weights_files

FEATURE_SCALE = 8.0
"""Unit-length features need a gain before a linear head can be confident."""


class Backbone(nn.Module):
    """Frames ``(N, 3, H, W)`` in 0-255 to pooled features ``(N, features)``.

    The mean and standard deviation that the weights were trained with live in buffers, so no
    caller ever normalises pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig, size_px: int) -> None:
        super().__init__()
        self.size_px = size_px
        self.network = _create(config, size_px)
        _fill(self.network, config)
        _truncate(self.network, config.blocks)
        if config.patch_drop > 0 and self._is_transformer:
            prefix = self.network.num_prefix_tokens
            self.network.patch_drop = PatchDrop(config.patch_drop, prefix)
        self.features = int(self.network.num_features)
        if hasattr(self.network, "head_hidden_size"):  # MobileNet-like: wider after the pooling
            self.features = int(self.network.head_hidden_size)
        recipe = _recipe(config.backbone)
        for name in ("mean", "std"):
            value = 255.0 * torch.tensor(getattr(recipe, name), dtype=torch.float32)
            self.register_buffer(name, value.view(1, 3, 1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Frames ``(N, 3, H, W)`` uint8 or float in 0-255 to features ``(N, features)``."""
        features: Tensor = self.network(self._normalised(frames))
        return features

    def with_patches(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Frames to what judges the whole, ``(N, map_features)``, and patches ``(N, P, F)``.

        A vision transformer is judged by its class token and its mean patch, each of unit length;
        a convolutional network by its pooled features, and its patches are its last map's places.
        The third part names the patches ``(P,)`` where some were left out, else it is None.
        """
        places: Tensor = self.network.forward_features(self._normalised(frames))
        if not self._is_transformer:
            whole: Tensor = self.network.forward_head(places, pre_logits=True)
            return whole, places.flatten(2).transpose(1, 2), None
        drop = self.network.patch_drop
        kept = drop.kept if isinstance(drop, PatchDrop) else None
        patches = places[:, self.network.num_prefix_tokens :]
        pair = [F.normalize(part.float(), dim=-1) for part in (places[:, 0], patches.mean(dim=1))]
        return torch.cat(pair, dim=-1) * FEATURE_SCALE, patches, kept

    @property
    def map_features(self) -> int:
        """Features of `with_patches`' first part."""
        return 2 * self.features if self._is_transformer else self.features

    @property
    def patch_features(self) -> int:
        """Features of a patch."""
        return int(self.network.num_features)

    @property
    def cells(self) -> int:
        """Patches along a side of the crop.

        Raises:
            ConfigError: a transformer without a class token, or one that is not timm's plain kind.
        """
        network = self.network
        if not self._is_transformer:
            shape = _map_shape(network, self.size_px)
            if len(shape) == 4 and shape[1] == network.num_features and shape[2] == shape[3]:
                return shape[3]
        elif network.cls_token is not None:
            return int(network.patch_embed.grid_size[0])
        raise ConfigError(
            "'model.patch_map' needs a vision transformer with a class token or a convolutional "
            "network as model.backbone."
        )

    @property
    def _is_transformer(self) -> bool:
        return isinstance(self.network, VisionTransformer)

    def _normalised(self, frames: Tensor) -> Tensor:
        weight = next(self.network.parameters())
        return ((frames.float() - self.mean) / self.std).to(weight.dtype)


class PatchDrop(nn.Module):
    """Leaves patches out in training, the same for a whole batch, so that both of a pair lose the
    same (Liu et al. 2023, "PatchDropout: Economizing Vision Transformers Using Patch Dropout")."""

    def __init__(self, share: float, prefix: int = 1) -> None:
        super().__init__()
        self.share, self.prefix = share, prefix
        self.kept: Tensor | None = None
        """Numbers of the patches that the last call let through; None = all."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``(N, prefix + P, F)``, class and register tokens first, to fewer of them."""
        patches = tokens.shape[1] - self.prefix
        if not self.training or self.share <= 0:
            self.kept = None
            return tokens
        count = max(1, round(patches * (1 - self.share)))
        self.kept = torch.randperm(patches, device=tokens.device)[:count].sort().values
        seen = tokens[:, self.prefix + self.kept]
        return torch.cat([tokens[:, : self.prefix], seen], dim=1)


def _map_shape(network: Any, size_px: int) -> torch.Size:
    """Of what a network gives before it pools; its batch statistics stay as they are."""
    training = network.training
    with torch.no_grad():
        found: Tensor = network.eval().forward_features(torch.zeros(1, 3, size_px, size_px))
    network.train(training)
    return found.shape


def _create(config: ModelConfig, size_px: int) -> Any:
    if not timm.is_model(config.backbone):
        near = difflib.get_close_matches(config.backbone, timm.list_models(), n=1)
        raise ConfigError(
            f"'model.backbone': timm has no model '{config.backbone}'.",
            hint=f"Did you mean '{near[0]}'?" if near else "timm.list_models() names them all.",
        )
    options: dict[str, Any] = {"num_classes": 0}
    if config.drop_path > 0:
        options["drop_path_rate"] = config.drop_path
    if _recipe(config.backbone).fixed_input_size:
        options["img_size"] = size_px
    try:
        if config.weights == "imagenet":
            network = _download(config.backbone, options)
        else:
            network = timm.create_model(config.backbone, pretrained=False, **options)
    except (TypeError, AssertionError, ValueError) as error:
        raise ConfigError(
            f"'{config.backbone}' cannot be built for crops of {size_px} px "
            f"with drop_path {config.drop_path}: {error}."
        ) from error
    if isinstance(network, VisionTransformer):
        patch = network.patch_embed.patch_size[0]
        if size_px % patch:
            raise ConfigError(
                f"'{config.backbone}' looks at patches of {patch} px: 'clip.size_px' must be a "
                f"multiple of that, got {size_px}.",
                hint=f"Set clip.size_px={round(size_px / patch) * patch or patch}.",
            )
    return network


def _recipe(name: str) -> Any:
    """How timm's weights of this name were trained: mean, std, input size."""
    return timm.get_pretrained_cfg(name)


def _download(name: str, options: dict[str, Any]) -> Any:
    try:
        return timm.create_model(name, pretrained=True, **options)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"The ImageNet weights of '{name}' cannot be fetched: {str(error).splitlines()[0]}",
            code="model_download",
            hint="Give a local file (model.weights=FILE.pth), an installed package "
            "(model.weights=package:NAME), or model.weights=random on purpose.",
        ) from error


def _fill(network: Any, config: ModelConfig) -> None:
    """Load a local file into ``network``; every tensor must find its place."""
    if config.weights in ("imagenet", "random"):
        return
    path = weights_files.locate(config.weights)
    state = weights_files.read(path)
    own = network.state_dict()
    if "_conv_stem.weight" in state and "conv_stem.weight" in own:
        # EfficientNet under its first PyTorch port's names: same layers, same order.
        names = [*own, "classifier.weight", "classifier.bias"]
        state = weights_files.in_order(state, names)
    elif isinstance(network, VisionTransformer):
        state = checkpoint_filter_fn(state, network)  # resizes the position embedding
    state = {key: value for key, value in state.items() if not _of_classifier(key)}
    _check_fit(state, own, path.name, config.backbone)
    network.load_state_dict(state, strict=False)


def _of_classifier(key: str) -> bool:
    return key.startswith(("fc.", "classifier.", "head.fc.", "head.weight", "head.bias"))


def _check_fit(state: dict[str, Tensor], own: dict[str, Tensor], file: str, backbone: str) -> None:
    counters = {key for key in own if key.endswith("num_batches_tracked")}
    missing = [key for key in own if key not in state and key not in counters]
    extra = [key for key in state if key not in own]
    wrong = [
        f"{key} {tuple(state[key].shape)} for {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    faults = [
        f"{word} {', '.join(keys[:3])}{' and more' if len(keys) > 3 else ''}"
        for word, keys in (("missing", missing), ("unknown", extra), ("wrong shape", wrong))
        if keys
    ]
    if faults:
        raise ModelError(
            f"'{file}' does not fit '{backbone}': {'; '.join(faults)}.",
            code="model_mismatch",
            hint="model.backbone must be the network that the file was trained as.",
        )


def _truncate(network: Any, blocks: int) -> None:
    if blocks == 0:
        return
    if not isinstance(network, VisionTransformer):
        raise ConfigError("'model.blocks' needs a vision transformer as model.backbone.")
    if not 1 <= blocks <= len(network.blocks):
        raise ConfigError(f"'model.blocks' must be within 1-{len(network.blocks)}, got {blocks}.")
    network.blocks = network.blocks[:blocks]
