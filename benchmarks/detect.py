"""What does `unmask detect` cost beside decoding the same file, and where do the seconds go?

    python benchmarks/detect.py [--media DIR] [--repeat 5]
        [--only speed,startup,memory,length,rival]

Media and untrained models are made into DIR (default bench_media) on the first call. Every ratio is
between the least of interleaved runs in this very call, so that a busy machine slows both sides;
processor seconds are printed beside, since they hardly depend on what else runs. The rival (OpenCV,
MTCNN of the package facenet-pytorch, ResNeXt50 in torch, random weights) runs where that package is
installed: pip install --no-deps facenet-pytorch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np

import material
from unmask.config import ClipSpec
from unmask.faces import align, load_detector
from unmask.inference import load_model
from unmask.media import open_video, sample
from unmask.verbs.detect import detect

MODELS = (("lite0", "fp32"), ("vit", "fp32"), ("vit", "fp16"), ("vit", "int8"))
FRAMES = 32
Cost = tuple[float, float]  # wall and processor seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--media", type=Path, default=Path("bench_media"))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="speed,startup,memory,length,rival")
    parser.add_argument("--make", action="store_true", help="make the media and models, no more")
    options = parser.parse_args()
    parts = {
        "speed": speed,
        "startup": startup,
        "memory": memory,
        "length": length,
        "rival": rival,
    }
    for name in options.only.split(","):
        parts[name](options.media, 0 if options.make else options.repeat)


def speed(folder: Path, repeat: int) -> None:
    """1080p, 10 s, 32 frames: detect against decoding, and the shares of its parts."""
    path = material.video(folder, 1920, 1080, 10)
    files = [material.detector(folder, *kind) for kind in MODELS]
    if not repeat:
        return
    models = {file.stem: load_model(file) for file in files}
    faces = load_detector()
    works: dict[str, Callable[[], object]] = {"decode only": lambda: decode(path)}
    for name, model in models.items():
        works[f"detect, {name}"] = lambda model=model: detect(path, model=model, faces=faces)
    costs = interleaved(works, repeat)
    print(f"\n{path.name}, {FRAMES} frames, {os.cpu_count()} cores: least of {repeat}")
    table(costs, "decode only")
    shares(path, models)


def shares(path: Path, models: dict[str, object]) -> None:
    """Processor time of every part alone, in one thread."""
    spec = ClipSpec(frames=16, clips=2, size_px=168)
    detector = load_detector()
    began = time.process_time()
    with open_video(path, threads=1) as video:
        frames = list(sample(video, spec))
    decoding = time.process_time() - began
    began = time.process_time()
    found = [detector(frame.image) for frame in frames]
    finding = time.process_time() - began
    began = time.process_time()
    for frame, faces in zip(frames, found, strict=True):
        for face in faces:
            align(frame.image, face, spec.size_px, spec.margin)
    cropping = time.process_time() - began
    del frames
    print("\nprocessor seconds of the parts, one thread each, and their shares of detect")
    for name, model in models.items():
        size = model.spec.size_px
        clips = np.random.default_rng(0).integers(0, 256, (2, 16, size, size, 3), dtype=np.uint8)
        mask = np.ones((2, 16), bool)
        single = load_model(path.parent / f"{name}.onnx", threads=1)
        single.logits(clips, mask)
        judging = min(cost(lambda s=single, c=clips, m=mask: s.logits(c, m))[1] for _ in range(3))
        row = {"decode": decoding, "faces": finding, "crop": cropping, "model": judging}
        total = sum(row.values())
        words = (f"{part} {value:.2f} ({value / total:.0%})" for part, value in row.items())
        print(f"{name:12s} total {total:.2f}: " + ", ".join(words))


def startup(folder: Path, repeat: int) -> None:
    """How long until something happens, against importing NumPy."""
    path = material.video(folder, 640, 360, 1)
    model = material.detector(folder, "lite0")
    if not repeat:
        return
    unmask = [sys.executable, "-m", "unmask"]
    works = {
        "import numpy": [sys.executable, "-c", "import numpy"],
        "unmask --help": [*unmask, "--help"],
        "unmask detect, 1 s": [*unmask, "detect", str(path), "--model", str(model)],
    }
    runs = {
        name: lambda words=words: subprocess.run(words, check=True, capture_output=True)
        for name, words in works.items()
    }
    print(f"\nstart-up: least of {2 * repeat}")
    table(interleaved(runs, 2 * repeat, children=True), "import numpy")


def memory(folder: Path, repeat: int) -> None:
    """Peak memory of the command in a process of its own."""
    model = material.detector(folder, "lite0")
    clips = {
        "480p, 10 s": material.video(folder, 854, 480, 10),
        "1080p, 10 s": material.video(folder, 1920, 1080, 10),
        "2160p, 10 s": material.video(folder, 3840, 2160, 10),
        "480p, 1 hour": material.video(folder, 854, 480, 3600),
    }
    if not repeat:
        return
    print("\npeak memory of detect (lite0)")
    least = 0.0
    for name, path in clips.items():
        peak = peak_mib(path, model)
        least = least or peak
        print(f"{name:20s} {peak:7.0f} MiB  x{peak / least:.2f}")


def length(folder: Path, repeat: int) -> None:
    """An hour against a minute."""
    model = load_model(material.detector(folder, "lite0"))
    short, long = (material.video(folder, 854, 480, seconds) for seconds in (60, 3600))
    if not repeat:
        return
    works = {
        "480p, 1 minute": lambda: detect(short, model=model),
        "480p, 1 hour": lambda: detect(long, model=model),
    }
    print(f"\nlength: least of {repeat}")
    table(interleaved(works, repeat), "480p, 1 minute")


def rival(folder: Path, repeat: int) -> None:
    """The usual pipeline of the field on the same file."""
    path = material.video(folder, 1920, 1080, 10)
    model = load_model(material.detector(folder, "vit"))
    if not repeat:
        return
    try:
        usual = usual_pipeline()
    except ImportError as error:
        print(f"\nrival left out: {error}")
        return
    works = {
        "unmask detect, vit": lambda: detect(path, model=model),
        "usual pipeline": lambda: usual(path),
    }
    rounds = min(repeat, 2)  # it is slow, and the distance is wide
    print(f"\nthe usual pipeline: OpenCV, MTCNN, ResNeXt50 at 112 px; least of {rounds}")
    table(interleaved(works, rounds), "unmask detect, vit")


def usual_pipeline() -> Callable[[Path], float]:
    """Decode every frame, find faces with MTCNN on 32 of them, score crops with ResNeXt50."""
    import torch
    from facenet_pytorch import MTCNN
    from torchvision.models import resnext50_32x4d

    torch.set_num_threads(os.cpu_count() or 1)
    finder, network = MTCNN(keep_all=True), resnext50_32x4d(weights=None, num_classes=1).eval()

    def run(path: Path) -> float:
        capture = cv2.VideoCapture(str(path))
        frames = []
        while True:
            read, frame = capture.read()
            if not read:
                break
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        crops = []
        for index in np.linspace(0, len(frames) - 1, FRAMES).astype(int):
            boxes, _ = finder.detect(frames[index])
            for x0, y0, x1, y1 in [] if boxes is None else boxes.astype(int).clip(0):
                crops.append(cv2.resize(frames[index][y0:y1, x0:x1], (112, 112)))
        batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            return float(network(batch).mean())

    return run


def decode(path: Path) -> None:
    """Every picture, with as many decoder threads as detect uses; nothing is converted."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = os.cpu_count() or 1
        stream.codec_context.thread_type = "AUTO"
        for _ in container.decode(stream):
            pass


