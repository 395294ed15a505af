"""A bank of faces with dense landmarks: what pseudo-fakes are made from, kept in one file.

Every face is a JPEG in memory (decoding takes under a millisecond), with its 468 landmarks, the
split and the group that it may not leave, and for a fake the authentic face it was made from.
"""

from __future__ import annotations

import csv
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unmask.augment.opencv import cv2
from unmask.config import ClipSpec
from unmask.data.landmarks import MESH_POINTS
from unmask.errors import DatasetError
from unmask.files import atomic_path, leads_outside
from unmask.media import open_video, sample
from unmask.types import FAKE, REAL, Face, FloatArray, UInt8Array

Mesh = Callable[[UInt8Array, tuple[float, float], float], tuple[FloatArray, float]]
Detect = Callable[[UInt8Array], list[Face]]

_CLIP_CROP = 1.8  # side of a clip's stored crop over the face box: room for rotation and context
_CLIP_CROP_PX = 352
_MIN_CLIP_FACE_PX = 80
_MIN_FAKE_SCORE = 0.3
_MIN_CHANGE = 0.1
# The same recording under two names; a group may not cross the split.
_SAME_RECORDING = {
    "talk2__test_samples_short_case_AOC_gt_025d01": "talk__3",
    "talk2__assets_examples_driving_d10_8acd25": "driving__d10",
}


@dataclass(frozen=True)
class BankedFace:
    """One face on its way into a bank."""

    jpeg: bytes
    landmarks_px: FloatArray
    """``(468, 2)`` x, y in the JPEG's pixels."""
    score: float
    """The mesh's score, 0-1."""
    name: str
    source: str
    """Which collection, e.g. ``dfdc``."""
    group: str
    split: str
    label: int
    partner: str = ""
    """Of a fake: the name of the authentic face that it was made from."""


