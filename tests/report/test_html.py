"""The page: whole, without a network, without holes, and honest in its words."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path

import pytest

from unmask.faces import FaceDetector
from unmask.inference import Model
from unmask.media import Limits
from unmask.report.html import _place, pin_rows, verdict_html, write_html
from unmask.report.json import as_dict
from unmask.report.keyframes import Box, CloseUp, KeyFrame
from unmask.types import Person, Segment, Verdict, Warn

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
        self.places: list[tuple[str, str]] = []
        self.labels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [v for k in ("src", "href") if (v := given.get(k))]
        self.ids += [v for k in ("id",) if (v := given.get(k))]
        if tag == "img":
            self.images.append(given)
        if style := given.get("style"):
            self.places.append((given.get("class") or tag, style))
        self.labels += [v for k in ("aria-label",) if (v := given.get(k))]
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


TWO = Verdict(
    "completed",
    {"name": "a.mp4", "size_bytes": 1_834_230, "width_px": 1080, "height_px": 1920,
     "duration_seconds": 10.0, "container": "mp4", "codec": "h264"},
    "very_strong_evidence", 0.95, "Very strong evidence.",
    calibrated=True, interval=(0.66, 0.98), threshold=0.6, expected_bpcer=0.05,
    expected_apcer=0.2, cut_points=(0.75, 0.9),
    coverage={"frames_decoded": 40, "frames_analysed": 21, "frames_with_face": 13,
              "partial": True, "analysed_ranges_seconds": [[0.0, 10.0]]},
    people=(
        Person(1, "inconclusive", None, 1, 30.0, reasons=(Warn("too_few_frames", "Only 1."),)),
        Person(2, "weak_evidence", 0.3, 3, 55.4, frames_detail=(
            {"time_seconds": 1.0, "box_xyxy_px": [10, 20, 110, 170], "score": 0.2},
            {"time_seconds": 2.0, "box_xyxy_px": [10, 20, 110, 170], "score": None},
        )),
        Person(
            3, "very_strong_evidence", 0.95, 9, 142.4, (Segment(2.0, 4.5, 0.93, 9, 0.5),),
            frames_detail=(
                {"time_seconds": 1.0, "box_xyxy_px": [500, 20, 600, 170], "score": 0.4},
                {"time_seconds": 3.0, "box_xyxy_px": [500, 20, 600, 170], "score": 0.97},
                {"time_seconds": 4.0, "box_xyxy_px": [500, 20, 600, 170], "score": 0.5},
            ),
            interval=(0.7, 0.96), seen_ranges_seconds=((1.0, 4.5), (6.0, 7.0)),
        ),
    ),
    reasons=(Warn("too_few_frames", "Person 1 shows in 1 frame."),),
    warnings=(Warn("several_people", "The highest of 3 decided."),),
)  # fmt: skip
"""Numbers that are all different."""


def shots() -> tuple[KeyFrame, ...]:
    boxes = [Box(2, (10, 20, 110, 170), 0.2), Box(3, (500, 20, 600, 170), 0.4)]
    close_ups = [
        [CloseUp(2, 0.2, b"two", b"", "occlusion"), CloseUp(3, 0.4, b"low", b"", "occlusion")],
        [CloseUp(3, 0.97, b"high", b"", "occlusion")],
    ]
    return (
        KeyFrame(1, 1.0, b"", 1080, 1920, tuple(boxes), tuple(close_ups[0])),
        KeyFrame(2, 3.0, b"", 1080, 1920, (replace(boxes[1], score=0.97),), tuple(close_ups[1])),
    )


def test_every_number_stands_beside_its_name() -> None:
    text = read(verdict_html(TWO, shots())).text
    for words in (
        "of the authentic files that it was fitted on, 5.0 % reach it",
        "of manipulated ones 20.0 % stay below",
        "Authentic files of the fit at or above it 5.0 %",
        "Manipulated files of the fit below it 20.0 %",
        "Frames decoded 40 Frames analysed 21 Frames with a face 13",
        "21 frames were looked at , one about every 0.5 s ; 13 of them show a face",
        "never away for longer than 2 s",
        "Whole file readable no",
        "The file is damaged",
        "Person 1 shows in 1 frame. too_few_frames",
        "The highest of 3 decided. several_people",
        "Only 1. too_few_frames",
        "1080 × 1920 px",
        "1.8 MB (1,834,230 bytes)",
        "Suspicious 0:02.0 – 0:04.5 (mean 0.93 )",
        "in 9 frames : 0:01.0 – 0:04.5 , 0:06.0 – 0:07.0",
        "Face 142 px",
        "1 · at 0:01.0 · Person 2 0.20 · Person 3 0.40",
        "2 · at 0:03.0 · Person 3 0.97",
        "is the score's interval, 0.66 to 0.98",
        "Key frame 2 , 0:03.0 · score 0.97",
        "how far the logit of the frame fell",
    ):
        assert words.replace(" ", "") in text.replace(" ", ""), words
    assert "never calibrated" not in text
    whole = replace(TWO, calibrated=False, coverage={**TWO.coverage, "partial": False})
    text = read(verdict_html(whole)).text
    assert "The model was never calibrated: its score is no probability." in text
    assert "Whole file readable yes" in text
    assert "damaged" not in text


def test_whoever_scores_highest_comes_first_with_the_highest_close_up() -> None:
    reader = read(verdict_html(TWO, shots()))
    assert [i for i in reader.ids if i.startswith("person-")] == [
        "person-3",
        "person-2",
        "person-1",
    ]
    crops = [i for i in reader.images if (i["alt"] or "").startswith("Face of person")]
    found = [(i["alt"] or "").split(",")[0].removeprefix("Face of ") for i in crops]
    assert found == [
        "person 3 in key frame 2",
        "person 3 in key frame 1",
        "person 2 in key frame 1",
    ]
    contents = [base64.b64decode((i["src"] or "").partition(",")[2]) for i in crops]
    assert contents == [b"high", b"low", b"two"]
    told = [label for label in reader.labels if label.startswith("Person")]
    assert told == [
        "Person 3: 9 frames. Highest score 0.97 at 0:03.0. Suspicious from 0:02.0 to 0:04.5.",
        "Person 2: 3 frames. Highest score 0.20 at 0:01.0.",
        "Person 1: 1 frame.",
    ]  # fmt: skip


def test_marks_lie_where_their_numbers_say() -> None:
    page = verdict_html(TWO, shots())
    reader = read(page)
    assert [place for kind, place in reader.places if kind == "a"] == ["left:10.0%", "left:30.0%"]
    assert ("marker right", "left:87.5%") in reader.places
    assert ("interval", "left:35.0%;width:60.0%") in reader.places
    assert [place for kind, place in reader.places if kind == "cut"] == [
        "left:25%", "left:50%", "left:75%",
    ]  # fmt: skip
    assert "0.60 0.75 0.90" in reader.text
    assert page.count('<path class="limit" d="M0 40.0H100"/>') == 2
    assert page.count('<path class="left-out" d="M20.00 0v6"/>') == 1
    assert page.count('x="500" y="20" width="100" height="150"') == 4  # each box and its halo
    assert re.findall('class="zone (\\w+) on"', page) == ["very_strong_evidence"]
    bare = read(verdict_html(replace(TWO, interval=None)))
    assert ("interval", "left:87.5%;width:0.0%") in bare.places


def test_no_score_has_no_place_on_the_scale() -> None:
    people = TWO.people[:1]
    reader = read(verdict_html(replace(TWO, score=None, label="inconclusive", people=people)))
    assert "marker" not in {kind for kind, _ in reader.places}


@pytest.mark.parametrize(
    ("score", "words"), [(0.999, "score over 0.99"), (0.0001, "score under 0.01")]
)
def test_the_page_rounds_nothing_to_certainty(score: float, words: str) -> None:
    assert words in read(verdict_html(replace(TWO, score=score, interval=None))).text


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
        (CREDENTIALS, "Yes, valid Is the signer trusted? Not known No list of trusted signers"),
        ({**CREDENTIALS, "trusted": False, "trust_list": True}, "trusted? No By the list"),
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
    noon = datetime(2026, 3, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))
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


def test_of_a_file_without_a_length_the_number_stands_in_the_middle() -> None:
    seen = {"time_seconds": 0.0, "box_xyxy_px": [1, 2, 30, 40], "score": None}
    person = Person(1, "inconclusive", None, 1, 100.0, frames_detail=(seen,))
    picture = Verdict("completed", {}, "inconclusive", None, "Too few frames.", people=(person,))
    page = verdict_html(picture, [KeyFrame(1, 0.0, b"", 96, 96)])
    assert 'aria-label="Key frame 1" style="left:50.0%"' in page


def test_the_limits_of_the_verdict_hold_when_its_file_is_read_again(
    crowd: Path, verdict: Verdict, tmp_path: Path
) -> None:
    """A file that grew meanwhile must not fill the memory now."""
    shown = []
    for limits in (None, Limits(max_pixels=800 * 400 - 1)):
        write_html(tmp_path / "crowd.html", crowd, verdict, limits=limits)
        shown.append('id="frame-1"' in (tmp_path / "crowd.html").read_text(encoding="utf-8"))
    assert shown == [True, False]


def test_numbers_of_key_frames_cover_none_on_a_phone() -> None:
    rows = pin_rows([1.0, 2.0, 9.0, 9.5, 40.0, 100.0])
    assert rows == [[(1, 1.0), (3, 9.0), (5, 40.0), (6, 100.0)], [(2, 2.0)], [(4, 9.5)]]
