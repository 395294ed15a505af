"""Settings as frozen dataclasses: YAML in, YAML out, every mistake named.

A configuration is a tree (`TrainConfig` at its root). `load` reads a YAML file, `override` applies
``key.sub=value`` words from the command line, `dump` writes the resolved tree beside a run. An
unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import hashlib
import json
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from unmask.errors import ConfigError

T = TypeVar("T")

FRAMES_LOOKED_AT = 32  # in a video to be judged, unless asked otherwise
METADATA_KEY = "unmask"
"""Where a model's file keeps its JSON: name, version, clip, model, calibration, training,
limitations."""

_LEAST: dict[str, float] = {
    **dict.fromkeys(("model.blocks", "loss.gamma", "data.videos_per_class", "data.workers"), 0),
    **dict.fromkeys(("model.lstm_hidden", "model.lstm_layers", "model.attention_heads"), 1),
    **dict.fromkeys(("optim.lr", "optim.head_lr", "optim.weight_decay", "optim.clip_norm"), 0),
    **dict.fromkeys(("optim.warmup_steps", "optim.plateau_patience", "augment.rotate_deg"), 0),
    **dict.fromkeys(("loop.batch_size", "loop.steps_per_epoch", "loop.max_minutes"), 0),
    **dict.fromkeys(("loop.seed", "optim.layer_decay"), 0),
    **dict.fromkeys(("loop.epochs", "loop.devices", "loop.max_batch_size"), 1),
    **dict.fromkeys(("loop.checkpoint_steps", "optim.early_stop_patience"), 1),
    **dict.fromkeys(("loss.patch_weight", "loss.teacher_weight"), 0),
}
_SHARES = {
    *("model.dropout", "model.drop_path", "loss.alpha", "loss.label_smoothing"),
    *("loss.frame_weight", "optim.ema", "pairs.harsh", "pairs.reshape"),
    *(f"augment.{name}" for name in ("flip", "colour", "grayscale", "blur", "noise")),
    *("augment.downscale", "augment.jpeg"),
}


@dataclass(frozen=True)
class ClipSpec:
    """How a video becomes clips. It travels with the store and inside every exported model."""

    frames: int = 16
    """Crops in a clip (T)."""
    size_px: int = 160
    """Side of a crop."""
    margin: float = 1.15
    """Side of the crop over the longer side of the face box (averaged over the track's moment)."""
    sampling: Literal["even", "windows"] = "even"
    """``even``: frames spread over the whole video; ``windows``: runs of consecutive frames."""
    clips: int = 1
    """Clips cut from a track: ``even`` interleaves them in time, ``windows`` spreads the runs."""
    max_faces: int = 4
    """Tracks kept a video, the most prominent first."""
    min_face_px: int = 24
    """Faces smaller than this (longer side, in frame pixels) are not used."""

    def __post_init__(self) -> None:
        _check(self.frames >= 1, "clip.frames", "at least 1", self.frames)
        _check(32 <= self.size_px <= 1024, "clip.size_px", "within 32-1024", self.size_px)
        _check(0.8 <= self.margin <= 3.0, "clip.margin", "within 0.8-3.0", self.margin)
        _check(self.clips >= 1, "clip.clips", "at least 1", self.clips)
        _check(self.max_faces >= 1, "clip.max_faces", "at least 1", self.max_faces)

    def looking_at(self, frames: int) -> ClipSpec:
        """The same crops, in as many clips as it takes to look at ``frames`` frames of a video."""
        return dataclasses.replace(self, clips=-(-frames // self.frames))

    @property
    def hash(self) -> str:
        """16 hex digits that change whenever the crops would."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ModelConfig:
    """Which network."""

    name: str = "resnet50_bilstm_attention"
    """A name in `unmask.models.registry`: ``resnet50_bilstm_attention`` or ``frame``."""
    backbone: str = "resnet50"
    """Any timm model name."""
    weights: str = "imagenet"
    """``imagenet`` (timm's download), ``random``, the path of a local weights file, or
    ``package:NAME`` for the file inside an installed package (docs/models.md)."""
    blocks: int = 0
    """Keep the first N blocks of a vision transformer; 0 = all."""
    tune: Literal["full", "head", "layernorm"] = "full"
    """Which parameters learn."""
    normalize_features: bool = False
    """``frame``: L2-normalise the features before the linear head."""
    patch_map: bool = False
    """``frame``: say of every patch whether it was manipulated as well; over a vision transformer,
    judge by the class token and the mean patch, each of unit length."""
    patch_drop: float = 0.0
    """Share of the patches of a vision transformer that training leaves out, other ones in every
    step, until the rates decay (``optim.schedule`` trapezoid): more pictures in the same time."""
    lstm_hidden: int = 256
    """Hidden units a direction of the bidirectional LSTM."""
    lstm_layers: int = 2
    attention_heads: int = 8
    dropout: float = 0.3
    drop_path: float = 0.0
    """Stochastic depth of the backbone, where timm's model has it."""

    def __post_init__(self) -> None:
        drop = self.patch_drop
        _check(0 <= drop < 1, "model.patch_drop", "at least 0 and less than 1", drop)


@dataclass(frozen=True)
class LossConfig:
    """What is minimised."""

    name: Literal["focal", "bce"] = "focal"
    alpha: float = 0.5
    """Focal loss: weight of the fake class, 1 - alpha of the real one."""
    gamma: float = 2.0
    label_smoothing: float = 0.0
    frame_weight: float = 0.0
    """Share of the same loss on the frame logits, added to the clip's."""
    teacher: str = ""
    """A model file, or a bundled model's name, whose scores are learned as well (distillation)."""
    teacher_weight: float = 1.0
    """Share of the cross-entropy to the teacher's clip scores, added to the clip's."""
    patch_weight: float = 1.0
    """Share of the cross-entropy on the patch map, where there is one and masks are known."""


@dataclass(frozen=True)
class OptimConfig:
    """How it is minimised: AdamW, warm-up, a schedule, early stopping."""

    lr: float = 1e-4
    head_lr: float = 1e-3
    """Learning rate of everything that is not the backbone."""
    layer_decay: float = 1.0
    """Multiplies the backbone's rate a layer group downwards from the head."""
    weight_decay: float = 0.01
    warmup_steps: int = 50
    schedule: Literal["plateau", "trapezoid"] = "plateau"
    """``plateau``: ReduceLROnPlateau on the validation metric. ``trapezoid``: constant, then
    linearly towards zero over the last ``decay_share`` of the epochs or of ``loop.max_minutes``,
    whichever ends first."""
    decay_share: float = 0.25
    plateau_patience: int = 2
    """Epochs without a better validation metric that are borne; the rate drops after one more."""
    plateau_factor: float = 0.5
    early_stop_patience: int = 6
    clip_norm: float = 2.0
    ema: float = 0.0
    """Decay of the weights' moving average, 0 = off."""

    def __post_init__(self) -> None:
        factor = self.plateau_factor
        _check(0 <= factor < 1, "optim.plateau_factor", "0 or more and below 1", factor)


@dataclass(frozen=True)
class AugmentConfig:
    """Probabilities (0-1) and ranges of the training augmentations; one draw a clip."""

    flip: float = 0.5
    crop_scale: tuple[float, float] = (0.85, 1.1)
    """Side of the random crop over the clip's side; above 1 reflects the border."""
    rotate_deg: float = 6.0
    colour: float = 0.6
    """Probability of brightness, contrast, saturation and hue jitter."""
    grayscale: float = 0.05
    blur: float = 0.15
    noise: float = 0.15
    downscale: float = 0.3
    jpeg: float = 0.5
    jpeg_quality: tuple[int, int] = (40, 95)


@dataclass(frozen=True)
class DataConfig:
    """Where the clips come from and how they travel."""

    val_share: float = 0.15
    """Share of the groups taken for validation (and, after it, for test) where the data has no
    such split."""
    videos_per_class: int = 0
    """At most this many videos of a class and split; 0 = all."""
    decoder: Literal["auto", "cpu", "cuda"] = "auto"
    """Where `prepare` decodes videos: ``cuda``: on the GPU, what it cannot take on the CPU;
    ``auto``: on the GPU where that has been measured to be faster (docs/gpu.md)."""
    cache: Literal["auto", "device", "ram", "shards"] = "auto"
    workers: int = 2
    """Worker processes: of `prepare`, and of training on a bank, where they make the pairs."""
    pair_sources: bool = False
    """Put each fake beside the authentic video it was made from, in the same batch, both augmented
    alike."""
    allow_leaks: tuple[str, ...] = ()
    """Leak kinds that are let through, by name: ``sha256``, ``near_duplicate``, ``group``."""

    def __post_init__(self) -> None:
        _check(0 < self.val_share < 0.5, "data.val_share", "within 0-0.5", self.val_share)


@dataclass(frozen=True)
class PairsConfig:
    """What pairs are made of when training reads a bank of faces (docs/pseudo-fakes.md)."""

    kinds: dict[str, float] = field(
        default_factory=lambda: {
            "sbi": 0.32, "swap": 0.14, "reenact": 0.12, "mouth": 0.08, "rerender": 0.08,
            "dataset": 0.26,
        }
    )  # fmt: skip
    """Relative weights of the kinds; leave one out to keep it for validation."""
    first_kinds: dict[str, float] = field(default_factory=dict)
    """Other weights for the first ``first_epochs`` epochs: a network that never saw a forgery
    learns sooner from kinds that are easier to see."""
    first_epochs: int = 0
    sources: dict[str, float] = field(
        default_factory=lambda: {"dfdc": 0.4, "portraits": 0.27, "wide": 0.1, "clips": 0.23}
    )
    """Relative weights of the collections of authentic faces."""
    val_sources: dict[str, float] = field(default_factory=dict)
    """The same for validation pairs, so that a collection can be left out of training and kept
    there; empty = as ``sources``."""
    together: bool = True
    """Put each fake beside the authentic face it was made from, both degraded alike; false draws
    the two of a pair from different faces."""
    margin: tuple[float, float] = (0.95, 1.4)
    """Side of the crop over the face box, as far as the picture reaches."""
    roll_deg: float = 6.0
    """Standard deviation of the rotation left after the eyes are levelled."""
    reshape: float = 0.0
    """Share of the pairs whose face is first given another build by a smooth random warp, alike for
    both: few authentic faces are learned by heart later."""
    harsh: float = 0.0
    """Share of the pairs that are degraded to the utmost (low light, strong noise, a quarter of the
    size, JPEG down to 15, H.264 up to CRF 41), so that these are not taken for traces."""
    val_pairs: int = 60
    """Validation pairs of every kind that can be made, taught or not."""


@dataclass(frozen=True)
class LoopConfig:
    """The training loop."""

    epochs: int = 25
    steps_per_epoch: int = 0
    """Cut an epoch after this many optimiser steps; 0 = the whole set."""
    batch_size: int = 0
    """Clips an optimiser step, over all devices; 0 = found automatically."""
    max_batch_size: int = 64
    """Where the automatic search stops."""
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    seed: int = 0
    deterministic: bool = False
    checkpoint_steps: int = 200
    """Optimiser steps between two checkpoints (there is one at every epoch's end as well)."""
    max_minutes: float = 0.0
    """Stop after the epoch that passes this, all sittings counted; 0 = no limit. A run that stopped
    here goes on where it is given more."""
    start_from: str = ""
    """A model file of this network or of a deeper one, or a bundled model's name, to begin with."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything a training run needs; written resolved as ``config.yaml`` beside its results."""

    clip: ClipSpec = field(default_factory=ClipSpec)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    data: DataConfig = field(default_factory=DataConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        for part in dataclasses.fields(self):
            for name, value in vars(getattr(self, part.name)).items():
                path = f"{part.name}.{name}"
                if path in _LEAST:
                    least = _LEAST[path]
                    _check(least <= value < math.inf, path, f"at least {least:g}", value)
                if path in _SHARES:
                    _check(0 <= value <= 1, path, "within 0-1", value)


def load(path: Path | None, overrides: Sequence[str] = ()) -> TrainConfig:
    """The settings of a YAML file (or the defaults) with ``key.sub=value`` words applied.

    Raises:
        ConfigError: missing file, YAML that does not parse, unknown key, wrong type or value.
    """
    tree: Any = {}
    if path is not None:
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise ConfigError(
                f"Cannot read the configuration {path}: {error.strerror}.", code="config_missing"
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid YAML: {error}", code="config_syntax") from error
    return from_dict(TrainConfig, override(tree, overrides))


def override(tree: dict[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """A copy of ``tree`` with each ``key.sub=value`` word set; values are read as YAML."""
    if words and not isinstance(tree, dict):
        raise ConfigError(f"The configuration must be a mapping, got {tree!r}.")
    tree = copy.deepcopy(tree)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(
                f"'{word}' is not of the form key=value.",
                code="config_override",
                hint="Write for example loop.epochs=5.",
            )
        node = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise ConfigError(f"'{key}': '{parent}' has no parts.", code="config_key")
        try:
            node[leaf] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(
                f"The value of '{word}' is not valid YAML.", code="config_override"
            ) from error
    return tree


def dump(config: Any) -> str:
    """YAML text that `load` reads back to an equal tree."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)


def to_dict(config: Any) -> dict[str, Any]:
    """Plain dictionary of a settings tree; tuples become lists."""
    tree: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return tree


def from_dict(kind: type[T], tree: Any, where: str = "") -> T:
    """A settings dataclass from a plain dictionary, with every key and type checked."""
    if not isinstance(tree, dict):
        raise ConfigError(f"'{where or 'the configuration'}' must be a mapping, got {tree!r}.")
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in tree.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in hints:
            raise _unknown_key(path, str(key), list(hints))
        values[key] = _convert(hints[key], value, path)
    return kind(**values)


def _unknown_key(path: str, key: str, known: list[str]) -> ConfigError:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known here: {', '.join(known)}."
    return ConfigError(f"Unknown key '{path}'.", code="config_key", hint=hint)


def _convert(hint: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, path)
    origin = typing.get_origin(hint)
    if origin is Literal:
        choices = typing.get_args(hint)
        if value in choices:
            return value
        raise ConfigError(f"'{path}' must be one of {', '.join(map(str, choices))}, got {value!r}.")
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return None if value is None else _convert(kinds[0], value, path)
    if origin is dict:
        return _convert_dict(typing.get_args(hint)[1], value, path)
    if origin is tuple:
        return _convert_tuple(typing.get_args(hint), value, path)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-4 as a word
        try:
            return float(value)
        except ValueError:
            pass
    if type(value) is not hint:
        raise ConfigError(
            f"'{path}' must be of type {hint.__name__}, got {value!r}.", code="config_type"
        )
    return value


def _convert_dict(kind: Any, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"'{path}' must be a mapping, got {value!r}.", code="config_type")
    return {str(key): _convert(kind, item, f"{path}.{key}") for key, item in value.items()}


def _convert_tuple(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    variadic = len(kinds) == 2 and kinds[1] is Ellipsis
    if not isinstance(value, list | tuple) or (not variadic and len(value) != len(kinds)):
        wanted = "a list" if variadic else f"a list of {len(kinds)}"
        raise ConfigError(f"'{path}' must be {wanted}, got {value!r}.", code="config_type")
    inner = [kinds[0]] * len(value) if variadic else list(kinds)
    return tuple(_convert(kind, item, path) for kind, item in zip(inner, value, strict=True))


def _check(holds: bool, path: str, wanted: str, value: object) -> None:
    if not holds:
        raise ConfigError(f"'{path}' must be {wanted}, got {value!r}.")
