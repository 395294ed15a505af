"""Rows of the table on detection: speed, start-up, memory, length."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from crops import judging
from detect import decode, peak_mib
from measure import Cost, Figure, Row, ratio, rounds
from options import Options
from unmask.inference import Model
from unmask.verbs.detect import bundled_model, detect, open_faces, open_model

LITE, BASE = "unmask-lite", "unmask-base"
CROPS = 32
_DETECT = "detect, 1080p 10 s, 32 frames"
_DECODING = "decoding the same file"


def detect_row(options: Options) -> Row:
    """The detector that ships against decoding alone."""
    return _detect("detect", "the detector that ships", open_model(bundled_model()), options)


def detect_lite_row(options: Options) -> Row:
    """The detector for scans."""
    return _detect("detect-lite", LITE, open_model(LITE), options)


def crops_row(options: Options) -> Row:
    """Crops a second of the detector for scans; beside it the larger one and the default."""
    names = [LITE, BASE, bundled_model()]
    works = {name: judging(open_model(name), CROPS) for name in names}
    costs = rounds(works, options.repeat)
    wall, processor = _a_second(costs[names[0]])
    note = "; ".join(f"{name}: {_a_second(costs[name])[0].value:.0f}" for name in names[1:])
    what = f"face crops that {names[0]} judges in a second, all cores"
    return Row("crops", what, "", ">=", 100, "crops/s", wall, processor, note)


def _a_second(costs: list[Cost]) -> tuple[Figure, Figure]:
    """Crops a second by the wall, and by processor time as if every core were free."""
    cores = len(os.sched_getaffinity(0))
    each = ([CROPS / c.wall for c in costs], [cores * CROPS / c.processor for c in costs])
    wall, processor = (Figure(max(part), min(part), max(part)) for part in each)
    return wall, processor


def _detect(name: str, words: str, model: Model, options: Options) -> Row:
    path, faces = options.video(1080, 10), open_faces()
    costs = rounds(
        {"limit": lambda: decode(path), "what": lambda: detect(path, model=model, faces=faces)},
        options.repeat,
    )
    wall, processor = ratio(costs["what"], costs["limit"])
    return Row(name, f"{_DETECT}, {words}", _DECODING, "<=", 1.5, "x", wall, processor)


def rival_row(options: Options) -> Row:
    """The usual pipeline against the detector that ships."""
    row = Row(
        "rival",
        f"{_DETECT}, how many times as fast",
        "OpenCV, MTCNN on 32 frames, ResNeXt50 at 112 px in torch (random weights)",
        ">=",
        7,
    )
    try:
        from rival import usual_pipeline  # with torch, which the other rows do without

        usual = usual_pipeline()
    except ImportError as error:
        return replace(row, note=str(error))
    path, model, faces = options.video(1080, 10), open_model(bundled_model()), open_faces()
    costs = rounds(
        {"what": lambda: detect(path, model=model, faces=faces), "rival": lambda: usual(path)},
        min(options.repeat, 3),  # it is slow
    )
    wall, processor = ratio(costs["rival"], costs["what"])
    return replace(row, wall=wall, processor=processor)


def start_row(options: Options) -> Row:
    """How long until `--help`, and whether torch is loaded by `detect`."""
    words = {
        "limit": [sys.executable, "-c", "import numpy"],
        "what": [sys.executable, "-m", "unmask", "--help"],
    }
    runs = {
        name: lambda command=command: subprocess.run(command, check=True, capture_output=True)
        for name, command in words.items()
    }
    wall, processor = _twice_as_often(runs, options)
    code = (
        "import atexit, sys; from unmask.cli import main; "
        "atexit.register(lambda: sys.stderr.write('TORCH' * ('torch' in sys.modules))); "
        f"sys.argv = ['unmask', 'detect', {str(options.video(360, 1))!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    light = b"TORCH" not in done.stderr
    note = "" if light else "detect loads torch"
    what = "`unmask --help`; no torch in `unmask detect`"
    return Row(
        "start", what, '`python -c "import numpy"`', "<=", 3, "x", wall, processor, note, light
    )


def _twice_as_often(
    runs: Mapping[str, Callable[[], object]], options: Options
) -> tuple[Figure, Figure]:
    costs = rounds(runs, 2 * options.repeat)
    return ratio(costs["what"], costs["limit"])


def memory_4k_row(options: Options) -> Row:
    """Peak memory by the size of the picture."""
    return _memory("memory-4k", "2160p 10 s", options.video(2160, 10), options)


def memory_hour_row(options: Options) -> Row:
    """Peak memory by length."""
    return _memory("memory-hour", "480p 1 hour", options.video(480, 3600), options)


def _memory(name: str, words: str, path: Path, options: Options) -> Row:
    model, small = Path(bundled_model()), options.video(480, 10)
    pairs = [(peak_mib(path, model), peak_mib(small, model)) for _ in range(min(options.repeat, 2))]
    figure = Figure.of([large / least for large, least in pairs])
    note = f"{max(large for large, _ in pairs):.0f} MiB"
    what = f"peak memory of `unmask detect`, {words}"
    return Row(name, what, "480p 10 s", "<=", 3, "x", figure, note=note)


def hour_row(options: Options) -> Row:
    """An hour against a minute."""
    model, faces = open_model(bundled_model()), open_faces()
    short, long = options.video(480, 60), options.video(480, 3600)
    costs = rounds(
        {
            "what": lambda: detect(long, model=model, faces=faces),
            "limit": lambda: detect(short, model=model, faces=faces),
        },
        min(options.repeat, 3),
    )
    wall, processor = ratio(costs["what"], costs["limit"])
    return Row("hour", "detect, 480p 1 hour", "480p 1 minute", "<=", 6, "x", wall, processor)