@dataclass(frozen=True)
class FaceBank:
    """N faces as columns. Arrays are read-only in spirit: workers share them by fork."""

    blob: UInt8Array
    """All JPEG files behind each other."""
    offsets: NDArray[np.int64]
    """``(N + 1,)``: face i is ``blob[offsets[i]:offsets[i + 1]]``."""
    landmarks_px: FloatArray
    """``(N, 468, 2)``."""
    score: FloatArray
    name: NDArray[np.str_]
    source: NDArray[np.str_]
    group: NDArray[np.str_]
    split: NDArray[np.str_]
    label: NDArray[np.int64]
    partner: NDArray[np.int64]
    """``(N,)``: of a fake the row of its authentic face, else -1."""

    def __len__(self) -> int:
        return len(self.label)

    def image(self, row: int) -> UInt8Array:
        """RGB ``(H, W, 3)`` uint8 of one face."""
        data = self.blob[self.offsets[row] : self.offsets[row + 1]]
        image: UInt8Array = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        return image

    def save(self, path: Path) -> None:
        """Write the bank as one ``.npz`` file, atomically."""
        with atomic_path(path) as temporary:
            np.savez(temporary, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> FaceBank:
        """Read a bank.

        Raises:
            DatasetError: no such file, or not a bank.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as columns:
                return cls(**{field.name: columns[field.name] for field in fields(cls)})
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise DatasetError(
                f"{path} is not a face bank: {error}",
                code="dataset_bank",
                hint="Build it with unmask.data.facebank.gather.",
            ) from error

    @classmethod
    def of(cls, faces: Iterable[BankedFace]) -> FaceBank:
        """A bank of some faces; a fake whose authentic face is not among them is left out."""
        kept = list(faces)
        known = {face.name for face in kept if face.label == REAL}
        kept = [face for face in kept if face.label == REAL or face.partner in known]
        if not kept:
            raise DatasetError("No face to bank.", code="dataset_empty")
        row = {face.name: i for i, face in enumerate(kept)}
        sizes = np.cumsum([0] + [len(face.jpeg) for face in kept])
        return cls(
            blob=np.frombuffer(b"".join(face.jpeg for face in kept), np.uint8),
            offsets=sizes.astype(np.int64),
            landmarks_px=np.stack([face.landmarks_px for face in kept]).astype(np.float32),
            score=np.array([face.score for face in kept], np.float32),
            name=np.array([face.name for face in kept]),
            source=np.array([face.source for face in kept]),
            group=np.array([face.group for face in kept]),
            split=np.array([face.split for face in kept]),
            label=np.array([face.label for face in kept], np.int64),
            partner=np.array([row.get(face.partner, -1) for face in kept], np.int64),
        )


def still_faces(folder: Path, source: str, mesh: Mesh) -> Iterator[BankedFace]:
    """Faces of a folder of tar shards with a ``manifest.csv``.

    Columns read: ``file, shard, label``; where present ``split, video, source_video,
    identity_group`` and the face box ``x0, y0, x1, y1`` in pixels. Without a split, one group in
    twelve goes to validation by a hash of its name, where a group is the files of one identity, or
    of one source video, or a single file. Fakes keep their landmarks even where the
    mesh is unsure: they travel with their authentic partner's geometry.

    Raises:
        DatasetError: ``dataset_manifest``: see `manifest_rows`.
    """
    rows = manifest_rows(folder, "file", "shard", "label")
    shards: dict[str, dict[str, bytes]] = {}
    names = {row["video"]: row["file"] for row in rows if row.get("video")}
    for row in rows:
        if row["shard"] not in shards:
            shards = {row["shard"]: _untar(folder, row["shard"])}
        jpeg = shards[row["shard"]].get(row["file"])
        image = None if jpeg is None else _decode(jpeg)
        if jpeg is None or image is None:
            continue
        centre, side = _where(row, image)
        points, score = mesh(image, centre, side)
        label = FAKE if row["label"] == "fake" else REAL
        source_video = row.get("source_video", "")
        # What belongs to one person or recording stays together.
        group = row.get("identity_group") or source_video or row.get("video") or row["file"]
        split = row.get("split") or ("val" if zlib.crc32(group.encode()) % 12 == 0 else "train")
        yield BankedFace(
            jpeg=jpeg,
            landmarks_px=points,
            score=score,
            name=f"{source}/{row['file']}",
            source=source,
            group=f"{source}/{group}",
            split=split,
            label=label,
            partner=f"{source}/{names.get(source_video, '')}" if label == FAKE else "",
        )


def manifest_rows(folder: Path, *columns: str) -> list[dict[str, str]]:
    """The rows of a folder's ``manifest.csv``, which must have these columns.

    Raises:
        DatasetError: ``dataset_manifest``: there is none, or it lacks one of them.
    """
    file = folder / "manifest.csv"
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            rows, there = list(table), table.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{file} cannot be read: {error}.",
            code="dataset_manifest",
            hint="Give a folder with tar files and a manifest.csv (docs/pseudo-fakes.md).",
        ) from error
    if lacking := [name for name in columns if name not in there]:
        raise DatasetError(
            f"{file} has no column '{lacking[0]}'.",
            code="dataset_manifest",
            hint=f"It needs the columns {', '.join(columns)} (docs/pseudo-fakes.md).",
        )
    return rows


def recording_split(stem: str, val_share: float = 0.25) -> str:
    """``train`` or ``val``, by a hash of the recording that a file of this name holds."""
    stem = _SAME_RECORDING.get(stem, stem)
    return "val" if zlib.crc32(stem.encode()) % 1000 < 1000 * val_share else "train"


def clip_faces(
    path: Path, detect: Detect, mesh: Mesh, frames: int = 48, val_share: float = 0.25
) -> Iterator[BankedFace]:
    """The largest face in frames spread over one authentic video, in time order.

    The split is drawn by a hash of the recording's name, so all frames of it stay together.
    """
    recording = _SAME_RECORDING.get(path.stem, path.stem)
    split = recording_split(recording, val_share)
    spec = ClipSpec(frames=frames, clips=1, sampling="even")
    with open_video(path) as video:
        for frame in sample(video, spec):
            faces = detect(frame.image)
            if not faces or faces[0].size_px < _MIN_CLIP_FACE_PX:
                continue
            x0, y0, x1, y1 = faces[0].box_xyxy_px
            side = _CLIP_CROP * faces[0].size_px
            scale = min(1.0, _CLIP_CROP_PX / side)
            to_crop = np.array([[scale, 0, 0], [0, scale, 0]])
            half = side * scale / 2
            to_crop[:, 2] = half - scale * np.array([(x0 + x1) / 2, (y0 + y1) / 2])
            size_px = round(2 * half)
            blur = round(1 / scale)
            picture = cv2.blur(frame.image, (blur, blur)) if blur > 1 else frame.image
            crop = cv2.warpAffine(
                picture,
                to_crop,
                (size_px, size_px),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            points, score = mesh(crop, (half, half), size_px / _CLIP_CROP * 1.5)
            # 4:4:4 at high quality: the bank must add no trace of its own.
            flags = [cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
            jpeg = cv2.imencode(".jpg", crop[..., ::-1], flags)[1].tobytes()
            yield BankedFace(
                jpeg,
                points,
                score,
                f"clips/{path.stem}/{frame.index:03d}",
                "clips",
                f"clips/{recording}",
                split,
                REAL,
            )


def gather(faces: Iterable[BankedFace], min_score: float = 0.6) -> FaceBank:
    """A bank of the faces that can be used.

    Authentic faces need a mesh score above ``min_score``. A fake is dropped where there is no face
    (score under 0.3) or where it hardly differs from its authentic frame: some manipulated videos
    show untouched faces at times, and a label that is wrong teaches the wrong thing.
    """
    kept = [
        face
        for face in faces
        if face.landmarks_px.shape == (MESH_POINTS, 2)
        and face.score > (_MIN_FAKE_SCORE if face.label == FAKE else min_score)
    ]
    real = {face.name: face for face in kept if face.label == REAL}
    return FaceBank.of(
        face
        for face in kept
        if face.label == REAL or (face.partner in real and _differs(real[face.partner], face))
    )


def _differs(authentic: BankedFace, fake: BankedFace) -> bool:
    """Whether the middle of two faces differs by more than coding, in shares of its contrast."""
    middles = []
    for face in (authentic, fake):
        image = _decode(face.jpeg)
        if image is None:
            return False
        small = cv2.resize(image, (56, 56), interpolation=cv2.INTER_AREA)
        middles.append(small[10:46, 10:46].astype(np.float32))
    change = float(np.abs(middles[0] - middles[1]).mean())
    return change > _MIN_CHANGE * (float(middles[0].std()) + 3)


def _untar(folder: Path, shard: str) -> dict[str, bytes]:
    if leads_outside(shard):
        raise DatasetError(
            f"The manifest of {folder} points outside the dataset ('{shard}').",
            code="dataset_manifest",
        )
    with tarfile.open(folder / shard, "r:") as tar:
        members = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {name.rpartition("/")[2]: file.read() for name, file in members.items() if file}


def _decode(jpeg: bytes) -> UInt8Array | None:
    image: UInt8Array | None = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    return image


def _where(row: dict[str, str], image: UInt8Array) -> tuple[tuple[float, float], float]:
    """Centre and side of the square in which the mesh looks for the face."""
    if row.get("x0"):
        x0, y0, x1, y1 = (float(row[key]) for key in ("x0", "y0", "x1", "y1"))
        return ((x0 + x1) / 2, (y0 + y1) / 2), 1.5 * max(x1 - x0, y1 - y0)
    height, width = image.shape[:2]
    return (width / 2, height / 2), 1.24 * max(height, width)
