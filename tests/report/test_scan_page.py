"""The tables and the page of a scan, from results as `unmask scan` writes them."""

from __future__ import annotations

import base64
import copy
import csv
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from unmask.report import as_dict, scan_files
from unmask.report.scan_files import EXAMPLES, write_results
from unmask.report.scan_page import MAX_ROWS, Reason, ScanSummary, thumbnail_path, write_page
from unmask.report.scan_report import ScanReport
from unmask.report.scan_table import rows_of, suspicious_seconds, write_csv
from unmask.report.thumbnail import SIDE_PX, Onlooker
from unmask.types import Face, Person, Segment, Verdict

SHA = "ab" * 32
MISREAD = ("frames_left_out", "not_calibrated", "people_left_out", "shorter_than_header")


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
    spans = [(2.0, 3.0), (1.0, 5.0), (4.0, 6.0)]  # one lies within another
    segments = [{"start_seconds": start, "end_seconds": end} for start, end in spans]
    assert suspicious_seconds(result(people=[{"segments": segments}])) == 5.0


def test_a_copy_has_a_row_of_its_own(tmp_path: Path) -> None:
    tree = result()
    tree["file"]["duplicates"] = [{"path": '/in/b\n,".mp4', "uri": "file:///in/b%0A%2C%22.mp4"}]
    write_csv(tmp_path / "t.csv", rows_of(tree))
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["path"], first["duplicate_of"]) == ("/in/a.mp4", "")
    assert (second["path"], second["duplicate_of"]) == ('/in/b\n,".mp4', "/in/a.mp4")
    assert (second["score"], second["suspicious_seconds"], second["people"]) == ("0.8", "3.0", "2")


def told() -> dict[str, Any]:
    """A result whose values are all different."""
    tree = result()
    tree["verdict"] |= {
        "threshold": 0.6, "calibrated": False,
        "reasons": [{"code": "few", "message": "Few frames."}] * 2,
    }  # fmt: skip
    tree["warnings"] = [{"code": "dark", "message": "Dark."}, {"code": "hdr", "message": "Pale."}]
    tree["coverage"] |= {
        "frames_decoded": 90, "frames_analysed": 12, "frames_with_face": 7, "partial": True,
    }  # fmt: skip
    tree["input"] |= {
        "size_bytes": 1234, "codec": "h264", "width_px": 640, "height_px": 360,
        "duration_seconds": 4.5, "frame_rate": 29.97,
    }  # fmt: skip
    tree["runtime"]["seconds"] = 1.6
    return tree


def failed(
    path: str, code: str = "media_empty", message: str = "Empty.", hint: str = "Copy it."
) -> dict[str, Any]:
    tree = result(path, None, people=[], status="failed")
    return tree | {"error": {"code": code, "message": message, "hint": hint}}


def test_every_column_holds_what_it_is_called(tmp_path: Path) -> None:
    tree = told()
    tree["file"]["duplicates"] = [{"path": "/in/b.mp4", "uri": "file:///in/b.mp4"}]
    write_csv(tmp_path / "t.csv", [*rows_of(tree), *rows_of(failed("/in/e.mp4"))])
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        first, copied, empty = csv.DictReader(file)
    assert first == {
        "path": "/in/a.mp4", "status": "completed", "label": "strong_evidence", "score": "0.8",
        "interval_low": "0.7", "interval_high": "0.9", "threshold": "0.6", "calibrated": "false",
        "people": "2", "suspicious_seconds": "3.0", "frames_analysed": "12",
        "frames_with_face": "7", "partial": "true", "reasons": "few", "warnings": "dark hdr",
        "error_code": "", "error_message": "", "duplicate_of": "", "size_bytes": "1234",
        "sha256": SHA, "codec": "h264", "width_px": "640", "height_px": "360",
        "duration_seconds": "4.5", "frame_rate": "29.97", "seconds": "1.6",
        "uri": "file:///in/a.mp4",
    }  # fmt: skip
    own = {"path": "/in/b.mp4", "uri": "file:///in/b.mp4", "duplicate_of": "/in/a.mp4"}
    assert copied == first | own | {"seconds": ""}
    assert [empty[name] for name in ("status", "score", "error_code", "error_message")] == [
        "failed", "", "media_empty", "Empty.",
    ]  # fmt: skip


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


def test_a_row_says_what_was_found_or_why_nothing_was(tmp_path: Path) -> None:
    facts = summary(files=3, labels={"strong_evidence": 2}, failed=1, limitations=("No stills.",))
    weak = result(score=0.0)
    weak["verdict"] |= {"label": "weak_evidence", "interval": None}
    page = page_of(tmp_path, facts, told(), weak, failed("/in/e.mp4"))
    words = " ".join(page.words.split())
    assert "2 strong evidence 1 failed" in words
    assert "strong evidence Few frames. Few frames. The file is damaged" in words
    assert "3.0 s 2 7 of 12 4.5 s" in words
    assert "failed Empty. [media_empty]" in words
    assert "No stills." in words
    text = (tmp_path / "index.html").read_text("utf-8")
    rows = [dict(re.findall(r'data-(\w+)="(.*?)"', row)) for row in re.findall("<tr data.*", text)]
    assert [row["rank"] for row in rows] == ["5", "3", "-1"]
    assert [row["score"] for row in rows] == ["0.8", "0.0", "-1"]
    assert [row["label"] for row in rows] == ["strong_evidence", "weak_evidence", "failed"]
    assert [row["suspicious"] for row in rows] == ["3.0", "3.0", "0.0"]
    assert [rows[0][name] for name in ("people", "faces", "length")] == ["2", "7", "4.5"]
    assert re.findall('style="width:(.*?)%"', text) == ["80.0", "0.0"]


