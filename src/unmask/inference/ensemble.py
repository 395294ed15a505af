"""Several detectors that judge as one: the mean of their log odds.

Networks of different kinds err on different faces, so their mean is better than the best of them
(Hansen & Salamon 1990, "Neural Network Ensembles").
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unmask import weights
from unmask.errors import ModelError
from unmask.files import write_text
from unmask.inference.mirror import Mirrored
from unmask.inference.model import Model
from unmask.types import BoolArray, FloatArray, UInt8Array

SUFFIX = ".json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Member:
    """What an ensemble's file says of one of its members."""

    model: str
    """Name of a bundled model, or path of an exported file."""
    mirrored: bool = False
    """Whether it sees left and right exchanged (`Mirrored`)."""


@dataclass(frozen=True)
class Record:
    """An ensemble's file."""

    path: Path
    name: str
    version: str
    members: tuple[Member, ...]
    calibration: dict[str, Any]
    """Of the mean; as `Model.calibration`."""


@dataclass(frozen=True)
class Ensemble(Model):
    """The mean of its members' logits, each over its own temperature.

    Features, which the guard knows faces by, and the patch map are those of the first member that
    has any.
    """

    members: tuple[Model, ...] = field(repr=False, compare=False)

    def logits_and_features(
        self, frames: UInt8Array, mask: BoolArray
    ) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """As `Model.logits_and_features`."""
        frame_logits = np.zeros(mask.shape, np.float32)
        clip_logit = np.zeros(len(mask), np.float32)
        features = None
        for member in self.members:
            in_frames, in_clip, told = member.logits_and_features(frames, mask)
            share = 1 / (len(self.members) * float(member.calibration.get("temperature", 1.0)))
            frame_logits += np.float32(share) * in_frames
            clip_logit += np.float32(share) * in_clip
            features = told if features is None else features
        return frame_logits, clip_logit, features

    @property
    def has_patches(self) -> bool:
        """Whether a member has."""
        return any(member.has_patches for member in self.members)

    def patch_logits(self, frames: UInt8Array, mask: BoolArray) -> FloatArray:
        """As `Model.patch_logits`: the mean of the members' maps, on the finest of their grids."""
        maps = [member.patch_logits(frames, mask) for member in self.members if member.has_patches]
        if not maps:
            raise ValueError(f"no member of {self.name} has patch logits")
        side = max(found.shape[-1] for found in maps)
        return np.asarray(np.mean([_on_grid(found, side) for found in maps], axis=0), np.float32)


def _on_grid(maps: FloatArray, side: int) -> FloatArray:
    """Maps ``(B, T, g, g)`` as ``(B, T, side, side)``."""
    each = maps.reshape(-1, *maps.shape[2:])
    resized = [cv2.resize(one, (side, side), interpolation=cv2.INTER_LINEAR) for one in each]
    return np.asarray(resized, np.float32).reshape(*maps.shape[:2], side, side)


def read(path: Path) -> Record:
    """The file of an ensemble: JSON with ``format_version``, ``members`` and, unless it is still to
    be calibrated, ``name``, ``version`` and ``calibration``.

    A member is the name of a bundled model or the path of an exported file, from the ensemble's
    folder; or ``{"model": NAME, "mirrored": true}``.

    Raises:
        ModelError: ``model_foreign``: no such file; ``model_format``: of a later version.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        version, entries = tree.get("format_version", FORMAT_VERSION), tree["members"]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise _foreign(path, "it is not JSON with a list of 'members'") from error
    if version != FORMAT_VERSION:
        raise ModelError(
            f"'{path.name}' has format {version}, this unmask reads {FORMAT_VERSION}.",
            code="model_format",
            hint="Install a later unmask.",
        )
    if not isinstance(entries, list):
        raise _foreign(path, "its 'members' are no list")
    members = tuple(_member(path, entry) for entry in entries)
    if not isinstance(tree.get("calibration", {}), dict):
        raise _foreign(path, "its 'calibration' is no mapping")
    if len(members) < 2 or any(member.model.endswith(SUFFIX) for member in members):
        raise _foreign(path, "it needs two members or more, none of them an ensemble")
    return Record(
        path=path,
        name=str(tree.get("name", path.stem)),
        version=str(tree.get("version", "1")),
        members=members,
        calibration=dict(tree.get("calibration", {})),
    )


def write(record: Record, path: Path) -> None:
    """Write an ensemble's file, members by name or by their whole path."""
    tree = {
        "format_version": FORMAT_VERSION,
        "name": record.name,
        "version": record.version,
        "members": [
            {"model": member.model, "mirrored": True} if member.mirrored else member.model
            for member in record.members
        ],
        "calibration": record.calibration,
    }
    write_text(path, json.dumps(tree, indent=1) + "\n")


