"""Which face detector? Recall by face size, false alarms, roll, and milliseconds a picture.

    python benchmarks/faces.py --portraits DIR --clips DIR [--each 60]

Composites: a portrait (``manifest.csv`` with its face box, tar shards) is scaled until its face has
the wanted size, turned if asked, and laid into a 1280 x 720 photograph without people. A face
counts as found when the centre of a box lies within 0.3 of its size of the true one and the box is
0.5-2 times as large. Clips: sampled frames of real videos; a face is taken to be there where the
bundled detector and a rival, or both rivals, agree on it. One thread each; milliseconds are
processor time.
Without folders, the public-domain astronaut is the only portrait, and the clips are left out.
"""

from __future__ import annotations

import argparse
import csv
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from skimage import data

import material
from face_rivals import BlazeFace, CenterFace
from unmask.config import ClipSpec
from unmask.faces.align import roll_radians
from unmask.faces.libfacedetection import ROLL_GAIN, LibFaceDetection
from unmask.media import open_video, sample
from unmask.types import Face, UInt8Array

Detector = Callable[[UInt8Array], list[Face]]
Portrait = tuple[UInt8Array, tuple[float, float, float, float]]

SIZES_PX = (24, 32, 48, 64, 96, 128, 192, 256, 400)
ROLLS_DEG = (-60, -45, -30, -15, 0, 15, 30, 45, 60)
WIDTH, HEIGHT = 1280, 720


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--portraits", type=Path)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--each", type=int, default=60, help="composites a face size")
    parser.add_argument("--only", choices=["rolls"], help="roll by the network's view alone")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detectors: dict[str, Detector] = {
        f"libfacedetection {px}": LibFaceDetection(input_px=px) for px in (640, 480, 320)
    }
    detectors |= {"CenterFace 640": CenterFace(), "BlazeFace full 192": BlazeFace()}
    portraits = read_portraits(options.portraits, options.each)
    if options.only == "rolls":
        roll_by_view(portraits)
        return
    by_size(detectors, portraits, options.each)
    by_roll(detectors, portraits)
    false_alarms(detectors)
    speed(detectors, portraits)
    if options.clips:
        on_clips(detectors, options.clips)


def by_size(detectors: dict[str, Detector], portraits: Sequence[Portrait], each: int) -> None:
    """Recall (%) for every face size."""
    print(f"recall %, {each} composites a size, 1280 x 720; face size in px:")
    print(f"{'':20s}" + "".join(f"{size:6d}" for size in SIZES_PX))
    found: dict[str, list[float]] = {name: [] for name in detectors}
    for size in SIZES_PX:
        scenes = [composite(portraits[i % len(portraits)], size, 0, i) for i in range(each)]
        for name, detector in detectors.items():
            hits = [matching(detector(image), *truth) is not None for image, truth in scenes]
            found[name].append(100 * float(np.mean(hits)))
    for name, row in found.items():
        print(f"{name:20s}" + "".join(f"{value:6.0f}" for value in row))


def by_roll(detectors: dict[str, Detector], portraits: Sequence[Portrait]) -> None:
    """Recall, and how much of a tilt the keypoints show: slope of the seen over the true roll."""
    print("\nfaces of 128 px tilted in the picture's plane: recall % by degrees; slope within 30")
    print(f"{'':20s}" + "".join(f"{turn:6d}" for turn in ROLLS_DEG) + "  slope  error (deg)")
    count = min(40, len(portraits))
    scenes = {
        turn: [composite(portraits[i], 128, turn, i) for i in range(count)] for turn in ROLLS_DEG
    }
    for name, detector in detectors.items():
        faces = {t: [matching(detector(im), *tr) for im, tr in scenes[t]] for t in ROLLS_DEG}
        recall = [100 * float(np.mean([face is not None for face in faces[t]])) for t in ROLLS_DEG]
        pairs = [
            (t, np.degrees(roll_radians(one.keypoints_px) - roll_radians(straight.keypoints_px)))
            for t in (-30, -15, 15, 30)
            for one, straight in zip(faces[t], faces[0], strict=True)
            if one is not None and straight is not None
        ]
        true, seen = np.array(pairs, float).reshape(-1, 2).T
        slope = float(true @ seen / (true @ true))
        error = float(np.median(np.abs(seen - true)))
        print(f"{name:20s}" + "".join(f"{r:6.0f}" for r in recall) + f" {slope:6.2f} {error:8.1f}")


