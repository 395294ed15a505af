import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from unmask.data import as_file, locate, sha256_of
from unmask.errors import DatasetError, MediaError
from unmask.types import VideoRecord


def record(path: str) -> VideoRecord:
    return VideoRecord(path, 0, "train", "g")


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_plain_files(tmp_path: Path) -> None:
    (tmp_path / "a.MP4").write_bytes(b"moving")
    found = locate(tmp_path, [record("a.MP4"), record("gone.mp4")])
    assert list(found) == ["a.MP4"]
    source = found["a.MP4"]
    assert (source.size_bytes, source.suffix, source.offset) == (6, ".mp4", None)
    assert source.mtime_ns == (tmp_path / "a.MP4").stat().st_mtime_ns
    assert sha256_of(source) == hashlib.sha256(b"moving").hexdigest()
    with as_file(source) as path:
        assert path == tmp_path / "a.MP4"
    assert (tmp_path / "a.MP4").exists()


def test_members_of_a_tar_are_read_in_place(tmp_path: Path) -> None:
    write_tar(tmp_path / "s.tar", {"x/a.jpg": b"one", "b.PNG": b"second"})
    write_tar(tmp_path / "t.tar", {"x/a.jpg": b"another"})
    members = ("s.tar::x/a.jpg", "s.tar::b.PNG", "t.tar::x/a.jpg")
    found = locate(tmp_path, [record(path) for path in (*members, "s.tar::c")])
    assert tuple(found) == members
    contents = [hashlib.sha256(text).hexdigest() for text in (b"one", b"second", b"another")]
    assert [sha256_of(source) for source in found.values()] == contents
    source = found["s.tar::b.PNG"]
    with as_file(source) as path:
        assert path.read_bytes() == b"second"
        assert path.suffix == ".png"
    assert not path.exists()


def test_what_is_no_file_in_a_tar_is_not_there(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for name, kind in (("folder", tarfile.DIRTYPE), ("link.jpg", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.jpg"
            archive.addfile(info)
    assert locate(tmp_path, [record("s.tar::folder"), record("s.tar::link.jpg")]) == {}


@pytest.mark.parametrize("harm", ["missing", "no tar", "compressed"])
def test_a_shard_that_cannot_be_read(tmp_path: Path, harm: str) -> None:
    if harm == "no tar":
        (tmp_path / "s.tar").write_bytes(b"hello" * 300)
    if harm == "compressed":
        write_tar(tmp_path / "s.tar", {"a": b"x" * 5000}, "w:gz")
    with pytest.raises(DatasetError) as caught:
        locate(tmp_path, [record("s.tar::a")])
    assert caught.value.code == "dataset_shard"


def test_a_file_that_went_away(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"moving")
    (source,) = locate(tmp_path, [record("a.mp4")]).values()
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(MediaError) as caught:
        sha256_of(source)
    assert caught.value.code == "media_not_found"
    write_tar(tmp_path / "s.tar", {"a.jpg": b"one"})
    (source,) = locate(tmp_path, [record("s.tar::a.jpg")]).values()
    (tmp_path / "s.tar").unlink()
    with pytest.raises(MediaError) as caught:
        sha256_of(source)
    assert caught.value.code == "media_unreadable"


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    (source,) = locate(tmp_path, [record("a.mp4")]).values()
    with pytest.raises(MediaError) as caught:
        sha256_of(source)
    assert caught.value.code == "media_not_regular"
