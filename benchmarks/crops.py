"""How many face crops a second does a detector judge, and how near is that to the limit?

    OPENBLAS_NUM_THREADS=1 python benchmarks/crops.py [MODEL.onnx ...] [--crops 32] [--repeat 5]

The bundled detector by default. All cores work, as in `unmask detect`; beside it stands NumPy's
matrix product (OpenBLAS), one a core at the same time, in turn with it: no network in float32 does
more arithmetic in a second. Crops a second are also given by processor time, for a machine on which
nothing else runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from unmask.inference import Model
from unmask.verbs.detect import bundled_model, open_model

ROWS, INNER, COLUMNS = 580, 384, 1536  # the largest product of four crops in a ViT-S at 168 px
PRODUCTS = 60  # a core


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=[bundled_model()])
    parser.add_argument("--crops", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    models = {name: open_model(name) for name in options.models}
    cores = next(iter(models.values())).threads
    works = {name: judging(model, options.crops) for name, model in models.items()}
    costs = least({"product": product(cores), **works}, options.repeat)
    wall, processor = costs.pop("product")
    operations = 2e-9 * ROWS * INNER * COLUMNS * PRODUCTS * cores
    print(
        f"{cores} cores, least of {options.repeat}; matrix products in float32: "
        f"{operations / wall:.0f} GFLOP/s, {operations / processor:.0f} a core"
    )
    for name, (wall, processor) in costs.items():
        side, alone = models[name].spec.size_px, options.crops * cores / processor
        print(
            f"{name}, {side} px: {options.crops / wall:.1f} crops/s, {alone:.1f} by processor "
            f"time ({1e3 * processor / options.crops:.1f} ms a crop)"
        )


def judging(model: Model, crops: int) -> Callable[[], object]:
    """One video's crops through the model, in clips as long as its own."""
    side, length = model.spec.size_px, model.spec.frames
    shape = (-(-crops // length), length)
    frames = np.random.default_rng(0).integers(0, 256, (*shape, side, side, 3), dtype=np.uint8)
    return lambda: model.logits(frames, np.ones(shape, bool))


def product(cores: int) -> Callable[[], object]:
    """`PRODUCTS` matrix products on every core at the same time."""
    generator = np.random.default_rng(0)
    left = generator.standard_normal((ROWS, INNER), np.float32)
    right = generator.standard_normal((INNER, COLUMNS), np.float32)

    def one(_: int) -> None:
        for _ in range(PRODUCTS):
            left @ right

    def work() -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(one, range(cores)))

    return work


def least(works: dict[str, Callable[[], object]], repeat: int) -> dict[str, tuple[float, float]]:
    """Least wall and least processor seconds over ``repeat`` rounds of all works."""
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(repeat):
        for name, work in works.items():
            wall, processor = time.perf_counter(), time.process_time()
            work()
            costs[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {name: (min(w for w, _ in c), min(p for _, p in c)) for name, c in costs.items()}


if __name__ == "__main__":
    main()
