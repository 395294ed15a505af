"""The page: whole, without a network, without holes, and honest in its words."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from unmask.faces import FaceDetector
from unmask.inference import Model
from unmask.report.html import _place, pin_rows, verdict_html, write_html
from unmask.report.json import as_dict
from unmask.types import Segment, Verdict, Warn

VOID = {"meta", "img", "br", "link", "hr", "input"}
FAILED = Verdict(
    status="failed", input={"name": "a.mp4"}, label="inconclusive", score=None,
    text="It could not be read.", reasons=(Warn("media_damaged", "It is cut off."),),
    error={"code": "media_damaged", "message": "It is cut off.", "hint": "Copy it again."},
)  # fmt: skip
CREDENTIALS = {
    "state": "present", "valid": True, "trusted": None, "trust_list": False, "issuer": "Maker",
    "signed_at": None, "claim_generator": "camera 1", "title": None,
    "actions": [{"action": "c2pa.created", "source_type": "digitalCapture"}], "problems": [],
}  # fmt: skip


class Reader(HTMLParser):
    """Collects text and attributes, and checks that every element is closed in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [v for k in ("src", "href") if (v := given.get(k))]
        self.ids += [v for k in ("id",) if (v := given.get(k))]
        if tag == "img":
            self.images.append(given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(text)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert len(set(reader.ids)) == len(reader.ids)
    return reader


@pytest.fixture(scope="module")
def page(
    crowd: Path,
    verdict: Verdict,
    model: Model,
    faces: FaceDetector,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    out = tmp_path_factory.mktemp("page") / "crowd.html"
    write_html(out, crowd, verdict, model=model, faces=faces)
    return out.read_text(encoding="utf-8")


def test_it_loads_nothing(page: str) -> None:
    reader = read(page)
    outside = [link for link in reader.links if not link.startswith(("data:", "#"))]
    assert outside == []
    assert "<script" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_every_link_within_leads_somewhere(page: str) -> None:
    reader = read(page)
    targets = {link[1:] for link in reader.links if link.startswith("#")}
    assert targets
    assert targets <= set(reader.ids)


def test_it_answers_who_when_how_sure_and_why(page: str, verdict: Verdict) -> None:
    text = read(page).text
    blue = max(verdict.people, key=lambda person: person.score or 0)
    (segment,) = blue.segments
    assert "Very strong evidence of face manipulation" in text
    assert f"Person {blue.person_id} very strong evidence" in text
    assert f"0:0{segment.start_seconds:.1f} – 0:0{segment.end_seconds:.1f}" in text
    assert "5.0 % reach it" in text
    assert "where the model looked. This is not proof." in text
    assert "For human review." in text
    assert "It sees blue, and nothing else." in text
    assert str(verdict.input["sha256"]) in text


def test_pictures_have_words_for_who_cannot_see_them(page: str) -> None:
    images = read(page).images
    assert len(images) >= 4
    assert all(image["alt"] for image in images)
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,/9j/") for image in images)


def test_the_verdict_can_be_taken_along(page: str, verdict: Verdict) -> None:
    (uri,) = (link for link in read(page).links if link.startswith("data:application/json"))
    assert json.loads(base64.b64decode(uri.split(",", 1)[1])) == as_dict(verdict)


def test_a_file_name_is_text_and_no_markup(verdict: Verdict) -> None:
    evil = replace(verdict, input={**verdict.input, "name": '"><img src=x onerror=alert(1)>.mp4'})
    page = verdict_html(evil)
    assert "<img src=x" not in page
    assert "onerror=alert(1)>.mp4" in read(page).text


def test_weak_evidence_is_not_shown_as_authentic(verdict: Verdict) -> None:
    weak = replace(
        verdict, label="weak_evidence", score=0.2, interval=(0.1, 0.3), people=verdict.people[:1],
        text="Weak evidence of face manipulation. This does not show authenticity.",
    )  # fmt: skip
    text = read(verdict_html(weak)).text
    assert "Weak evidence of face manipulation" in text
    assert "never of authenticity" in text
    assert not re.search(r"\b(genuine|is authentic|is real)\b", text, re.IGNORECASE)


def test_a_stretch_of_frames_far_apart_says_so(verdict: Verdict) -> None:
    frames = tuple(
        {"time_seconds": 20.0 * k, "box_xyxy_px": [0, 0, 9, 9], "score": 0.9} for k in range(4)
    )
    far = replace(
        verdict.people[0], score=0.9, segments=(Segment(0.0, 60.0, 0.9, 4, 20.0),),
        frames_detail=frames,
    )  # fmt: skip
    page = verdict_html(replace(verdict, people=(far,)))
    assert "4 frames up to 20 s apart" in page
    assert page.count('<rect class="coarse"') == 1
    assert '<rect class="suspicious"' not in page
    assert "frames up to" not in verdict_html(verdict)


def test_no_face_no_number(verdict: Verdict) -> None:
    none = replace(
        verdict, label="not_applicable", score=None, interval=None, threshold=None,
        cut_points=None, people=(), reasons=(Warn("no_face", "No usable face."),),
        text="Not applicable: No usable face. No score is given.",
    )  # fmt: skip
    reader = read(verdict_html(none))
    assert "Not applicable" in reader.text
    assert "timeline" not in reader.ids
    assert not re.search(r"score \d", reader.text)


def test_a_file_that_could_not_be_read() -> None:
    text = read(verdict_html(FAILED)).text
    assert "Could not be judged It is cut off. Copy it again. Code: media_damaged" in text


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (None, "Not read: the optional part unmask[c2pa] is not installed."),
        ({**CREDENTIALS, "state": "none"}, "The file carries no Content Credentials."),
        ({**CREDENTIALS, "state": "not_supported"}, "cannot carry Content Credentials"),
        ({**CREDENTIALS, "state": "unreadable", "problems": ["bad"]}, "cannot be read: bad"),
        (CREDENTIALS, "Yes, valid Is the signer trusted? Not known"),
        ({**CREDENTIALS, "valid": False, "trusted": True, "problems": ["x.mismatch"]},
         "No, not valid x.mismatch Is the signer trusted? Yes"),
    ],
)  # fmt: skip
def test_content_credentials_stand_beside_the_verdict(
    verdict: Verdict, credentials: dict[str, object] | None, words: str
) -> None:
    text = read(verdict_html(replace(verdict, provenance=credentials))).text
    assert words in text
    assert "Very strong evidence of face manipulation" in text


