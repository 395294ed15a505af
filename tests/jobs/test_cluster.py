"""Tasks on a Ray that runs here: the same outcomes as without it, and seats that may be lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jobs_for_tests as jobs
import pytest

from unmask.errors import MissingExtraError
from unmask.jobs import run_on_ray, run_tasks


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_outcomes_are_those_of_local_workers() -> None:
    tasks = ["well", "raise", "crash", "glut", "slow glut", "well again"]
    limits = {"timeout_seconds": 120.0, "memory_mib": 400}
    there, here = (
        {
            outcome.task: (outcome.status, str(outcome.value))
            for outcome in run(jobs.act, tasks, workers=2, **limits)
        }
        for run in (run_on_ray, run_tasks)
    )
    assert there == here
    assert [status for status, _ in there.values()].count("done") == 2


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_seat_that_is_lost_costs_no_task(tmp_path: Path) -> None:
    tasks = [str(tmp_path / name) for name in ("one", "two")]
    found = list(run_on_ray(jobs.end_seat_once, tasks, workers=2, timeout_seconds=120.0))
    assert sorted(outcome.task for outcome in found) == tasks
    assert {outcome.value for outcome in found} == {"done at last"}


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError) as caught:
        list(run_on_ray(jobs.act, ["well"], workers=1, timeout_seconds=1.0))
    assert "unmask[ray]" in caught.value.hint
