import dataclasses

import cv2
import numpy as np
import pytest

from make_media import FACE_CENTRE_XY, FACE_SIDE_PX, gradient_frames, portrait_frames
from unmask.config import ClipSpec
from unmask.faces import align, extract, load_detector
from unmask.faces.align import roll_radians
from unmask.faces.extract import Gathering
from unmask.faces.track import Tracker, describe
from unmask.types import Crop, Face, Frame, UInt8Array

DETECTOR = load_detector()
SPEC = ClipSpec(frames=8, size_px=96)


def _portrait(face_px: float, turn_deg: float = 0.0, side: int = 480) -> UInt8Array:
    """The portrait with its face of ``face_px`` in the middle, turned."""
    from skimage.data import astronaut

    scale = face_px / FACE_SIDE_PX
    move = cv2.getRotationMatrix2D(FACE_CENTRE_XY, turn_deg, scale)
    move[:, 2] += np.array([side / 2, side / 2]) - FACE_CENTRE_XY
    return cv2.warpAffine(
        astronaut(), move, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )


def _frames(images: list[UInt8Array]) -> list[Frame]:
    return [Frame(image, float(number), number) for number, image in enumerate(images)]


@pytest.mark.parametrize("face_px", [24, 40, 80, 160, 300])
def test_a_face_is_found_at_every_size(face_px: float) -> None:
    face = DETECTOR(_portrait(face_px))[0]
    x0, y0, x1, y1 = face.box_xyxy_px
    assert abs((x0 + x1) / 2 - 240) < 0.25 * face_px
    assert abs((y0 + y1) / 2 - 240) < 0.25 * face_px
    assert 0.7 < face.size_px / face_px < 1.4
    eyes, mouth = face.keypoints_px[:2], face.keypoints_px[3:]
    assert eyes[0, 0] < eyes[1, 0]
    assert eyes[:, 1].max() < mouth[:, 1].min()


def test_nothing_is_found_where_there_is_no_face() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    scenes = [noise, np.zeros((64, 64, 3), np.uint8), *gradient_frames(4, 320, 180)]
    assert all(DETECTOR(scene) == [] for scene in scenes)


def test_a_crop_by_true_keypoints_stands_upright_whatever_the_tilt() -> None:
    """The picture is turned about its middle, and so are the straight face's box and keypoints."""
    straight, tilted = _portrait(160), _portrait(160, turn_deg=20)
    face = DETECTOR(straight)[0]
    move = cv2.getRotationMatrix2D((240, 240), 20, 1.0)
    keypoints = (face.keypoints_px @ move[:, :2].T + move[:, 2]).astype(np.float32)
    x0, y0, x1, y1 = face.box_xyxy_px
    x, y = move @ np.array([(x0 + x1) / 2, (y0 + y1) / 2, 1])
    half_x, half_y = (x1 - x0) / 2, (y1 - y0) / 2
    turned = Face((x - half_x, y - half_y, x + half_x, y + half_y), keypoints, 1.0)
    upright, again = (
        align(i, f, 96, 1.15).astype(float) for i, f in ((straight, face), (tilted, turned))
    )
    assert np.abs(upright - again)[8:88, 8:88].mean() < 4


@pytest.mark.parametrize("turn_deg", [-25, -15, 15, 25])
def test_the_roll_of_a_tilted_face_is_mostly_seen(turn_deg: float) -> None:
    keypoints = DETECTOR(_portrait(160, turn_deg=turn_deg))[0].keypoints_px
    seen = -np.degrees(roll_radians(keypoints)) / turn_deg  # OpenCV turns anticlockwise
    assert 0.4 < seen < 1.2


def test_a_moving_face_stays_one_track() -> None:
    frames = _frames(list(portrait_frames(40, 480, 270, seed=3)))[::5]
    extraction = extract(frames, SPEC, DETECTOR)
    assert len(extraction.tracks) == 1
    assert len(extraction.tracks[0].crops) == extraction.frames_with_face == 8
    assert extraction.tracks[0].crops[0].image.shape == (96, 96, 3)


def test_two_people_stay_two_tracks_over_a_gap() -> None:
    """The second person is the first one darkened and mirrored; three frames show nobody."""
    one = _portrait(120, side=300)
    other = (one[:, ::-1] * np.array([0.5, 0.6, 0.8])).astype(np.uint8)
    empty = next(gradient_frames(1, 600, 300))
    images = [np.hstack([one, other])] * 4 + [empty] * 3 + [np.hstack([one, other])] * 4
    tracks = extract(_frames(images), SPEC, DETECTOR).tracks
    assert len(tracks) == 2
    assert [len(track.crops) for track in tracks] == [8, 8]
    for track in tracks:
        sides = [crop.face.box_xyxy_px[0] < 300 for crop in track.crops]
        assert sides == [sides[0]] * 8


