"""A folder that holds what the words of README and docs name: DATA, MODEL.onnx, faces and films.

Everything is generated from one public-domain portrait, and small, so that commands of hours take
seconds. Nothing is downloaded.
"""

from __future__ import annotations

import csv
import io
import shutil
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

import make_media
from make_model import write_blueness
from train_demo import FaceSwap, make_dataset
from unmask.data.facebank import gather, still_faces
from unmask.data.landmarks import mean_face
from unmask.faces import load_detector
from unmask.types import FloatArray, UInt8Array

ROOT = Path(__file__).resolve().parent.parent
FRAMES = 10
SCENES = {"train": 3, "val": 2, "test": 2}  # authentic videos a split; as many manipulated ones
STILLS = {"train": 8, "val": 4, "test": 4}
_STILL_PX, _FACE_PX = 200, 120
_COLUMNS = ("file", "shard", "label", "split", "identity_group", "video", "source_video")
_CLONE = (
    *("scripts", "configs", "kaggle_cells", "benchmarks", "src", "docs"),
    *("Makefile", "pyproject.toml", "constraints.txt", "mkdocs.yml"),
    *(path.name for path in ROOT.glob("*.md")),
)


def make_material(folder: Path) -> Path:
    """What all pages share, made once: a video, videos by class, stills by class in a tar."""
    make_media.write_video(folder / "clip.mp4", make_media.portrait_frames(25, 320, 240))
    make_dataset(folder / "videos", SCENES, FRAMES)
    make_dataset(folder / "few", {"val": 2, "test": 2}, FRAMES)  # for the large model that ships
    make_stills(folder / "stills")
    make_bank(folder / "stills", folder / "faces.npz")
    write_blueness(folder / "model.onnx")
    return folder


def stage(material: Path, folder: Path) -> Path:
    """Lay a working folder out, as a clone in which somebody has put videos and models.

    Args:
        material: what `make_material` made.
        folder: an empty one.
    """
    for name in _CLONE:
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    for name in ("clip.mp4", "VIDEO", "FOLDER/a.mp4", "PATH.../b.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(material / "clip.mp4", folder / name)
    for name in ("DATA", "OTHER_DATA", "DIR", "demo/train/data"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(material / "videos", folder / name)  # a store is named by its dataset
    for name in ("HELD_OUT", "PEOPLE"):
        shutil.copytree(material / "few", folder / name)
    (folder / "CLIPS").symlink_to(folder / "DATA" / "train")
    for name in ("DFDC_FACES", "FACES"):
        shutil.copytree(material / "stills", folder / name)
    for name, kept in (("MODEL.onnx", "model.onnx"), ("faces.npz", "faces.npz")):
        shutil.copy(material / kept, folder / name)
    (folder / "MODEL").symlink_to("runs/mine")  # there once the page has trained it
    return folder


@dataclass(frozen=True)
class _Still:
    file: str
    label: str
    split: str
    group: str
    source: str
    jpeg: bytes


def make_stills(folder: Path) -> Path:
    """``manifest.csv`` and a tar of faces, every second one manipulated."""
    folder.mkdir(parents=True)
    stills = list(_stills())
    with tarfile.open(folder / "faces.tar", "w") as shard:
        for still in stills:
            member = tarfile.TarInfo(still.file)
            member.size = len(still.jpeg)
            shard.addfile(member, io.BytesIO(still.jpeg))
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for one in stills:
            row = [one.file, "faces.tar", one.label, one.split, one.group, one.file, one.source]
            table.writerow(row)
    return folder


def make_bank(stills: Path, path: Path) -> Path:
    """A bank as `make_bank.py` makes one, with an average face for the network's landmarks."""
    detect = load_detector()

    def mesh(
        image: UInt8Array, centre: tuple[float, float], side: float
    ) -> tuple[FloatArray, float]:
        return mean_face(detect(image)[0].keypoints_px), 1.0

    gather(still_faces(stills, "dfdc", mesh)).save(path)
    return path


def _stills() -> Iterator[_Still]:
    number = 0
    for split, count in STILLS.items():
        for _ in range(count):
            number += 1
            name = f"p{number:02d}"
            looks = (("real", f"{name}.jpg", None), ("fake", f"{name}_swap.jpg", FaceSwap(number)))
            for label, file, retouch in looks:
                frames = make_media.portrait_frames(
                    1, _STILL_PX, _STILL_PX, seed=number, face_px=_FACE_PX, retouch=retouch
                )
                picture = next(frames)[..., ::-1]
                jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
                source = "" if retouch is None else f"{name}.jpg"
                yield _Still(file, label, split, name, source, jpeg)
