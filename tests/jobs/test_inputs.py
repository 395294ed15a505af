"""Which files a scan finds: every odd thing in a folder has its place, and none blocks."""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path

import pytest

from unmask.errors import ScanError
from unmask.files import path_text
from unmask.jobs import Inputs, find_inputs

MP4 = b"\0\0\0\x18ftypisom" + bytes(40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def found_in(folder: Path, inputs: Inputs) -> list[str]:
    return [os.path.relpath(found.path, folder) for found in inputs.files]


def look(*paths: str | Path, list_file: Path | None = None) -> Inputs:
    return find_inputs(paths, list_file=list_file, leave_out=Path("nowhere"))


def test_a_folder_gives_its_media_in_one_order_and_skips_the_rest(folder: Path) -> None:
    for name in ("b.mp4", "a/z.MOV", "a/y.jpg", ".hidden.mp4", ".dir/x.webm", "movie"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(MP4)
    (folder / "notes.txt").write_text("no media")
    (folder / "labels.csv").write_text("a,b")
    (folder / "TORN.MP4").write_text("no media, but it should be: that is to be told")
    inputs = look(folder)
    assert found_in(folder, inputs) == [
        ".dir/x.webm", ".hidden.mp4", "TORN.MP4", "a/y.jpg", "a/z.MOV", "b.mp4", "movie",
    ]  # fmt: skip
    assert [Path(path).name for path in inputs.skipped] == ["labels.csv", "notes.txt"]


def test_what_is_named_is_always_taken_and_taken_once(folder: Path) -> None:
    (folder / "notes.txt").write_text("no media")
    (folder / "b.mp4").write_bytes(MP4)
    inputs = look(folder / "notes.txt", folder, folder / ".." / "in" / "b.mp4", folder / "gone.mp4")
    assert found_in(folder, inputs) == ["b.mp4", "gone.mp4", "notes.txt"]
    assert inputs.skipped == []
    assert inputs.files[1].stamp == (-1, -1)


def test_a_pattern_gives_what_matches_and_a_name_like_one_is_a_name(folder: Path) -> None:
    for name in ("a.mp4", "sub/b.mp4", "sub/.c.mp4", "[x].mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(MP4)
    assert found_in(folder, look(str(folder / "**" / "*.mp4"))) == [
        "[x].mp4", "a.mp4", "sub/.c.mp4", "sub/b.mp4",
    ]  # fmt: skip
    (folder / "x.mp4").write_bytes(MP4)  # which the name as a pattern would mean
    assert found_in(folder, look(str(folder / "[x].mp4"))) == ["[x].mp4"]
    assert found_in(folder, look(str(folder / "*.mkv"))) == ["*.mkv"]  # told as not found


def test_what_is_no_file_is_handed_on_without_being_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(folder / "socket"))
    (folder / "empty.mp4").touch()
    (folder / "empty").touch()
    (folder / "dangling.mp4").symlink_to("nowhere")
    (folder / "circle").symlink_to("circle")
    inputs = look(folder)
    assert found_in(folder, inputs) == [
        "circle", "dangling.mp4", "empty.mp4", "pipe", "pipe.mp4", "socket",
    ]  # fmt: skip
    assert not any(found.regular for found in inputs.files)
    assert inputs.skipped == [str(folder / "empty")]


def test_links_to_folders_are_followed_once_and_never_in_circles(folder: Path) -> None:
    outside = folder.parent / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "far.mp4").write_bytes(MP4)
    (folder / "real").mkdir()
    (folder / "real" / "near.mp4").write_bytes(MP4)
    (folder / "a_link").symlink_to(folder / "real")
    (folder / "z_link").symlink_to(folder / "real")
    (folder / "real" / "up").symlink_to(folder)
    (folder / "out").symlink_to(outside)
    (outside / "deep" / "back").symlink_to(folder)
    assert found_in(folder, look(folder)) == ["out/deep/far.mp4", "real/near.mp4"]


def test_names_that_are_no_text_stay_apart(folder: Path) -> None:
    names = [b"bad\xff.mp4", b"bad\xfe.mp4", b"new\nline.mp4", "größe.mp4".encode()]
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(MP4)
    inputs = look(folder)
    assert {os.fsencode(Path(found.path).name) for found in inputs.files} == set(names)
    assert {path_text(Path(found.path).name) for found in inputs.files} == {
        "bad\\xff.mp4", "bad\\xfe.mp4", "new\nline.mp4", "größe.mp4",
    }  # fmt: skip


def test_the_results_of_a_scan_are_not_scanned(folder: Path) -> None:
    (folder / "a.mp4").write_bytes(MP4)
    (folder / "out" / "thumbnails").mkdir(parents=True)
    (folder / "out" / "thumbnails" / "a.jpg").write_bytes(b"\xff\xd8")
    (folder / "link").symlink_to("out")
    assert found_in(folder, find_inputs([folder], leave_out=folder / "out")) == ["a.mp4"]


def test_a_folder_that_cannot_be_listed_is_a_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.mp4").write_bytes(MP4)
    (folder / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # as root, every folder can be listed
    inputs = look(folder)
    assert found_in(folder, inputs) == ["a.mp4", "locked"]
    assert "Permission denied" in inputs.files[1].problem


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\0"])
def test_a_list_names_paths(folder: Path, ending: bytes) -> None:
    paths = [os.fsencode(folder / name) for name in ("b.mp4", "a.mp4")]
    paths += [os.fsencode(folder) + name for name in (b"/odd\xff.mp4", b"/space.mp4 ")]
    for path in paths:
        Path(os.fsdecode(path)).write_bytes(MP4)
    listing = folder.parent / "list"
    listing.write_bytes(ending.join([*paths, b""]))
    assert found_in(folder, look(list_file=listing)) == [
        "a.mp4", "b.mp4", "odd\udcff.mp4", "space.mp4 ",
    ]  # fmt: skip


def test_a_list_can_come_from_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = io.TextIOWrapper(io.BytesIO(os.fsencode(folder / "a\nb.mp4") + b"\0"))
    monkeypatch.setattr(sys, "stdin", listing)
    assert found_in(folder, look(list_file=Path("-"))) == ["a\nb.mp4"]


def test_nothing_to_do_and_no_list_are_errors(folder: Path) -> None:
    (folder / "notes.txt").write_text("no media")
    with pytest.raises(ScanError, match="1 other file") as caught:
        look(folder)
    assert caught.value.code == "scan_no_files"
    with pytest.raises(ScanError) as caught:
        look(list_file=folder / "absent")
    assert caught.value.code == "scan_list"


def test_a_name_that_the_system_refuses_costs_itself_only(folder: Path) -> None:
    (folder / "a.mp4").write_bytes(MP4)
    listed = folder.parent / "list.txt"
    listed.write_text(f"{folder / 'a.mp4'}\n{folder / ('x' * 300)}.mp4\n")
    good, refused = look(list_file=listed).files
    assert good.regular
    assert refused.stamp == (-1, -1)


def test_results_of_an_earlier_scan_are_not_judged(tmp_path: Path) -> None:
    """Their thumbnails have boxes drawn into them."""
    old = tmp_path / "in" / "results"
    (old / "thumbnails").mkdir(parents=True)
    for file in (tmp_path / "in" / "a.jpg", old / "thumbnails" / "b.jpg"):
        file.write_bytes(b"\xff\xd8\xff\xe0" + bytes(20))
    (old / "journal.jsonl").touch()
    found = find_inputs([tmp_path / "in"], leave_out=tmp_path / "out")
    assert {Path(file.path).name for file in found.files} == {"a.jpg", "b.jpg"}
    (old / "scan.json").touch()
    found = find_inputs([tmp_path / "in"], leave_out=tmp_path / "out")
    assert [Path(file.path).name for file in found.files] == ["a.jpg"]