def test_a_face_below_the_minimum_is_told_and_not_used() -> None:
    extraction = extract(_frames([_portrait(40)]), ClipSpec(min_face_px=64), DETECTOR)
    assert extraction.tracks == ()
    assert extraction.frames_with_face == 0
    assert [warning.code for warning in extraction.warnings] == ["face_below_minimum"]


@pytest.mark.parametrize(("confidences", "tracks"), [((0.58, 0.62, 0.6), 0), ((0.55, 0.7), 1)])
def test_a_track_that_is_never_sure_is_a_false_alarm(
    confidences: tuple[float, ...], tracks: int
) -> None:
    tracker = Tracker()
    picture = _portrait(90, side=96)
    for index, confidence in enumerate(confidences):
        face = Face((10, 10, 90, 90), np.zeros((5, 2), np.float32), confidence)
        tracker.update([Crop(picture, index / 2, index, face)])
    found = tracker.tracks()
    assert [len(track.crops) for track in found] == [len(confidences)] * tracks


def test_people_beyond_the_most_prominent_are_told() -> None:
    picture = _portrait(90, side=96)
    people = Gathering(dataclasses.replace(SPEC, max_faces=2))
    for index in range(8):
        faces = [
            Face((x, 10, x + size, 10 + size), np.float32([(x + 20, 30)] * 5), 0.9)
            for x, size in ((10, 90), (300, 80), (600, 70), (900, 60))[: 3 if index else 4]
        ]
        chosen = people.choose(faces, 1000, 200)
        people.add(
            chosen, [np.roll(picture, 17 * k, 1) for k in range(len(chosen))], index / 2, index
        )
    found = people.result()
    assert len(found.tracks) == 2
    assert found.frames_with_face == 8
    (warning,) = found.warnings  # the one who showed once is not counted
    assert (warning.code, "2 most prominent (1)" in warning.message) == ("people_left_out", True)


def test_detections_too_uncertain_to_be_a_face_are_none() -> None:
    def unsure(image: np.ndarray) -> list[Face]:
        return [dataclasses.replace(face, confidence=0.6) for face in DETECTOR(image)]

    extraction = extract(_frames([_portrait(160)] * 4), SPEC, unsure)
    assert (extraction.tracks, extraction.frames_with_face) == ((), 0)


@pytest.mark.parametrize(("shown_px", "used"), [(480, 1), (330, 1), (260, 0), (235, 0)])
def test_a_face_that_the_edge_cuts_off_is_told_and_not_used(shown_px: int, used: int) -> None:
    """The face is 160 px high around 240: at 260 its mouth is below the edge, at 235 its nose."""
    image = _portrait(160)[:shown_px]
    assert DETECTOR(image)
    extraction = extract(_frames([image] * 3), SPEC, DETECTOR)
    assert len(extraction.tracks) == used
    assert extraction.frames_with_face == 3 * used
    assert [w.code for w in extraction.warnings] == ([] if used else ["face_cut_off"])


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    face = DETECTOR(_portrait(300))[0]
    crop = align(stripes, face, 32, 1.15)
    assert np.abs(crop.astype(int) - 127).max() < 40


