"""Where files go, and the command that makes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from unmask.cli import app
from unmask.errors import InputError
from unmask.files import sha256_file
from unmask.report.illustrate import illustrate, outputs
from unmask.types import Verdict


def test_one_video_one_file(tmp_path: Path) -> None:
    assert outputs([Path("a.mp4")], tmp_path / "x.html", ".html") == [tmp_path / "x.html"]


def test_a_folder_takes_any_number(tmp_path: Path) -> None:
    videos = [Path("one/a.mp4"), Path("two/a.mp4"), Path("b.mkv")]
    assert outputs(videos, tmp_path, ".html") == [
        tmp_path / "a.mp4.html", tmp_path / "a.mp4-2.html", tmp_path / "b.mkv.html",
    ]  # fmt: skip
    assert outputs(videos[:1], tmp_path / "new", ".mp4") == [tmp_path / "new" / "a.mp4.mp4"]


def test_a_folder_may_be_called_like_a_file_and_a_suffix_be_written_large(tmp_path: Path) -> None:
    (tmp_path / "x.html").mkdir()
    videos = [Path("a.mp4"), Path("b.mp4")]
    assert outputs(videos, tmp_path / "x.html", ".html") == [
        tmp_path / "x.html" / "a.mp4.html", tmp_path / "x.html" / "b.mp4.html",
    ]  # fmt: skip
    assert outputs(videos[:1], tmp_path / "y.HTML", ".html") == [tmp_path / "y.HTML"]


def test_nothing_wanted() -> None:
    assert outputs([Path("a.mp4")] * 2, None, ".html") == [None, None]


@pytest.mark.parametrize(("videos", "name"), [(2, "x.html"), (1, "x.pdf")])
def test_names_that_do_not_fit(tmp_path: Path, videos: int, name: str) -> None:
    with pytest.raises(InputError) as caught:
        outputs([Path("a.mp4")] * videos, tmp_path / name, ".html")
    assert caught.value.code == "output_name"


def test_a_bad_output_stops_nothing_else(tmp_path: Path, verdict: Verdict) -> None:
    page, film = tmp_path / "x.html", tmp_path / "x.mp4"
    notices, whole = illustrate(tmp_path / "still.png", verdict, html=page, annotate=film)
    assert not whole
    assert [notice.code for notice in notices] == ["annotate_still"]
    assert page.is_file()
    assert not film.exists()


def test_pictures_of_another_content_than_was_judged_are_not_kept(
    crowd: Path, tmp_path: Path, verdict: Verdict
) -> None:
    film = tmp_path / "clip.mp4"
    film.write_bytes(crowd.read_bytes())
    page = tmp_path / "x.html"
    judged = replace(verdict, input={**verdict.input, "sha256": sha256_file(film)})
    assert illustrate(film, judged, html=page) == ([], True)
    assert page.is_file()
    film.write_bytes(film.read_bytes() + b"more")
    drawn = tmp_path / "drawn.mp4"
    notices, whole = illustrate(film, judged, html=page, annotate=drawn)
    assert ([notice.code for notice in notices], whole) == (["media_changed"], False)
    assert not page.exists()
    assert not drawn.exists()


def test_of_a_file_that_was_not_judged_there_is_a_page_and_no_video(
    crowd: Path, tmp_path: Path
) -> None:
    error = {"code": "scan_timeout", "message": "It took too long.", "hint": ""}
    failed = Verdict("failed", {"name": "a.mp4"}, "inconclusive", None, "x", error=error)
    page, film = tmp_path / "x.html", tmp_path / "x.mp4"
    assert illustrate(crowd, failed, html=page, annotate=film) == ([], True)
    assert page.is_file()
    assert not film.exists()


def test_a_folder_that_is_none(tmp_path: Path, verdict: Verdict) -> None:
    (tmp_path / "file").touch()
    notices, whole = illustrate("gone.mp4", verdict, html=tmp_path / "file" / "x.html")
    assert ([notice.code for notice in notices], whole) == (["output_unwritable"], False)


def test_the_command(crowd: Path, model_path: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    words = ["detect", str(crowd), str(bad), "--model", str(model_path), "--json"]
    places = ["--html", str(tmp_path / "pages"), "--annotate", str(tmp_path / "films")]
    done = CliRunner().invoke(app, [*words, *places])
    assert done.exit_code == 3
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["status"] for line in lines] == ["completed", "failed"]
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == [
        "bad.mp4.html", "crowd.mp4.html",
    ]  # fmt: skip
    assert [path.name for path in (tmp_path / "films").iterdir()] == ["crowd.mp4.mp4"]


def test_a_page_that_could_not_be_written_is_told_by_the_exit_status(
    crowd: Path, model_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    words = ["detect", str(crowd), "--model", str(model_path)]
    done = CliRunner().invoke(app, [*words, "--html", str(tmp_path / "file" / "x.html")])
    assert done.exit_code == 3
    assert "output_unwritable" in done.stderr
    assert "person 1" in done.stdout
