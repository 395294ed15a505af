"""What does `unmask detect` cost beside decoding the same file, and where do the seconds go?

    python benchmarks/detect.py [--media DIR] [--repeat 5]
        [--only speed,startup,memory,length,rival]

Media and untrained models are made into DIR (default bench_media) on the first call. Every ratio is
between the least of interleaved runs in this very call, so that a busy machine slows both sides;
processor seconds are printed beside, since they hardly depend on what else runs. The rival is in
rival.py.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import av
import numpy as np

import material
from measure import least, print_costs, rounds
from unmask.config import ClipSpec
from unmask.faces import align, load_detector
from unmask.inference import Model, load_model
from unmask.inference.precision import Precision
from unmask.media import open_video, sample
from unmask.verbs.detect import detect

MODELS: tuple[tuple[str, Precision], ...] = (
    ("lite0", "fp32"),
    ("vit", "fp32"),
    ("vit", "fp16"),
    ("vit", "int8"),
)
FRAMES = 32


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
        works[f"detect, {name}"] = partial(detect, path, model=model, faces=faces)
    costs = rounds(works, repeat)
    print(f"\n{path.name}, {FRAMES} frames, {os.cpu_count()} cores: least of {repeat}")
    print_costs(costs, "decode only")
    shares(path, models)


def shares(path: Path, models: Mapping[str, Model]) -> None:
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
        looks = rounds({"model": partial(single.logits, clips, mask)}, 3)
        judging = least(looks["model"]).processor
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
    print_costs(rounds(runs, 2 * repeat), "import numpy")


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
    print_costs(rounds(works, repeat), "480p, 1 minute")


def rival(folder: Path, repeat: int) -> None:
    """The usual pipeline of the field on the same file."""
    path = material.video(folder, 1920, 1080, 10)
    model = load_model(material.detector(folder, "vit"))
    if not repeat:
        return
    from rival import usual_pipeline  # with torch, which the other questions do without

    try:
        usual = usual_pipeline()
    except ImportError as error:
        print(f"\nrival left out: {error}")
        return
    works = {
        "unmask detect, vit": lambda: detect(path, model=model),
        "usual pipeline": lambda: usual(path),
    }
    repeat = min(repeat, 2)  # it is slow, and the distance is wide
    print(f"\nthe usual pipeline: OpenCV, MTCNN, ResNeXt50 at 112 px; least of {repeat}")
    print_costs(rounds(works, repeat), "unmask detect, vit")


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


if __name__ == "__main__":
    main()
