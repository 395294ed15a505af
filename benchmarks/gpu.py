"""Every figure that needs a GPU, in one call, beside its target.

    python benchmarks/gpu.py --out results.json [--media DIR]
        [--only decode,prepare,loop,epochs,inference,memory] [--device cuda] [--repeat 3]

Media and stores are made by the script; models have random weights, which changes no timing. Rival
and candidate alternate in this very call, the least of each counts. ``--device cpu --quick`` walks
through the same code at a tiny size, so that a test can hold the script to work; rows that only a
GPU can fill then say so.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import gpu_media
from train_loop import make_store, make_trainer
from unmask.config import ClipSpec, TrainConfig, load
from unmask.device import walk
from unmask.device.choice import Wanted, missing_gpu
from unmask.device.picture import DeviceConverter
from unmask.faces import load_detector
from unmask.files import write_json
from unmask.machine import usable_cores
from unmask.media import open_video, sample
from unmask.media.hardware import cuda_accelerator
from unmask.media.sample import sample_as
from unmask.models import build
from unmask.training.environment import describe_environment
from unmask.training.fit import fit
from unmask.training.monitor import Monitor
from unmask.verbs.prepare import prepare

LEAST, MOST = "at least", "at most"


@dataclass(frozen=True)
class Row:
    """One line of the table of issue 6."""

    what: str
    against: str
    target: str
    value: float | None
    """None where this machine cannot say."""
    unit: str
    met: bool | None
    note: str = ""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    decode: tuple[tuple[int, int, int], ...]
    """Width, height and seconds of the videos."""
    prepare: tuple[int, int, int]
    files: int
    clips: int
    frames: int
    side_px: int
    batch: int
    epochs: int
    steps: int
    backbone: str
    hidden: int


FULL = Size(
    decode=tuple(
        (width, height, seconds)
        for width, height in ((854, 480), (1280, 720), (1920, 1080), (3840, 2160))
        for seconds in (2, 10, 30)
    ),
    prepare=(1920, 1080, 10),
    files=64,
    clips=240,
    frames=16,
    side_px=160,
    batch=8,
    epochs=25,
    steps=150,
    backbone="resnet50",
    hidden=256,
)
QUICK = Size(
    decode=((160, 96, 1), (320, 192, 1)),
    prepare=(320, 180, 1),
    files=6,
    clips=8,
    frames=2,
    side_px=48,
    batch=2,
    epochs=1,
    steps=2,
    backbone="test_resnet",
    hidden=8,
)


class Bench:
    """What the parts share."""

    def __init__(self, device: torch.device, size: Size, repeat: int, media: Path) -> None:
        self.device, self.size, self.repeat, self.media = device, size, repeat, media
        self.on_gpu = device.type == "cuda"

    # ---------------------------------------------------------------- media

    def decode(self) -> Iterator[Row]:
        """From which amount of pixels on NVDEC beats all cores, over resolution and length."""
        spec = ClipSpec(frames=16)
        cells = []
        for width, height, seconds in self.size.decode:
            path = gpu_media.video(self.media, width, height, seconds)
            costs = self.least(
                {
                    "cpu": partial(decode_on_cpu, path, spec),
                    "device": partial(decode_on, self.device, path, spec),
                }
            )
            ratio = costs["cpu"] / costs["device"]
            cells.append((width * height * seconds * gpu_media.FPS / 1e6, ratio))
            yield Row(
                f"decode 16 frames of {height}p, {seconds} s",
                f"CPU, all {usable_cores()} cores: {costs['cpu'] * 1e3:.0f} ms",
                "-",
                ratio,
                "times as fast",
                None,
                f"{self.device}: {costs['device'] * 1e3:.0f} ms, {cells[-1][0]:.0f} megapixels",
            )
        pays = crossover(cells)
        note = "PAYS_FROM_MEGAPIXELS in src/unmask/device/choice.py"
        if not self.on_gpu:
            pays, note = None, "needs a GPU"
        elif pays is None:
            note = "the GPU was slower at the largest size: leave the constant at None"
        yield Row("crossover", "CPU, all cores", "measured", pays, "megapixels", None, note)

    def prepare(self) -> Iterator[Row]:
        """A folder of videos into a store."""
        folder = gpu_media.dataset(self.media, *self.size.prepare, self.size.files)
        spec = ClipSpec()
        cores = usable_cores()
        works: dict[str, Callable[[], object]] = {
            f"cpu, {cores} workers": lambda: prepare_with("cpu", folder, spec, cores)
        }
        if self.on_gpu:
            for workers in (1, 2, 4):
                works[f"gpu, {workers} workers"] = partial(
                    prepare_with, "cuda", folder, spec, workers
                )
        else:
            works["device cpu, one process"] = lambda: walk_all(folder, spec, self.device)
        costs = self.least(works)
        rival, *others = costs
        best = min(others, key=lambda name: costs[name])
        ratio = costs[rival] / costs[best]
        listed = ", ".join(f"{name}: {seconds:.1f} s" for name, seconds in costs.items())
        yield Row(
            f"GPU prepare, {self.size.files} files of {self.size.prepare[1]}p",
            "CPU prepare, all cores",
            f"{LEAST} 3",
            ratio if self.on_gpu else None,
            "times as fast",
            ratio >= 3 if self.on_gpu else None,
            f"{listed}; starting the workers counts",
        )

    # ---------------------------------------------------------------- training

    def loop(self) -> Iterator[Row]:
        """How busy the loop keeps the GPU."""
        with self.trainer("auto") as trainer:
            trainer.model.train()
            batch = trainer.train_loader.batch(list(range(self.size.batch)))
            trainer._step(batch)
            with Monitor(trainer.fabric.device, interval_seconds=0.1) as monitor:

                def loop() -> None:
                    trainer.state.step_in_epoch = 0
                    trainer._epoch(monitor)

                def resident() -> None:
                    for _ in range(self.size.steps):
                        trainer._step(batch)

                seconds = self.least({"loop": loop, "resident": resident})
                monitor.restart()
                loop()
                summary = monitor.epoch_summary()
            busy = summary["gpu_utilisation"]
            yield Row(
                "GPU utilisation in the loop", "100 %", f"{LEAST} 90 %",
                None if busy is None else 100 * busy, "%", None if busy is None else busy >= 0.9,
                f"NVML's share of the time with a kernel running; batch {self.size.batch}, "
                f"clips in '{trainer.train_loader.cache.tier}', {summary['step_ms']:.1f} ms a step",
            )  # fmt: skip
            ratio = seconds["resident"] / seconds["loop"]
            yield Row(
                "training loop", "the same step on one resident batch", f"{LEAST} 0.95",
                ratio, "of its speed", ratio >= 0.95 if self.on_gpu else None,
            )  # fmt: skip

    def epochs(self) -> Iterator[Row]:
        """A whole training of synthetic clips, after prepare."""
        size = self.size
        config = self.config("auto", f"loop.epochs={size.epochs}", "loop.steps_per_epoch=0")
        with tempfile.TemporaryDirectory() as folder:
            store = make_store(Path(folder) / "store", config.clip, size.clips, val=size.clips // 5)
            run = Path(folder) / "run"
            seconds = self.seconds(lambda: fit(config, store.path, run))
        yield Row(
            f"{size.clips} videos x {size.frames} frames x {size.side_px} px x {size.epochs} "
            f"epochs, {config.model.name}",
            "1-1.5 h claimed on a T4", f"{MOST} 180 s",
            seconds if self.on_gpu else None, "s", seconds <= 180 if self.on_gpu else None,
            f"{seconds:.1f} s with {size.clips // 5} validation clips an epoch and all checkpoints",
        )  # fmt: skip

    def memory(self) -> Iterator[Row]:
        """Peak of a training step in mixed precision against float32."""
        # Each in a function of its own, so that the first is gone when the second is measured.
        peaks = {precision: self.peak_gb(precision) for precision in ("fp32", "auto")}
        if not self.on_gpu:
            peaks = {}
        share = peaks["auto"] / peaks["fp32"] if peaks else None
        listed = ", ".join(f"{name}: {peak:.2f} GB" for name, peak in peaks.items())
        against = f"fp32 at batch {self.size.batch}"
        yield Row(
            "AMP training memory", against, f"{MOST} 0.6", share, "of it",
            None if share is None else share <= 0.6, listed or "needs a GPU",
        )  # fmt: skip
        peak = peaks.get("auto")
        yield Row(
            "AMP training memory", "4-6 GB claimed", f"{MOST} 4 GB", peak, "GB",
            None if peak is None else peak <= 4, "the clips stay in RAM",
        )  # fmt: skip

    def peak_gb(self, precision: str) -> float:
        """Most memory that tensors took on the device over three steps."""
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        with self.trainer(precision, "data.cache=ram") as trainer:
            trainer.model.train()
            batch = trainer.train_loader.batch(list(range(self.size.batch)))
            for _ in range(3):
                trainer._step(batch)
        return torch.cuda.max_memory_allocated(self.device) / 1e9 if self.on_gpu else 0.0

    # ---------------------------------------------------------------- inference

    def inference(self) -> Iterator[Row]:
        """A batch from the host's memory to logits in the host's memory."""
        size, config = self.size, self.config("auto")
        model = build(config.model, config.clip.size_px).eval().to(self.device)
        model = model.to(memory_format=torch.channels_last)
        shape = (size.batch, size.frames, size.side_px, size.side_px, 3)
        clips = torch.randint(0, 256, shape, dtype=torch.uint8)
        mask = torch.ones(shape[:2], dtype=torch.bool)
        if self.on_gpu:
            clips, mask = clips.pin_memory(), mask.pin_memory()
        variants = {"autocast": forward(model, clips, mask, self.device)}
        if self.on_gpu:
            try:
                variants["autocast in a CUDA graph"] = graphed(model, clips, mask, self.device)
            except RuntimeError as error:  # an operation that waits for the host
                print(f"no CUDA graph: {error}")
        costs = {}
        for name, work in variants.items():
            for _ in range(5 if self.on_gpu else 1):
                work()
            times = [self.seconds(work) for _ in range(50 if self.on_gpu else 2)]
            costs[name] = 1e3 * float(np.median(times))
        best = min(costs, key=lambda name: costs[name])
        listed = ", ".join(f"{name}: {ms:.2f} ms" for name, ms in costs.items())
        yield Row(
            f"inference of {size.batch} clips x {size.frames} frames x {size.side_px} px",
            "5-10 ms claimed on a T4", f"{MOST} 4 ms",
            costs[best] if self.on_gpu else None, "ms", costs[best] <= 4 if self.on_gpu else None,
            f"median; {listed}" + ("; clips in pinned memory" if self.on_gpu else ""),
        )  # fmt: skip

    # ---------------------------------------------------------------- tools

    def config(self, precision: str, *words: str) -> TrainConfig:
        """Settings of a run on random clips that neither stops early nor fetches weights."""
        size = self.size
        return load(
            None,
            [
                f"clip={{frames: {size.frames}, size_px: {size.side_px}}}",
                "model={name: resnet50_bilstm_attention, weights: random, "
                f"backbone: {size.backbone}, lstm_hidden: {size.hidden}}}",
                f"loop={{batch_size: {size.batch}, steps_per_epoch: {size.steps}}}",
                f"loop.accelerator={self.device.type}",
                f"loop.precision={precision}",
                "optim.early_stop_patience=1000",
                *words,
            ],
        )

    @contextmanager
    def trainer(self, precision: str, *words: str) -> Iterator[Any]:
        """What `unmask train` would build, over a store of random clips."""
        config = self.config(precision, *words)
        with tempfile.TemporaryDirectory() as folder:
            count = max(self.size.clips, self.size.batch * self.size.steps)
            store = make_store(Path(folder) / "store", config.clip, count)
            yield make_trainer(config, store, Path(folder) / "run")

    def least(self, works: dict[str, Callable[[], object]]) -> dict[str, float]:
        """Seconds of each, the least of alternating rounds after one that does not count."""
        times: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(1 + self.repeat):
            for name, work in works.items():
                seconds = self.seconds(work)
                if turn:
                    times[name].append(seconds)
        return {name: min(values) for name, values in times.items()}

    def seconds(self, work: Callable[[], object]) -> float:
        """Wall clock of one call, whatever it started on the device included."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
        began = time.perf_counter()
        work()
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - began