def test_only_what_is_called_media_can_be_opened_from_the_page(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.MP4", "b.html", "c.svg", "d.JPG")]
    page = page_of(tmp_path, summary(), *map(result, paths))
    assert page.links == ["results.csv", "a.MP4", "d.JPG"]


def test_of_many_copies_and_failures_some_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    tree = result()
    tree["file"]["duplicates"] = [{"path": f"/in/{k}.mp4"} for k in range(23)]
    reasons = (Reason("media_empty", "Empty.", 9, ("/in/e.mp4", "/in/f.mp4")),)
    words = page_of(tmp_path, summary(failed=9, reasons=reasons), tree).words
    assert "/in/19.mp4" in words
    assert "/in/20.mp4" not in words
    assert "and 3 more" in words
    assert "and 7 more" in words


def test_a_scan_leaves_every_result_and_shows_the_highest_first(tmp_path: Path) -> None:
    found = [
        failed("/in/0.mp4", "media_damaged", "Cut off."), result("/in/1.mp4", None),
        result("/in/2.mp4", 0.2), result("/in/3.mp4", 0.9),
        *[failed(f"/in/e{k}.mp4", message=f"{k} is empty.") for k in range(EXAMPLES + 1)],
    ]  # fmt: skip
    tally = write_results(
        tmp_path, len(found), lambda place: found[place], duplicates=4, skipped=5,
        model={"name": "m", "version": "1", "weights_sha256": SHA}, limitations=(),
    )  # fmt: skip
    lines = (tmp_path / "results.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == found
    assert tally.labels == {"inconclusive": 1, "strong_evidence": 2}
    assert tally.failed == EXAMPLES + 2
    assert [(reason.code, reason.files) for reason in tally.reasons] == [
        ("media_empty", EXAMPLES + 1), ("media_damaged", 1),
    ]  # fmt: skip
    assert tally.reasons[0].message == "0 is empty. Copy it."
    assert tally.reasons[0].examples == tuple(f"/in/e{k}.mp4" for k in range(EXAMPLES))
    text = (tmp_path / "index.html").read_text("utf-8")
    paths = re.findall('<tr data-path="(.*?)"', text)
    assert paths[:4] == ["/in/3.mp4", "/in/2.mp4", "/in/1.mp4", "/in/0.mp4"]
    assert "4 further files are copies" in text
    assert "5 files are no media" in text


def test_a_page_that_cannot_hold_all_holds_the_highest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_files, "MAX_ROWS", 2)
    scores = [0.1, 0.9, 0.5, 0.7]
    write_results(
        tmp_path, 4, lambda place: result(f"/in/{place}.mp4", scores[place]), duplicates=0,
        skipped=0, model={"name": "m", "version": "1", "weights_sha256": SHA}, limitations=(),
    )  # fmt: skip
    text = (tmp_path / "index.html").read_text("utf-8")
    assert re.findall('<tr data-path="(.*?)"', text) == ["/in/1.mp4", "/in/3.mp4"]


def test_the_summary_of_a_scan_counts_what_was_done_now_and_before() -> None:
    reason = Reason("media_empty", "a\x1b[2Jb is empty.", 2, ())
    report = ScanReport(
        out=Path("out"), paths=14, skipped=3, files=10, duplicates=1, judged=6, failed=2,
        labels={"weak_evidence": 8}, reasons=(reason,), seconds=2.0004, written=("results.csv",),
    )  # fmt: skip
    assert report.summary().splitlines() == [
        "out: 10 files; 6 judged now in 2.0 s (3.0/s), 4 before",
        "        8 weak evidence",
        "        1 copies of these files, judged with them",
        "        3 other files skipped: no media",
        "  see results.csv",
        "        2 failed:",
        "        2 media_empty  e.g. a\ufffd[2Jb is empty.",
    ]
    tree = replace(report, seconds=2.3456).to_dict()
    assert (tree["seconds"], tree["out"]) == (2.346, "out")


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
    tree = result()
    tree["people"].reverse()
    tree["people"][0]["frames_detail"] = [
        {"time_seconds": 0.8, "box_xyxy_px": [200, 20, 250, 70], "score": 0.99}
    ]
    assert onlooker.write_thumbnail(tree, tmp_path / "small.jpg")
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
        *[{"code": code, "message": code.upper()} for code in MISREAD],
        {"code": "hdr_tone_not_mapped", "message": "Colours may be pale."},
    ]
    tree["people"][0]["segments"][0]["longest_step_seconds"] = 112.0
    words = page_of(tmp_path, summary(), tree).words
    assert "The file is damaged" in words
    assert "The highest of 2 decided." in words
    assert all(code.upper() in words for code in MISREAD)
    assert "Colours may be pale." not in words
    assert "frames up to 112 s apart" in words


def test_a_score_does_not_read_like_the_threshold_that_it_misses(tmp_path: Path) -> None:
    tree = result(score=0.6976)
    tree["verdict"] |= {"interval": None, "threshold": 0.6985, "label": "weak_evidence"}
    assert "0.698" in page_of(tmp_path, summary(), tree).words
    tree["verdict"] |= {"score": 0.5, "interval": [0.4, 0.6976]}
    assert "0.500 [0.400, 0.698]" in " ".join(page_of(tmp_path, summary(), tree).words.split())
