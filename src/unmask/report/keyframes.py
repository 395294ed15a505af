"""The few frames of a video that its verdict leans on most, read again and drawn for a page.

Only the frames that are shown are decoded, and one at a time is held whole: what is kept are JPEGs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unmask.clips import STILL_SUFFIXES
from unmask.errors import MediaError
from unmask.faces import FaceDetector, align
from unmask.inference import Heatmap, Model, heatmap
from unmask.media import Limits, open_video, read_image
from unmask.types import BoxXyxy, Face, Frame, Person, UInt8Array, Verdict

MOST_FRAMES = 6
MOST_A_PERSON = 3
LONGEST_PX = 960
"""Longer side of a key frame on the page; larger ones are shrunk."""
CLOSE_UP_PX = 320
_QUALITY = 84
_SAME_FACE = 0.5  # least overlap (IoU) of a face with the box that the verdict has for it
_AS_GOOD = 0.05  # in score
_SAME_TIME_SECONDS = 0.002  # the verdict's times have passed through float32


@dataclass(frozen=True)
class Box:
    """One person in a key frame."""

    person_id: int
    box_xyxy_px: BoxXyxy
    score: float | None


@dataclass(frozen=True)
class CloseUp:
    """One person's face in a key frame, as the model saw it, and where it looked."""

    person_id: int
    score: float | None
    crop_jpeg: bytes
    heat_jpeg: bytes
    """The crop in grey with the map over it: the brighter, the more it mattered."""
    method: str
    """See `unmask.inference.Heatmap`."""


@dataclass(frozen=True)
class KeyFrame:
    """One frame with everybody who was found in it."""

    number: int
    """From 1, in time order."""
    time_seconds: float
    jpeg: bytes
    width_px: int
    """Of the frame that the boxes are in, before it was shrunk."""
    height_px: int
    boxes: tuple[Box, ...] = ()
    close_ups: tuple[CloseUp, ...] = ()


def key_frames(
    path: str | Path,
    verdict: Verdict,
    *,
    model: Model | None = None,
    faces: FaceDetector | None = None,
    most: int = MOST_FRAMES,
    limits: Limits | None = None,
) -> tuple[KeyFrame, ...]:
    """Read the frames again that speak loudest for each person; of a faceless video, a few.

    Args:
        path: the file that the verdict is about.
        verdict: its verdict.
        model: what gave it; with it (and ``faces``) every chosen face gets a close-up and a map.
        faces: finds the faces again, whose keypoints the verdict does not hold.
        most: frames in all.
        limits: as they were for the verdict.

    Returns:
        In time order; empty where the file cannot be read any more.
    """
    if verdict.status == "failed" or most < 1:
        return ()
    chosen = choose(verdict, most)
    found: list[KeyFrame] = []
    try:
        for time_seconds, frame in _read(Path(path), sorted(chosen), limits):
            seen = {person.person_id: at(person, time_seconds) for person in verdict.people}
            boxes = [box for box in seen.values() if box is not None]
            if verdict.people and abs(frame.pts_seconds - time_seconds) > _SAME_TIME_SECONDS:
                continue  # a damaged picture's neighbour: the boxes are not of this one
            wanted = [
                box
                for box in boxes
                if box.person_id in chosen[time_seconds] and box.score is not None
            ]  # a map of whom the verdict does not judge would be a judgement
            height, width = frame.image.shape[:2]
            found.append(
                KeyFrame(
                    number=len(found) + 1,
                    time_seconds=frame.pts_seconds,
                    jpeg=_jpeg(_shrunk(frame.image, LONGEST_PX)),
                    width_px=width,
                    height_px=height,
                    boxes=tuple(boxes),
                    close_ups=_close_ups(frame.image, wanted, model, faces),
                )
            )
    except MediaError:
        return tuple(found)
    return tuple(found)