def decode_on_cpu(path: Path, spec: ClipSpec) -> int:
    """The frames that prepare looks at, as RGB."""
    with open_video(path) as video:
        return sum(1 for _ in sample(video, spec))


def decode_on(device: torch.device, path: Path, spec: ClipSpec) -> int:
    """The same on a device."""
    if device.type == "cuda":
        torch.zeros(1, device=device)
    accelerator = cuda_accelerator() if device.type == "cuda" else None
    with open_video(path, threads=1, accelerator=accelerator) as video:
        return sum(1 for _ in sample_as(video, spec, DeviceConverter(device, video.info)))


def crossover(cells: list[tuple[float, float]]) -> float | None:
    """The least amount from which on every cell (amount, speed-up) gains; None where none does."""
    pays = None
    for amount, ratio in sorted(cells, reverse=True):
        if ratio <= 1:
            break
        pays = amount
    return pays


def prepare_with(decoder: Wanted, data: Path, spec: ClipSpec, workers: int) -> None:
    """The verb, into a store that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        report = prepare(
            data, Path(folder) / "store", clip=spec, workers=workers, decoder=decoder,
            show_progress=False,
        )  # fmt: skip
    if decoder == "cuda":
        print(*report.notes, sep="\n", flush=True)
    if report.failed:
        raise RuntimeError(f"{report.failed} files failed: {report.problems[0]}")


def walk_all(data: Path, spec: ClipSpec, device: torch.device) -> None:
    """What a worker does with each file, in this process."""
    detector = load_detector()
    for path in sorted(data.rglob("*.mp4")):
        found = walk.clips_of(path, spec, detector, device=device)
        if not found.clips:
            raise RuntimeError(f"no clip of {path}: {found.warnings}")


def forward(
    model: torch.nn.Module, clips: torch.Tensor, mask: torch.Tensor, device: torch.device
) -> Callable[[], torch.Tensor]:
    """One call after the other, as they come."""
    half = torch.float16 if device.type == "cuda" else torch.bfloat16

    @torch.inference_mode()
    def run() -> torch.Tensor:
        there = clips.to(device, non_blocking=True), mask.to(device, non_blocking=True)
        with torch.autocast(device.type, half):
            return logits(model, *there).cpu()

    return run


def graphed(
    model: torch.nn.Module, clips: torch.Tensor, mask: torch.Tensor, device: torch.device
) -> Callable[[], torch.Tensor]:
    """The same kernels, recorded once and replayed without Python between them."""
    there = clips.to(device), mask.to(device)

    def compute() -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, cache_enabled=False):
            return logits(model, *there)

    stream = torch.cuda.Stream(device)
    with torch.cuda.stream(stream):
        for _ in range(3):
            compute()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = compute()

    def run() -> torch.Tensor:
        for ours, theirs in zip(there, (clips, mask), strict=True):
            ours.copy_(theirs, non_blocking=True)
        graph.replay()
        return result.cpu()

    return run


def logits(model: torch.nn.Module, clips: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Of clips as the host has them, ``(B, T, H, W, 3)`` uint8."""
    return torch.as_tensor(model(clips.permute(0, 1, 4, 2, 3), mask).clip_logit).float()


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures hold for."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {"device": name, "cores_usable": usable_cores(), **describe_environment()}


