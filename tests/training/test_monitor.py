"""What the monitor says of steps whose stages are known, and of a machine at work."""

import time
from collections.abc import Iterator

import pytest
import torch

from unmask.data.stages import STAGES, StageClock
from unmask.training.monitor import Monitor, thinned

CPU = torch.device("cpu")


def _slow_batches(count: int, seconds: float) -> Iterator[int]:
    for number in range(count):
        time.sleep(seconds)
        yield number


def test_the_stages_of_a_step_add_up_to_it() -> None:
    clock = StageClock(CPU)
    with clock.stage("forward"):
        time.sleep(0.01)  # before the epoch: belongs to none
    monitor = Monitor(CPU, clock=clock)
    monitor.restart()
    for _ in monitor.watch(_slow_batches(3, 0.02)):
        with clock.stage("forward"):
            time.sleep(0.01)
        with clock.stage("backward"):
            time.sleep(0.03)
        time.sleep(0.005)
        monitor.step(8)
    summary = monitor.epoch_summary()
    assert sum(summary[f"{name}_ms"] for name in (*STAGES, "other")) == pytest.approx(
        summary["step_ms"], abs=0.1
    )
    assert summary["wait_ms"] >= 20
    assert summary["backward_ms"] >= 30
    assert summary["other_ms"] >= 5
    assert summary["augment_ms"] == summary["transfer_ms"] == 0
    assert 10 <= summary["forward_ms"] < summary["step_ms"] - 50
    assert summary["wait_ms"] == pytest.approx(
        summary["data_wait_share"] * summary["step_ms"], abs=0.1
    )


def test_without_a_clock_no_stage_is_told() -> None:
    monitor = Monitor(CPU)
    monitor.step(4)
    assert "forward_ms" not in monitor.epoch_summary()


def test_a_stage_that_fails_is_counted_and_lets_the_error_through() -> None:
    clock = StageClock(CPU)

    def fails() -> None:
        with clock.stage("forward"):
            time.sleep(0.01)
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        fails()
    assert clock.take()["forward"] >= 0.01
    assert clock.take() == dict.fromkeys(STAGES, 0.0)


def test_the_course_of_an_epoch() -> None:
    with Monitor(CPU, interval_seconds=0.02) as monitor:
        for _ in range(5):
            monitor.step(10)
            sum(range(200_000))
            time.sleep(0.03)
        monitor.epoch_summary()
        (point,) = monitor.course()  # a fifth of a second: not worth more than one
    assert 0 < point["seconds"] < 30
    assert point["images_per_second"] * point["seconds"] == pytest.approx(50, abs=20)
    assert point["cpu_utilisation"] > 0
    assert monitor.course() == [point]


def test_points_are_thinned_by_the_means_of_neighbours() -> None:
    points = [{"seconds": float(i), "cpu_utilisation": float(i % 2)} for i in range(10)]
    assert thinned(points, 10) == points
    assert thinned([], 10) == []
    few = thinned(points, 4)
    assert [point["seconds"] for point in few] == [2.0, 5.0, 8.0, 9.0]
    assert [point["cpu_utilisation"] for point in few] == [0.3333, 0.6667, 0.3333, 1.0]


@pytest.mark.gpu
def test_a_gpus_stages_are_timed_where_they_run() -> None:
    """The kernels of a stage are still running when its block ends."""
    device = torch.device("cuda")
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    clock, side = StageClock(device), torch.randn(4096, 4096, device=device)
    for _ in range(2):  # the first warms up
        torch.cuda.synchronize()
        clock.take()
        began = time.perf_counter()
        with clock.stage("forward"):
            for _ in range(20):
                side = side @ side / 64
        asked = time.perf_counter() - began
        torch.cuda.synchronize()
        ran = time.perf_counter() - began
        seconds = clock.take()["forward"]
    assert seconds > 2 * asked
    assert seconds == pytest.approx(ran, rel=0.3)
