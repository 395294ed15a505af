"""Tasks on a Ray that runs here: the same outcomes as without it, and seats that may be lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import jobs_for_tests as jobs
import pytest

from unmask.errors import MissingExtraError, RunError
from unmask.jobs import run_on_ray, run_tasks


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    # Nodes import tasks by name: unmask is installed there, the tests' tasks are not.
    path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
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


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_task_that_loses_every_seat_is_given_up_after_two(tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.touch()
    tasks = [str(note), "well"]
    found = run_on_ray(jobs.end_seat_each_time, tasks, workers=1, timeout_seconds=120.0)
    assert {o.task: (o.status, o.value) for o in found} == {
        str(note): ("died", None), "well": ("done", "WELL"),
    }  # fmt: skip
    assert note.read_text() == "xx"


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_nodes_that_lack_the_code_are_told_in_a_sentence() -> None:
    with pytest.raises(RunError) as caught:
        list(run_on_ray(jobs.Unloadable(), ["any"], workers=1, timeout_seconds=120.0))
    assert caught.value.code == "workers_start"
    assert "\n" not in str(caught.value)


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError) as caught:
        list(run_on_ray(jobs.act, ["well"], workers=1, timeout_seconds=1.0))
    assert "unmask[ray]" in caught.value.hint
