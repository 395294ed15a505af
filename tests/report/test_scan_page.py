"""The tables and the page of a scan, from results as `unmask scan` writes them."""

from __future__ import annotations

import base64
import copy
import csv
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from unmask.report import as_dict
from unmask.report.scan_page import MAX_ROWS, Reason, ScanSummary, thumbnail_path, write_page
from unmask.report.scan_table import rows_of, suspicious_seconds, write_csv
from unmask.report.thumbnail import SIDE_PX, Onlooker
from unmask.types import Face, Person, Segment, Verdict

SHA = "ab" * 32


def result(path: str = "/in/a.mp4", score: float | None = 0.8, **changes: Any) -> dict[str, Any]:
    people = (
        Person(1, "strong_evidence", 0.8, 4, 90.0, segments=(Segment(1.0, 3.0, 0.9, 4, 0.5),),
               frames_detail=({"time_seconds": 0.4, "box_xyxy_px": [40, 20, 80, 70], "score": 0.9},
                              {"time_seconds": 0.0, "box_xyxy_px": [0, 0, 9, 9], "score": 0.1})),
        Person(1, "weak_evidence", 0.2, 4, 60.0, segments=(Segment(2.5, 4.0, 0.7, 4, 0.5),)),
    )  # fmt: skip
    verdict = Verdict(
        status="completed", input={"name": Path(path).name, "sha256": SHA},
        label="inconclusive" if score is None else "strong_evidence", score=score, text="",
        interval=None if score is None else (0.7, 0.9), people=people,
    )  # fmt: skip
    uri = Path(path).as_uri()
    tree = as_dict(verdict) | {"file": {"path": path, "uri": uri, "duplicates": []}}
    return copy.deepcopy(tree) | changes


def summary(**changes: Any) -> ScanSummary:
    facts: dict[str, Any] = {
        "files": 1, "duplicates": 0, "skipped": 0, "labels": {"strong_evidence": 1}, "failed": 0,
        "reasons": (), "model": {"name": "m", "version": "1", "weights_sha256": SHA},
        "limitations": (),
    }  # fmt: skip
    return ScanSummary(**(facts | changes))