def test_another_speaker_at_the_same_place_is_another_track() -> None:
    """As after a cut: A for four frames, B for four, and A again."""
    speaker = _portrait(90, side=96)
    other = (255 - speaker[::-1] // 2).astype(np.uint8)
    tracker = Tracker()
    face = Face((10, 10, 90, 90), np.zeros((5, 2), np.float32), 0.9)
    for index, picture in enumerate([speaker] * 4 + [other] * 4 + [speaker] * 4):
        tracker.update([Crop(picture, 2.0 * index, index, face)])
    assert [len(track.crops) for track in tracker.tracks()] == [8, 4]


def _someone(size: float, x: float = 10) -> Face:
    points = np.full((5, 2), (x + size / 2, 10 + size / 2), np.float32)
    return Face((x, 10, x + size, 10 + size), points, 0.9)


def _like(picture: UInt8Array, correlation: float) -> UInt8Array:
    """Another picture, mixed with this one until they are so much alike."""
    other, low, high = picture[::-1].astype(float), 0.0, 1.0
    for _ in range(20):
        share = (low + high) / 2
        mixed = (picture * (1 - share) + other * share).round().astype(np.uint8)
        alike = float(describe(picture) @ describe(mixed))
        low, high = (share, high) if alike > correlation else (low, share)
    assert alike == pytest.approx(correlation, abs=0.01)
    return mixed


@pytest.mark.parametrize(
    ("correlation", "seconds", "x", "size", "tracks"),
    [
        (0.6, 2.0, 10, 80, 1),
        (0.6, 2.0, 10 + 80 * 1.3, 80, 2),  # too far
        (0.6, 2.0, 10, 170, 2),  # too large
        (0.8, 2.0, 900, 200, 1),  # as after a cut, but the same face
        (0.425, 2.0, 10, 80, 1),  # time enough to turn the head
        (0.425, 0.5, 10, 80, 2),
    ],
)
def test_how_much_alike_a_face_must_be(
    correlation: float, seconds: float, x: float, size: float, tracks: int
) -> None:
    """Depends on how far it moved, how much it grew and how long it had for both."""
    picture, tracker = _portrait(90, side=96), Tracker()
    tracker.update([Crop(picture, 0.0, 0, _someone(80))])
    face = _someone(size, x=x)
    tracker.update([Crop(_like(picture, correlation), seconds, 1, face)])
    assert len(tracker.tracks()) == tracks


def test_two_who_look_alike_in_one_frame_are_two() -> None:
    picture, tracker = _portrait(90, side=96), Tracker()
    for index in range(4):
        faces = [_someone(80), _someone(80, x=100)][: 1 if index in (0, 3) else 2]
        tracker.update([Crop(picture, index / 2, index, face) for face in faces])
    frames = [[crop.frame_index for crop in track.crops] for track in tracker.tracks()]
    assert frames == [[0, 1, 2, 3], [1, 2]]
    places = {crop.face.box_xyxy_px[0] for crop in tracker.tracks()[0].crops}
    assert places == {10}


def test_one_strange_look_does_not_make_a_track_forget_its_face() -> None:
    """A hand before the face, say: the same face is at once itself again."""
    picture, tracker = _portrait(90, side=96), Tracker()
    strange = _like(picture, 0.5)
    for index, image in enumerate([picture] * 3 + [strange] + [_like(picture, 0.98)]):
        face = _someone(80, x=10 if index < 4 else 700)  # after a cut to another framing
        tracker.update([Crop(image, index / 2, index, face)])
    assert [len(track.crops) for track in tracker.tracks()] == [5]


def test_who_shows_longer_is_more_prominent_than_who_is_larger() -> None:
    picture, tracker = _portrait(90, side=96), Tracker()
    for index in range(6):
        crops = [Crop(picture, index / 2, index, _someone(60))]
        if index == 5:
            crops.append(Crop(255 - picture[::-1], index / 2, index, _someone(90, x=400)))
        tracker.update(crops)
    assert [len(track.crops) for track in tracker.tracks()] == [6, 1]


def test_what_is_not_used_is_counted_over_all_frames() -> None:
    people = Gathering(dataclasses.replace(SPEC, min_face_px=40))
    for _ in range(3):
        found = [_someone(39.9), _someone(40), _someone(80, x=990)]
        assert people.choose(found, 1000, 200) == [found[1]]
    messages = {warning.code: warning.message for warning in people.result().warnings}
    assert "edge cuts off (3)" in messages["face_cut_off"]
    assert "smaller than 40 px (3)" in messages["face_below_minimum"]


def test_people_who_show_in_a_quarter_of_the_frames_are_told() -> None:
    picture = _portrait(90, side=96)
    people = Gathering(dataclasses.replace(SPEC, max_faces=1))
    for index in range(8):
        faces = [_someone(80), _someone(60, x=400)][: 1 + (index < 2)]
        images = [picture, 255 - picture[::-1]][: len(faces)]
        people.add(faces, images, index / 2, index)
    assert [warning.code for warning in people.result().warnings] == ["people_left_out"]


def test_the_largest_face_comes_first_and_each_lies_in_the_picture() -> None:
    small, large = _portrait(60, side=200), _portrait(150, side=200)
    for picture in (np.hstack([small, large]), np.hstack([large, small])):
        sizes = [face.size_px for face in DETECTOR(picture)]
        assert len(sizes) == 2
        assert sizes[0] > 1.5 * sizes[1]


def test_beyond_the_edge_a_crop_is_mirrored() -> None:
    """No black corner tells a model where a face was."""
    bright = np.full((100, 100, 3), 200, np.uint8)
    assert align(bright, _someone(90, x=-30), 64, 1.5).min() >= 199