def peak_mib(path: Path, model: Path) -> float:
    """Peak resident memory of ``unmask detect`` on one file, as Linux counts it.

    A parent's ru_maxrss would not do: a child starts with what the parent had.
    """
    code = (
        "import atexit, sys; from unmask.cli import main; "
        "atexit.register(lambda: sys.stderr.write(open('/proc/self/status').read())); "
        f"sys.argv = ['unmask', 'detect', {str(path)!r}, '--model', {str(model)!r}]; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    peak = next(line for line in done.stderr.decode().splitlines() if line.startswith("VmHWM"))
    return float(peak.split()[1]) / 1024


def cost(work: Callable[[], object], *, children: bool = False) -> Cost:
    """Wall and processor seconds of one call."""

    def processor() -> float:
        times = os.times()
        own = times.user + times.system
        return times.children_user + times.children_system if children else own

    wall, before = time.perf_counter(), processor()
    work()
    return time.perf_counter() - wall, processor() - before


def interleaved(
    works: dict[str, Callable[[], object]], repeat: int, *, children: bool = False
) -> dict[str, Cost]:
    """Least wall and least processor seconds over ``repeat`` rounds of all works."""
    costs: dict[str, list[Cost]] = {name: [] for name in works}
    for _ in range(repeat):
        for name, work in works.items():
            costs[name].append(cost(work, children=children))
    return {name: (min(w for w, _ in c), min(p for _, p in c)) for name, c in costs.items()}


def table(costs: dict[str, Cost], base: str) -> None:
    """Print walls, processor times, and both as multiples of the base's."""
    print(f"{'':24s} {'wall s':>7s} {'ratio':>6s} {'cpu s':>7s} {'ratio':>6s}")
    for name, (wall, cpu) in costs.items():
        ratios = wall / costs[base][0], cpu / costs[base][1]
        print(f"{name:24s} {wall:7.2f} {ratios[0]:6.2f} {cpu:7.2f} {ratios[1]:6.2f}")


if __name__ == "__main__":
    main()
