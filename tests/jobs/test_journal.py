"""What a journal remembers, and what it makes of a kill in the middle of a row."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from unmask.errors import ScanError
from unmask.jobs import Found, Journal
from unmask.jobs import journal as room

SETTINGS = {"model": "m 1", "frames": 32}


def file(name: str, size: int = 5, mtime: int = 1) -> Found:
    return Found(f"/in/{name}", size, mtime, regular=size > 0)


def verdict(sha256: str | None, score: float = 0.5) -> dict[str, Any]:
    return {"input": {"sha256": sha256}, "score": score}


def test_a_verdict_is_found_again_by_what_opens_the_folder_next(tmp_path: Path) -> None:
    odd = file("odd\udcff\n.mp4")
    with Journal(tmp_path, SETTINGS) as journal:
        assert journal.place(odd) is None
        journal.note_verdict(odd, verdict("aa", 0.25))
    with Journal(tmp_path, SETTINGS) as journal:
        place = journal.place(odd)
        assert place is not None
        assert journal.read(place)["score"] == 0.25
        assert journal.content(odd) == "aa"


def test_a_changed_file_is_unknown_and_its_size_was_met(tmp_path: Path) -> None:
    with Journal(tmp_path, SETTINGS) as journal:
        journal.note_verdict(file("a.mp4"), verdict("aa"))
        for changed in (file("a.mp4", size=6), file("a.mp4", mtime=2)):
            assert journal.place(changed) is None
            assert journal.content(changed) is None
        assert journal.sizes_bytes == {5}


def test_a_verdict_holds_for_copies_and_moved_files_but_not_for_another_kind(
    tmp_path: Path,
) -> None:
    copy, still = file("copy.mp4"), file("copy.png")
    with Journal(tmp_path, SETTINGS) as journal:
        journal.note_verdict(file("a.mp4"), verdict("aa"))
        journal.note_content(copy, "aa")
        journal.note_content(still, "aa")
        assert journal.place(copy) == journal.place(file("a.mp4"))
        assert journal.place(still) is None


def test_a_file_that_was_given_up_unhashed_lends_its_verdict_once_it_is_hashed(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path, SETTINGS) as journal:
        journal.note_verdict(file("hangs.mp4"), verdict(None))
        journal.note_content(file("hangs.mp4"), "aa")
        journal.note_content(file("copy.mp4"), "aa")
    with Journal(tmp_path, SETTINGS) as journal:
        assert journal.place(file("copy.mp4")) == journal.place(file("hangs.mp4")) == 0


def test_what_was_given_up_says_nothing_of_other_content_nor_against_a_verdict(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path, SETTINGS) as journal:
        journal.note_verdict(file("replaced.mp4"), verdict(None))
        journal.note_content(file("replaced.mp4", mtime=2), "bb")
        assert journal.place(file("replaced.mp4", mtime=2)) is None
        journal.note_verdict(file("good.mp4"), verdict("aa", 0.75))
        journal.note_verdict(file("hangs.mp4"), verdict(None))
        journal.note_content(file("hangs.mp4"), "aa")
        assert journal.place(file("hangs.mp4")) == journal.place(file("good.mp4"))
        assert journal.read(journal.place(file("good.mp4")) or 0)["score"] == 0.75


def test_content_that_was_noted_twice_has_no_verdict(tmp_path: Path) -> None:
    with Journal(tmp_path, SETTINGS) as journal:
        for _ in range(2):
            journal.note_content(file("a.mp4"), "aa")
        assert journal.place(file("a.mp4")) is None


def test_a_later_verdict_takes_the_place_of_the_former(tmp_path: Path) -> None:
    with Journal(tmp_path, SETTINGS) as journal:
        for score in (0.25, 0.75):
            journal.note_verdict(file("a.mp4"), verdict("aa", score))
    with Journal(tmp_path, SETTINGS) as journal:
        assert journal.read(journal.place(file("a.mp4")) or 0)["score"] == 0.75


def test_rows_reach_the_disk_as_they_come_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may lose whatever was not pushed to it; a kill loses not even that."""
    safe_bytes: dict[int, int] = {}
    push = os.fsync

    def noted(handle: int) -> None:
        push(handle)
        safe_bytes[os.fstat(handle).st_ino] = os.fstat(handle).st_size

    monkeypatch.setattr(os, "fsync", noted)
    rows = tmp_path / "journal.jsonl"
    with Journal(tmp_path, SETTINGS) as journal:
        journal.note_verdict(file("a.mp4"), verdict("aa"))
        assert rows.read_bytes().endswith(b"\n")
    assert safe_bytes[rows.stat().st_ino] == rows.stat().st_size
    monkeypatch.setattr(room, "SYNC_SECONDS", 0.0)
    with Journal(tmp_path, SETTINGS) as journal:
        journal.note_verdict(file("b.mp4"), verdict("bb"))
        assert safe_bytes[rows.stat().st_ino] == rows.stat().st_size