def show(rows: list[Row]) -> None:
    """As Markdown, for docs/performance.md."""
    print("\n| what | against | target | value | met |\n|---|---|---|---|---|")
    for row in rows:
        value = "not measured" if row.value is None else f"{row.value:.3g} {row.unit}"
        met = {True: "**met**", False: "not met", None: "-"}[row.met]
        print(f"| {row.what} | {row.against} | {row.target} | {value} | {met} |")
    print()
    for row in rows:
        if row.note:
            print(f"{row.what}: {row.note}")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="all rows as JSON")
    parser.add_argument("--media", type=Path, default=Path("bench_media"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", default="decode,prepare,loop,epochs,inference,memory")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny: to see that it works")
    options = parser.parse_args()
    if options.device == "cuda" and missing_gpu():
        parser.exit(2, f"{missing_gpu()} Try --device cpu --quick.\n")
    device = walk.CUDA if options.device == "cuda" else torch.device("cpu")
    size = QUICK if options.quick else FULL
    bench = Bench(device, size, 1 if options.quick else options.repeat, options.media)
    rows, failed = [], {}
    for part in options.only.split(","):
        try:
            for row in getattr(bench, part)():
                rows.append(row)
                print(f"[{part}] {row.what}: {row.value} {row.unit} {row.note}", flush=True)
        except Exception as error:  # noqa: BLE001 - the other rows are worth having
            failed[part] = f"{type(error).__name__}: {error}"
            print(f"[{part}] failed: {failed[part]}", flush=True)
        if options.out:
            facts = {"machine": machine(device), "quick": options.quick, "failed": failed}
            write_json(options.out, facts | {"rows": [asdict(row) for row in rows]})
    show(rows)
    if failed:
        raise SystemExit(f"failed: {json.dumps(failed)}")


if __name__ == "__main__":
    main()