def roll_by_view(portraits: Sequence[Portrait]) -> None:
    """How much of a tilt libfacedetection's raw keypoints show, by the size that it sees."""
    print("face at the network's input, px; raw share of the true roll; correlation")
    for size, input_px in (
        (64, 640),
        (64, 1280),
        (128, 1280),
        (400, 640),
        (256, 1280),
        (400, 1280),
    ):
        detector, pairs = LibFaceDetection(input_px=input_px), []
        for number, portrait in enumerate(portraits):
            seen = {}
            for turn in (-30, -15, 0, 15, 30):
                image, truth = composite(portrait, size, turn, number)
                face = matching(detector(image), *truth)
                if face is not None:
                    seen[turn] = np.degrees(roll_radians(face.keypoints_px)) / ROLL_GAIN
            pairs += [(t, seen[t] - seen[0]) for t in seen if t and 0 in seen]
        true, found = np.array(pairs, float).T
        share, alike = true @ found / (true @ true), np.corrcoef(true, found)[0, 1]
        print(f"{size * input_px / WIDTH:6.0f} {share:8.2f} {alike:8.2f}")


def false_alarms(detectors: dict[str, Detector]) -> None:
    """Detections in pictures without people."""
    scenes = [background(i) for i in range(120)]
    print(f"\nfalse alarms in {len(scenes)} pictures without a human face")
    for name, detector in detectors.items():
        print(f"{name:20s} {sum(len(detector(scene)) for scene in scenes):4d}")


def speed(detectors: dict[str, Detector], portraits: Sequence[Portrait]) -> None:
    """Milliseconds of one core: the least of 15 looks."""
    hd, _ = composite(portraits[0], 256, 0, 0)
    sizes = {"640x360": (640, 360), "1280x720": (1280, 720), "1920x1080": (1920, 1080)}
    print("\nms a picture, one core" + "".join(f"{name:>12s}" for name in sizes))
    for name, detector in detectors.items():
        scaled = [np.asarray(cv2.resize(hd, size), np.uint8) for size in sizes.values()]
        row = [milliseconds(detector, image) for image in scaled]
        print(f"{name:22s}" + "".join(f"{value:12.1f}" for value in row))


def on_clips(detectors: dict[str, Detector], folder: Path) -> None:
    """Recall of the faces that two different networks agree on, over 4 frames a clip."""
    families = {name: name.split()[0] for name in detectors}
    there = 0
    hits = dict.fromkeys(detectors, 0)
    alone = dict.fromkeys(detectors, 0)
    frames = 0
    for path in sorted(folder.rglob("*.mp4")):
        with open_video(path) as video:
            for frame in sample(video, ClipSpec(frames=4)):
                frames += 1
                seen = {name: detector(frame.image) for name, detector in detectors.items()}
                for face, names in agreement(seen):
                    agreed = len({families[name] for name in names}) > 1
                    if agreed and face.size_px >= 24:
                        there += 1
                        for name in names:
                            hits[name] += 1
                    elif not agreed:
                        for name in names:
                            alone[name] += 1
    print(f"\nclips: {frames} frames, {there} faces >= 24 px that two networks agree on")
    print(f"{'':20s} recall %  found by this network alone")
    for name in detectors:
        print(f"{name:20s} {100 * hits[name] / max(1, there):8.1f} {alone[name]:6d}")