def test_what_has_no_content_is_known_by_its_path(tmp_path: Path) -> None:
    with Journal(tmp_path, SETTINGS) as journal:
        journal.note_verdict(file("one.mp4", size=0), verdict("e3"))
        assert journal.place(file("one.mp4", size=0)) == 0
        assert journal.place(file("two.mp4", size=0)) is None
        assert journal.content(file("one.mp4", size=0)) is None


def test_a_kill_at_any_byte_costs_the_last_row_only(tmp_path: Path) -> None:
    files = [file(f"{number}.mp4") for number in range(3)]
    with Journal(tmp_path, SETTINGS) as journal:
        for number, found in enumerate(files):
            journal.note_verdict(found, verdict(f"sha{number}"))
        starts = [journal.place(found) for found in files]
    content = (tmp_path / "journal.jsonl").read_bytes()
    ends = [*starts[1:], len(content)]
    for length in range(len(content) + 1):
        (tmp_path / "journal.jsonl").write_bytes(content[:length])
        with Journal(tmp_path, SETTINGS) as journal:
            known = [journal.place(found) is not None for found in files]
            assert known == [end <= length for end in ends], length
    (tmp_path / "journal.jsonl").write_bytes(content[: ends[0]] + bytes(100))  # a power cut
    with Journal(tmp_path, SETTINGS) as journal:
        journal.note_verdict(files[2], verdict("sha2", 0.75))
    with Journal(tmp_path, SETTINGS) as journal:
        assert [journal.place(found) is not None for found in files] == [True, False, True]
        assert journal.read(journal.place(files[2]) or 0)["score"] == 0.75


def test_it_is_held_by_one_and_freed_by_death(tmp_path: Path) -> None:
    with Journal(tmp_path, SETTINGS):
        with pytest.raises(ScanError) as caught:
            Journal(tmp_path, SETTINGS)
        assert caught.value.code == "scan_locked"
    child = os.fork()
    if child == 0:
        Journal(tmp_path, SETTINGS)
        os._exit(0)  # without closing it
    os.waitpid(child, 0)
    Journal(tmp_path, SETTINGS).__exit__(None, None, None)


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    Journal(tmp_path, SETTINGS).__exit__(None, None, None)
    with pytest.raises(ScanError, match="frames was 32, is 8") as caught:
        Journal(tmp_path, SETTINGS | {"frames": 8})
    assert caught.value.code == "scan_settings"
    fewer = {"model": SETTINGS["model"]}
    for settings in (SETTINGS | {"faces": "b"}, fewer):  # such as another version may have
        with pytest.raises(ScanError) as caught:
            Journal(tmp_path, settings)
        assert caught.value.code == "scan_settings"
    with Journal(tmp_path, SETTINGS):  # the refusal has freed it
        pass


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").touch()
    with pytest.raises(ScanError) as caught:
        Journal(tmp_path, SETTINGS)
    assert caught.value.code == "scan_foreign"
    for content in ("[]", json.dumps({"format": 99, "settings": SETTINGS})):
        (tmp_path / "scan.json").write_text(content)
        with pytest.raises(ScanError) as caught:
            Journal(tmp_path, SETTINGS)
        assert caught.value.code == "scan_foreign"
    with pytest.raises(ScanError) as caught:
        Journal(tmp_path / "diary.txt", SETTINGS)
    assert caught.value.code == "scan_out"
