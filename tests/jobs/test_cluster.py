"""Tasks on a Ray that runs here: the same outcomes as without it, and seats that may be lost."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jobs_for_tests as jobs
import pytest
from ray_for_tests import Cluster

from unmask.errors import MissingExtraError, RunError
from unmask.jobs import cluster as clusters
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


Use = Callable[[Cluster], Cluster]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Take a stand-in for Ray, whose nodes hang when they are told to, and wait for none long."""
    monkeypatch.setattr(clusters, "START_SECONDS", 0.0)
    monkeypatch.setattr(clusters, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(clusters, "HIRE_SECONDS", 0.1)
    monkeypatch.setattr(clusters, "run_tasks", _here)

    def put(cluster: Cluster) -> Cluster:
        monkeypatch.setitem(sys.modules, "ray", cluster)
        return cluster

    return put


def _here(function: Callable[[str], Any], tasks: Iterator[str], **_: Any) -> Iterator[Any]:
    """What a seat does, without a process of its own."""
    return run_tasks(function, tasks, workers=0, timeout_seconds=1.0)


def test_a_seat_that_hangs_costs_its_task_and_another_takes_its_place(use: Use) -> None:
    cluster = use(Cluster(cores=1, takes={"hangs": math.inf}))
    found = list(run_on_ray(jobs.act, ["a", "hangs", "b"], workers=1, timeout_seconds=0.1))
    assert [(o.task, o.status) for o in found] == [
        ("a", "done"), ("hangs", "timeout"), ("b", "done"),
    ]  # fmt: skip
    assert (len(cluster.seats), cluster.let_go) == (2, [0, 1])


def test_a_seat_that_is_late_but_has_time_left_is_kept(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that hangs is another."""
    cluster = use(Cluster(cores=2, comes={0: math.inf}))
    monkeypatch.setattr(clusters, "HIRE_SECONDS", 9.0)
    found = list(run_on_ray(jobs.act, ["a", "b"], workers=2, timeout_seconds=600.0))
    assert [o.status for o in found] == ["done", "done"]
    assert sorted(cluster.let_go) == [0, 1]  # the other is not asked for any more


def test_a_seat_that_hangs_is_not_kept_as_long_as_one_may_take_to_come(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Cluster(cores=2, takes={"hangs": math.inf}, comes={1: 2.0}))
    monkeypatch.setattr(clusters, "HIRE_SECONDS", 9.0)
    found = list(run_on_ray(jobs.act, ["hangs", "b"], workers=2, timeout_seconds=0.1))
    assert [(o.task, o.status) for o in found] == [("hangs", "timeout"), ("b", "done")]


def test_a_task_may_take_its_time_before_its_seat_is_given_up(use: Use) -> None:
    use(Cluster(cores=1, takes={"slow": 0.2}))
    (found,) = run_on_ray(jobs.act, ["slow"], workers=1, timeout_seconds=60.0)
    assert found.status == "done"


def test_where_no_seat_comes_in_time_it_is_told(use: Use) -> None:
    cluster = use(Cluster(cores=2, comes=dict.fromkeys((0, 1), math.inf)))
    with pytest.raises(RunError, match="none came in time") as caught:
        list(run_on_ray(jobs.act, ["any"], workers=2, timeout_seconds=1.0))
    assert caught.value.code == "workers_start"
    assert cluster.let_go == [0, 1]


@pytest.mark.parametrize(("workers", "seats"), [(1, 1), (2, 2), (5, 2)])
def test_no_more_seats_are_asked_for_than_there_are_cores(
    use: Use, workers: int, seats: int
) -> None:
    """Or a cluster would start nodes for those that wait."""
    cluster = use(Cluster(cores=2))
    assert list(run_on_ray(jobs.act, [], workers=workers, timeout_seconds=1.0)) == []
    assert len(cluster.seats) == seats
    assert sorted(cluster.let_go) == list(range(seats))


def test_every_limit_reaches_the_seats(use: Use) -> None:
    cluster = use(Cluster(cores=1))
    limits = {"timeout_seconds": 3.0, "memory_mib": 400, "cpu_seconds": 7.0}
    list(run_on_ray(jobs.act, [], workers=1, **limits))
    assert cluster.seats[0].arguments == (jobs.act, limits)


@pytest.mark.parametrize("there", [True, False])
def test_a_ray_that_ran_before_runs_on_and_one_of_its_own_ends(use: Use, there: bool) -> None:
    cluster = use(Cluster(cores=1, runs=there))
    list(run_on_ray(jobs.act, [], workers=1, timeout_seconds=1.0))
    assert cluster.runs is there
    cluster.cores = 0
    with pytest.raises(RunError) as caught:
        list(run_on_ray(jobs.act, ["any"], workers=1, timeout_seconds=1.0))
    assert caught.value.code == "workers_start"
    assert cluster.runs is there


def test_tasks_are_taken_as_seats_come_free(use: Use) -> None:
    use(Cluster(cores=2))
    taken: list[str] = []
    tasks = jobs.noting(taken, map(str, range(9)))
    stream = run_on_ray(jobs.act, tasks, workers=2, timeout_seconds=1.0)
    next(stream)
    assert len(taken) <= 3
    assert len(list(stream)) == 8


def test_there_must_be_a_seat() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        list(run_on_ray(jobs.act, ["any"], workers=0, timeout_seconds=1.0))


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError) as caught:
        list(run_on_ray(jobs.act, ["well"], workers=1, timeout_seconds=1.0))
    assert "unmask[ray]" in caught.value.hint