def agreement(seen: dict[str, list[Face]]) -> list[tuple[Face, set[str]]]:
    """Each distinct face of a picture with the names of all detectors that found it."""
    groups: list[tuple[Face, set[str]]] = []
    for name, faces in seen.items():
        for face in faces:
            box = np.array(face.box_xyxy_px)
            centre, size = (box[:2] + box[2:]) / 2, face.size_px
            group = next((g for g in groups if matching([g[0]], centre, size) is not None), None)
            if group is None:
                groups.append((face, {name}))
            else:
                group[1].add(name)
    return groups


def matching(faces: Sequence[Face], centre: np.ndarray, size_px: float) -> Face | None:
    """The first face whose box is where and as large as the true one."""
    for face in faces:
        box = np.array(face.box_xyxy_px)
        away = np.hypot(*((box[:2] + box[2:]) / 2 - centre))
        if away < 0.3 * size_px and 0.5 < face.size_px / size_px < 2:
            return face
    return None


def composite(
    portrait: Portrait, size_px: int, turn_deg: float, seed: int
) -> tuple[UInt8Array, tuple[np.ndarray, float]]:
    """A 1280 x 720 picture, and the centre and size of the face in it."""
    image, (x0, y0, x1, y1) = portrait
    rng = np.random.default_rng((seed, size_px))
    scale = size_px / max(x1 - x0, y1 - y0)
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    inset = 0.75 * size_px
    centre = np.array([rng.uniform(inset, WIDTH - inset), rng.uniform(inset, HEIGHT - inset)])
    if scale < 1:  # no warp shrinks cleanly
        side = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        image = np.asarray(cv2.resize(image, side, interpolation=cv2.INTER_AREA), np.uint8)
        middle, scale = (middle[0] * scale, middle[1] * scale), 1.0
    turn = cv2.getRotationMatrix2D(middle, -turn_deg, scale)  # ours counts clockwise
    move = np.asarray(turn, np.float64)
    move[:, 2] += centre - middle
    target = (WIDTH, HEIGHT)
    inside = cv2.warpAffine(np.full(image.shape[:2], 255, np.uint8), move, target)
    warped = cv2.warpAffine(image, move, target, borderMode=cv2.BORDER_REPLICATE)
    scene = background(seed)
    scene[inside > 127] = warped[inside > 127]
    return scene, (centre, float(size_px))


def background(seed: int) -> UInt8Array:
    """A cut of a photograph without people."""
    names = ("coffee", "rocket", "hubble_deep_field", "immunohistochemistry", "brick", "moon")
    rng = np.random.default_rng(seed)
    photo = getattr(data, names[seed % len(names)])()
    photo = np.repeat(photo[..., None], 3, -1) if photo.ndim == 2 else photo[..., :3]
    height, width = photo.shape[:2]
    w = int(min(width, height * WIDTH / HEIGHT) * rng.uniform(0.5, 1.0))
    h = int(w * HEIGHT / WIDTH)
    x, y = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
    cut = cv2.resize(photo[y : y + h, x : x + w], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(cut[:, ::-1] if rng.random() < 0.5 else cut)


def read_portraits(folder: Path | None, count: int) -> list[Portrait]:
    """Portraits with their face boxes, spread over the manifest."""
    if folder is None:
        return [(data.astronaut(), (165.0, 55.0, 283.0, 185.0))]
    rows = list(csv.DictReader((folder / "manifest.csv").open()))
    rows = rows[:: max(1, len(rows) // count)][:count]
    portraits: list[Portrait] = []
    for row in rows:
        with tarfile.open(folder / row["shard"]) as shard:
            image = material.tar_picture(shard, row["file"])
        x0, y0, x1, y1 = (float(row[key]) for key in ("x0", "y0", "x1", "y1"))
        portraits.append((image, (x0, y0, x1, y1)))
    return portraits


def milliseconds(detector: Detector, image: UInt8Array) -> float:
    """Least processor time of 15 looks."""
    times = []
    for _ in range(15):
        began = time.process_time()
        detector(image)
        times.append(time.process_time() - began)
    return 1e3 * min(times)


if __name__ == "__main__":
    main()