def choose(verdict: Verdict, most: int) -> dict[float, list[int]]:
    """Times of the frames to show, each with the people that it was chosen for.

    A person's frames are those with the highest scores that lie well apart; of one who was not
    judged, the frame with the largest face. Who scores below the threshold gets one frame only, if
    somebody else lies above it.
    """
    if not verdict.people:
        spans = verdict.coverage.get("analysed_ranges_seconds") or [(0.0, 0.0)]
        start, end = spans[0][0], spans[-1][1]
        return {start + (end - start) * (k + 0.5) / 3: [] for k in range(min(3, most))}
    ranked = sorted(verdict.people, key=lambda person: -(person.score or 0.0))[:most]
    suspects = [p for p in ranked if (p.score or 0.0) >= (verdict.threshold or 0.0)] or ranked[:1]
    each = max(1, min(MOST_A_PERSON, (most - len(ranked)) // len(suspects) + 1))
    chosen: dict[float, list[int]] = {}
    for person in ranked:
        count = each if person in suspects else 1
        for time_seconds in _peaks(person, count, verdict.threshold or 0.0, set(chosen)):
            chosen.setdefault(time_seconds, []).append(person.person_id)
    return chosen


def at(person: Person, time_seconds: float) -> Box | None:
    """Where a person is at exactly this analysed time, or None."""
    for frame in person.frames_detail:
        if frame["time_seconds"] == time_seconds:
            x0, y0, x1, y1 = frame["box_xyxy_px"]
            return Box(person.person_id, (x0, y0, x1, y1), frame["score"])
    return None


def _peaks(person: Person, count: int, threshold: float, chosen: Collection[float]) -> list[float]:
    """Times of up to ``count`` frames; below the threshold only where none reaches it.

    A time that was chosen for somebody else is taken where it is about as good: one picture less.
    """
    frames = person.frames_detail
    if person.score is None:
        ordered = sorted(frames, key=lambda frame: -_area(frame["box_xyxy_px"]))[:1]
    else:
        bonus = dict.fromkeys(chosen, _AS_GOOD)
        judged = [frame for frame in frames if frame["score"] is not None]
        ordered = sorted(judged, key=lambda f: -f["score"] - bonus.get(f["time_seconds"], 0.0))
        above = [frame for frame in ordered if frame["score"] >= threshold]
        ordered = above or ordered
    apart = (frames[-1]["time_seconds"] - frames[0]["time_seconds"]) / 6 if frames else 0.0
    times: list[float] = []
    for frame in ordered:
        time = float(frame["time_seconds"])
        if all(abs(time - other) >= apart for other in times) and time not in times:
            times.append(time)
        if len(times) == count:
            break
    return times


def _read(
    path: Path, times_seconds: Sequence[float], limits: Limits | None
) -> Iterator[tuple[float, Frame]]:
    """Yield (wanted time, frame) for ascending times."""
    if path.suffix.lower() in STILL_SUFFIXES:
        frame = read_image(path, limits)
        yield from ((time, frame) for time in times_seconds[:1])
        return
    with open_video(path, limits) as video:
        seconds = video.timeline.seconds
        nearest = {int(np.argmin(np.abs(seconds - time))): time for time in times_seconds}
        ordinals = sorted(nearest)
        for place, frame in video.pick(ordinals, gap_seconds=np.inf):
            yield nearest[ordinals[place]], frame


def _close_ups(
    image: UInt8Array, boxes: Sequence[Box], model: Model | None, faces: FaceDetector | None
) -> tuple[CloseUp, ...]:
    if model is None or faces is None or not boxes:
        return ()
    found = faces(image)
    made = []
    for box in boxes:
        face = _same(found, box.box_xyxy_px)
        if face is None:
            continue
        crop = align(image, face, model.spec.size_px, model.spec.margin)
        where = heatmap(model, crop)
        made.append(
            CloseUp(
                box.person_id,
                box.score,
                _jpeg(_enlarged(crop)),
                _jpeg(_overlaid(crop, where)),
                where.method,
            )
        )
    return tuple(made)


def _same(faces: Sequence[Face], box: BoxXyxy) -> Face | None:
    best = max(faces, key=lambda face: _overlap(face.box_xyxy_px, box), default=None)
    return best if best and _overlap(best.box_xyxy_px, box) >= _SAME_FACE else None


def _overlap(one: BoxXyxy, other: BoxXyxy) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlaid(crop: UInt8Array, where: Heatmap) -> UInt8Array:
    large = _enlarged(crop)
    size = (CLOSE_UP_PX, CLOSE_UP_PX)
    values = np.clip(cv2.resize(where.values, size, interpolation=cv2.INTER_CUBIC), 0, 1)
    grey = np.repeat(cv2.cvtColor(large, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    bgr = cv2.applyColorMap((values * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = 0.75 * np.sqrt(values)[..., None]  # what did not matter stays a plain grey picture
    mixed = grey * 0.8 * (1 - share) + bgr[..., ::-1] * share
    return np.asarray(mixed.round(), np.uint8)


def _enlarged(crop: UInt8Array) -> UInt8Array:
    size = (CLOSE_UP_PX, CLOSE_UP_PX)
    how = cv2.INTER_CUBIC if len(crop) < CLOSE_UP_PX else cv2.INTER_AREA
    return np.asarray(cv2.resize(crop, size, interpolation=how), np.uint8)


def _shrunk(image: UInt8Array, longest_px: int) -> UInt8Array:
    height, width = image.shape[:2]
    scale = longest_px / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(image: UInt8Array) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    made, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not made:
        raise ValueError(f"no JPEG could be made of {image.shape}")
    return content.tobytes()