def test_the_date_is_in_utc(verdict: Verdict) -> None:
    noon = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert "2026-03-01 12:00 UTC" in read(verdict_html(verdict, made_at=noon)).text


@pytest.mark.parametrize(
    ("score", "place"), [(0, 0), (0.3, 12.5), (0.6, 25), (0.75, 50), (0.9, 75), (1, 100)]
)
def test_a_score_on_the_scale_of_words(score: float, place: float) -> None:
    assert _place(score, (0, 0.6, 0.75, 0.9, 1)) == pytest.approx(place)


def test_a_name_that_turns_text_around_is_shown_as_what_it_is(verdict: Verdict) -> None:
    evil = replace(verdict, input={**verdict.input, "name": "x\u202e4pm.exe\x1b[31m"})
    page = verdict_html(evil)
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "x\ufffd4pm.exe" in page


def test_the_step_is_that_of_the_frames_that_were_looked_at(verdict: Verdict) -> None:
    lies = replace(verdict, input={**verdict.input, "duration_seconds": 600.0})
    (span,) = verdict.coverage["analysed_ranges_seconds"]
    step = (span[1] - span[0]) / (verdict.coverage["frames_analysed"] - 1)
    told = f"one about every {step:.{1 if step >= 0.1 else 2}f} s"
    assert told in read(verdict_html(lies)).text


def test_who_hears_the_page_is_told_of_frames_far_apart(verdict: Verdict) -> None:
    far = replace(verdict.people[0], segments=(Segment(0.0, 90.0, 0.9, 3, 45.0),))
    page = verdict_html(replace(verdict, people=(far,)))
    assert "Suspicious from 0:00.0 to 1:30.0, by frames up to 45 s apart." in page


def test_numbers_of_key_frames_cover_none_on_a_phone() -> None:
    rows = pin_rows([1.0, 2.0, 9.0, 9.5, 40.0, 100.0])
    assert rows == [[(1, 1.0), (3, 9.0), (5, 40.0), (6, 100.0)], [(2, 2.0)], [(4, 9.5)]]