def join(record: Record, members: Sequence[Model]) -> Ensemble:
    """The members as one model.

    Raises:
        ModelError: ``model_mismatch``: they look at different crops.
    """
    first, longest = members[0], max(members, key=lambda member: member.spec.frames)
    crops = {(member.spec.size_px, member.spec.margin) for member in members}
    # Whoever judges single frames may judge those of a clip.
    clips = {(m.spec.frames, m.spec.sampling) for m in members if m.spec.frames > 1}
    if len(crops) > 1 or len(clips) > 1:
        looks = (
            f"{m.name} {m.spec.size_px} px, margin {m.spec.margin}, {m.spec.frames} frames "
            f"{m.spec.sampling}"
            for m in members
        )
        raise ModelError(
            f"The members of '{record.path.name}' look at different crops: {'; '.join(looks)}.",
            code="model_mismatch",
            hint="Members need the same clip.size_px, clip.margin, clip.frames and clip.sampling.",
        )
    digest = hashlib.sha256(record.path.read_bytes())
    for member in members:
        digest.update(member.sha256.encode())
    limits = dict.fromkeys(text for m in members for text in m.metadata.get("limitations", ()))
    about = {
        "format_version": FORMAT_VERSION,
        "name": record.name,
        "version": record.version,
        "clip": dataclasses.asdict(longest.spec),
        "model": {"name": "ensemble"},
        "members": [
            {
                "name": m.name,
                "version": m.version,
                "weights_sha256": m.sha256,
                "mirrored": isinstance(m, Mirrored),
            }
            for m in members
        ],
        "calibration": record.calibration,
        "limitations": list(limits),
        **_training(members),
    }
    return Ensemble(
        name=record.name,
        version=record.version,
        sha256=digest.hexdigest(),
        spec=longest.spec,
        calibration=record.calibration,
        metadata=about,
        device=first.device,
        threads=first.threads,
        members=tuple(members),
    )


def _training(members: Sequence[Model]) -> dict[str, Any]:
    """What tells which videos of a folder were trained on, where all members agree on it."""
    configs = [m.metadata.get("training", {}).get("config", {}) for m in members]
    splits = [(c.get("loop", {}).get("seed"), c.get("data")) for c in configs]
    alike = all(split == splits[0] for split in splits)
    return {"training": {"config": configs[0]}} if alike and configs[0] else {}


def _member(path: Path, entry: Any) -> Member:
    asked = entry if isinstance(entry, dict) else {"model": entry}
    name, mirrored = asked.get("model"), asked.get("mirrored", False)
    if not isinstance(name, str) or not isinstance(mirrored, bool):
        raise _foreign(path, f"its member {json.dumps(entry)} is no model's name")
    if name not in weights.names():
        name = str((path.parent / Path(name).expanduser()).resolve())
    return Member(name, mirrored)


def _foreign(path: Path, why: str) -> ModelError:
    return ModelError(
        f"'{path.name}' is not the file of an ensemble: {why}.",
        code="model_foreign",
        hint='Write {"members": ["unmask-base", "MINE.onnx"]}, then run unmask calibrate on it.',
    )