class Reader(HTMLParser):
    """Checks that tags close, and collects links, pictures and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.words = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)
        if tag == "a":
            self.links.append(facts["href"] or "")
        if tag == "img":
            assert facts["alt"]
            self.pictures.append(facts["src"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f" {data}"


def page_of(folder: Path, facts: ScanSummary, *results: dict[str, Any]) -> Reader:
    write_page(folder / "index.html", facts, results, ["results.csv"])
    return Reader((folder / "index.html").read_text("utf-8"))


def test_time_that_two_people_share_counts_once() -> None:
    assert suspicious_seconds(result()) == 3.0
    assert suspicious_seconds(result(people=[])) == 0.0


def test_a_copy_has_a_row_of_its_own(tmp_path: Path) -> None:
    tree = result()
    tree["file"]["duplicates"] = [{"path": '/in/b\n,".mp4', "uri": "file:///in/b%0A%2C%22.mp4"}]
    write_csv(tmp_path / "t.csv", rows_of(tree))
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["path"], first["duplicate_of"]) == ("/in/a.mp4", "")
    assert (second["path"], second["duplicate_of"]) == ('/in/b\n,".mp4', "/in/a.mp4")
    assert (second["score"], second["suspicious_seconds"], second["people"]) == ("0.8", "3.0", "2")


def test_the_page_says_what_the_results_say(tmp_path: Path) -> None:
    thumbnail = thumbnail_path(tmp_path, SHA)
    thumbnail.parent.mkdir(parents=True)
    thumbnail.touch()
    reasons = (Reason("media_empty", "/in/e.mp4 is empty.", 2, ("/in/e.mp4", "/in/f.mp4")),)
    page = page_of(
        tmp_path, summary(files=3, duplicates=1, skipped=2, failed=2, reasons=reasons),
        result(str(tmp_path / "in" / "a b#.mp4")),
    )  # fmt: skip
    assert page.links == ["results.csv", "in/a%20b%23.mp4"]
    assert page.pictures == [f"thumbnails/ab/{SHA[2:32]}.jpg"]
    words = " ".join(page.words.split())
    assert "1 further file is a copy of these." in words
    assert "2 files are no media and were skipped." in words
    assert "strong evidence 0.80 [0.70, 0.90] 3.0 s 2" in words
    assert "media_empty 2 /in/e.mp4 is empty." in words


def test_names_are_text_and_turn_nothing_around(tmp_path: Path) -> None:
    evil = '<img src=x onerror=alert(1)>\u202e\x1b[31m".mp4'
    page = page_of(tmp_path, summary(), result("/in/" + evil))
    assert '<img src=x onerror=alert(1)>\ufffd\ufffd[31m".mp4' in page.words
    assert "\u202e" not in page.words


def test_only_the_script_of_the_page_may_run(tmp_path: Path) -> None:
    page_of(tmp_path, summary(), result())
    text = (tmp_path / "index.html").read_text("utf-8")
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    assert "addEventListener" in script
    (allowed,) = re.findall("script-src '(.*?)'", text)
    digest = hashlib.sha256(script.encode()).digest()
    assert allowed == "sha256-" + base64.b64encode(digest).decode()


def test_a_page_has_an_end(tmp_path: Path) -> None:
    page = page_of(tmp_path, summary(files=MAX_ROWS + 1), result(score=None))
    assert f"The {MAX_ROWS} files with the highest scores of {MAX_ROWS + 1}" in page.words


class Scripted:
    """A face detector that finds what it was told to."""

    name = "scripted"

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self._boxes = iter(boxes)

    def __call__(self, image: np.ndarray) -> list[Face]:
        return [Face(next(self._boxes), np.zeros((5, 2), np.float32), 0.9)]


def look_at_greys(onlooker: Onlooker) -> None:
    for grey in (40, 120, 200):
        onlooker(np.full((120, 400, 3), grey, np.uint8))


def test_a_thumbnail_shows_the_highest_frame_with_its_box(tmp_path: Path) -> None:
    onlooker = Onlooker(Scripted((0, 0, 9, 9), (40.04, 19.98, 80, 70), (200, 20, 250, 70)))
    look_at_greys(onlooker)
    assert onlooker.write_thumbnail(result(), tmp_path / "small.jpg")
    small = cv2.imread(str(tmp_path / "small.jpg"))
    assert small.shape == (58, SIDE_PX, 3)
    assert small[5, 100].mean() == pytest.approx(120, abs=4)
    scale = SIDE_PX / 400
    edge = small[round(45 * scale), round(40 * scale) - 2 : round(40 * scale) + 3]
    assert edge.max() > 200


def test_without_a_face_it_is_the_first_frame_and_without_a_frame_none(tmp_path: Path) -> None:
    onlooker = Onlooker(Scripted(*[(0.0, 0.0, 9.0, 9.0)] * 3))
    assert not onlooker.write_thumbnail(result(people=[]), tmp_path / "small.jpg")
    look_at_greys(onlooker)
    assert onlooker.write_thumbnail(result(people=[]), tmp_path / "small.jpg")
    small = cv2.imread(str(tmp_path / "small.jpg"))
    assert small.mean() == pytest.approx(40, abs=4)
    onlooker.forget()
    assert not onlooker.write_thumbnail(result(people=[]), tmp_path / "other.jpg")


def test_what_a_score_cannot_be_read_without_stands_beside_it(tmp_path: Path) -> None:
    tree = result()
    tree["coverage"]["partial"] = True
    tree["warnings"] = [
        {"code": "several_people", "message": "The highest of 2 decided."},
        {"code": "hdr_tone_not_mapped", "message": "Colours may be pale."},
    ]
    tree["people"][0]["segments"][0]["longest_step_seconds"] = 112.0
    words = page_of(tmp_path, summary(), tree).words
    assert "The file is damaged" in words
    assert "The highest of 2 decided." in words
    assert "Colours may be pale." not in words
    assert "frames up to 112 s apart" in words


def test_a_score_does_not_read_like_the_threshold_that_it_misses(tmp_path: Path) -> None:
    tree = result(score=0.6976)
    tree["verdict"] |= {"interval": None, "threshold": 0.6985, "label": "weak_evidence"}
    assert "0.698" in page_of(tmp_path, summary(), tree).words
