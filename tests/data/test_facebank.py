"""Face banks: from shards and videos into one file, with nobody on both sides of the split."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from bank_faces import KEYPOINTS, bank, face
from skimage.data import astronaut

from unmask.data import facebank
from unmask.data.facebank import BankedFace, FaceBank
from unmask.data.landmarks import mean_face
from unmask.errors import DatasetError
from unmask.types import FAKE, Face, FloatArray, UInt8Array

NPY = (
    b"\x93NUMPY\1\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".ljust(127)
    + b"\n"
    + bytes(8)
)
BOX = (180.0, 60.0, 270.0, 180.0)


def mesh(
    image: UInt8Array, centre_xy: tuple[float, float], side_px: float
) -> tuple[FloatArray, float]:
    """Stands in for the network: the mean face in the middle of the square."""
    unit = side_px / 300
    return mean_face((KEYPOINTS - (225, 125)) * unit + np.float32(centre_xy)), 0.9


def shard(folder: Path, files: dict[str, UInt8Array], manifest: str) -> Path:
    folder.mkdir(parents=True)
    with tarfile.open(folder / "faces-00.tar", "w") as tar:
        for name, image in files.items():
            data = cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    (folder / "manifest.csv").write_text(manifest, encoding="utf-8")
    return folder


def test_a_bank_survives_its_file(tmp_path: Path) -> None:
    made = bank()
    made.save(tmp_path / "bank.npz")
    back = FaceBank.load(tmp_path / "bank.npz")
    assert len(back) == len(made)
    np.testing.assert_array_equal(back.name, made.name)
    np.testing.assert_array_equal(back.image(3), made.image(3))
    fakes = np.flatnonzero(back.label == FAKE)
    assert [str(n) + "f" for n in back.name[back.partner[fakes]]] == back.name[fakes].tolist()


@pytest.mark.parametrize("content", [b"", b"no bank at all", b"PK\3\4cut off", NPY])
def test_what_is_no_bank_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as error:
        FaceBank.load(path)
    assert error.value.code == "dataset_bank"
    with pytest.raises(DatasetError):
        FaceBank.load(tmp_path / "missing.npz")


def test_shards_become_faces_with_pairs_splits_and_groups(tmp_path: Path) -> None:
    picture = astronaut()[35:215, 135:315]
    folder = shard(
        tmp_path / "dfdc",
        {"a.jpg": picture, "b.jpg": 255 - picture},
        "file,shard,label,split,video,source_video,identity_group\n"
        "a.jpg,faces-00.tar,real,val,a.mp4,a.mp4,id1\n"
        "b.jpg,faces-00.tar,fake,val,b.mp4,a.mp4,id1\n"
        "c.jpg,faces-00.tar,real,val,c.mp4,c.mp4,id2\n",  # not in the shard
    )
    real, fake = facebank.still_faces(folder, "dfdc", mesh)
    assert (real.name, real.group, real.split) == ("dfdc/a.jpg", "dfdc/id1", "val")
    assert (fake.label, fake.partner, fake.group) == (FAKE, real.name, real.group)
    made = facebank.gather([real, fake])
    assert len(made) == 2
    np.testing.assert_array_equal(made.partner, [-1, 0])


@pytest.mark.parametrize("place", ["../x/faces-00.tar", "/tmp/faces-00.tar"])
def test_shards_outside_of_the_folder_are_refused(place: str, tmp_path: Path) -> None:
    folder = shard(tmp_path / "x", {}, f"file,shard,label\na.jpg,{place},real\n")
    with pytest.raises(DatasetError, match="outside") as refused:
        list(facebank.still_faces(folder, "x", mesh))
    assert refused.value.code == "dataset_manifest"


def test_without_a_split_a_fake_goes_where_its_authentic_face_goes(tmp_path: Path) -> None:
    picture = cv2.resize(astronaut(), (60, 60))
    names = [f"{number:02d}" for number in range(60)]
    rows = "".join(
        f"{n}.jpg,faces-00.tar,real,{n}.mp4,\n{n}f.jpg,faces-00.tar,fake,{n}f.mp4,{n}.mp4\n"
        for n in names
    )
    files = {f"{n}{end}.jpg": picture for n in names for end in ("", "f")}
    header = "file,shard,label,video,source_video\n"
    faces = list(facebank.still_faces(shard(tmp_path / "x", files, header + rows), "x", mesh))
    of = {face.name: face for face in faces}
    fakes = [face for face in faces if face.label == FAKE]
    assert len(fakes) == 60
    assert all((f.split, f.group) == (of[f.partner].split, of[f.partner].group) for f in fakes)
    assert {face.split for face in faces} == {"train", "val"}


def test_a_folder_of_stills_without_a_usable_manifest_is_told(tmp_path: Path) -> None:
    folder = shard(tmp_path / "plain", {}, "file,label\na.jpg,real\n")
    with pytest.raises(DatasetError, match="'shard'") as lacking:
        list(facebank.still_faces(folder, "plain", mesh))
    assert lacking.value.code == "dataset_manifest"
    with pytest.raises(DatasetError, match="cannot be read"):
        list(facebank.still_faces(tmp_path, "none", mesh))


def test_without_a_split_a_twelfth_is_held_back_and_a_box_places_the_mesh(tmp_path: Path) -> None:
    picture = cv2.resize(astronaut(), (60, 60))
    names = [f"r{i:03d}.jpg" for i in range(120)]
    rows = "".join(f"{name},faces-00.tar,real,60,20,5,30,20\n" for name in names)
    folder = shard(
        tmp_path / "wide",
        dict.fromkeys(names, picture),
        "file,shard,label,size_px,x0,y0,x1,y1\n" + rows,
    )
    faces = list(facebank.still_faces(folder, "wide", mesh))
    assert len(faces) == 120
    assert 3 <= sum(face.split == "val" for face in faces) <= 20
    again = list(facebank.still_faces(folder, "wide", mesh))
    assert [face.split for face in faces] == [face.split for face in again]
    middle = (faces[0].landmarks_px.min(0) + faces[0].landmarks_px.max(0)) / 2
    np.testing.assert_allclose(middle, (25, 12.5), atol=3)


def test_frames_of_a_recording_keep_their_order_and_split(tmp_path: Path) -> None:
    path = tmp_path / "somebody.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width = stream.height = 512
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(astronaut(), format="rgb24")))
        container.mux(stream.encode(None))

    def detect(image: UInt8Array) -> list[Face]:
        return [Face(BOX, KEYPOINTS, 0.9)]

    faces = list(facebank.clip_faces(path, detect, mesh, frames=6))
    assert [face.name for face in faces] == [f"clips/somebody/{i:03d}" for i in range(6)]
    assert len({face.split for face in faces}) == 1
    crop = FaceBank.of(faces).image(0)
    assert crop.shape == (216, 216, 3)  # 1.8 x 120 px
    inside = astronaut()[60:180, 180:270].mean()
    assert crop[48:168, 63:153].mean() == pytest.approx(inside, abs=4)
    assert not list(facebank.clip_faces(path, lambda image: [], mesh, frames=2))


def test_gathering_drops_unsure_faces_their_fakes_and_fakes_that_show_no_change() -> None:
    sure = face("x/a", "x", "x/a", "train")
    unsure = replace(face("x/b", "x", "x/b", "train"), score=0.4)
    fake_of_unsure = face("x/bf", "x", "x/b", "train", FAKE, "x/b")
    fake = face("x/af", "x", "x/a", "train", FAKE, "x/a")
    untouched = replace(fake, name="x/au", jpeg=sure.jpeg)
    nobody = replace(fake, name="x/an", score=0.1)
    made = facebank.gather([sure, unsure, fake_of_unsure, fake, untouched, nobody])
    assert made.name.tolist() == ["x/a", "x/af"]


def test_a_bank_of_nothing_is_refused() -> None:
    nothing: list[BankedFace] = []
    with pytest.raises(DatasetError) as error:
        FaceBank.of(nothing)
    assert error.value.code == "dataset_empty"
