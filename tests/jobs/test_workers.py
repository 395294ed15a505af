"""What becomes of tasks whose process crashes, hangs, eats memory or burns time."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jobs_for_tests as jobs
import pytest

from unmask.errors import RunError
from unmask.jobs import Outcome, run_tasks, workers
from unmask.jobs.workers import TaskLimits, _limit_cpu


def outcomes(tasks: list[str], **limits: float) -> dict[str, Outcome[str]]:
    settings = {"workers": 1, "timeout_seconds": 30.0} | limits
    return {outcome.task: outcome for outcome in run_tasks(jobs.act, tasks, **settings)}


def test_each_misfortune_has_its_name_and_costs_itself_only() -> None:
    tasks = ["well", "raise", "crash", "glut", "slow glut", "well again"]
    found = outcomes(tasks, memory_mib=300)
    assert {task: outcome.status for task, outcome in found.items()} == {
        "well": "done", "raise": "error", "crash": "died", "glut": "memory",
        "slow glut": "memory", "well again": "done",
    }  # fmt: skip
    assert found["well"].value == "WELL"
    assert str(found["raise"].value) == "as asked"
    assert found["crash"].value == -signal.SIGSEGV


def test_what_hangs_is_given_up() -> None:
    found = outcomes(["well", "hang", "well again"], timeout_seconds=1.0)
    assert [outcome.status for outcome in found.values()] == ["done", "timeout", "done"]


def test_processor_time_is_counted_by_task_and_not_by_worker() -> None:
    found = outcomes(["work 1", "work 2", "work 3", "burn"], cpu_seconds=1)
    assert found.pop("burn").status == "cpu"
    assert {outcome.status for outcome in found.values()} == {"done"}
    assert len({outcome.value for outcome in found.values()}) == 1  # one process did them all


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
def test_limits_of_the_system_that_are_lower_hold() -> None:
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (60, 60))\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (400 * 2**20, 400 * 2**20))\n"
        "import jobs_for_tests as jobs\n"
        "from unmask.jobs import run_tasks\n"
        "if __name__ == '__main__':\n"
        "    how = dict(workers=1, timeout_seconds=60.0, cpu_seconds=600, memory_mib=8192)\n"
        "    tasks = ['a', 'slow glut', 'b']\n"
        "    print([outcome.status for outcome in run_tasks(jobs.act, tasks, **how)])\n"
    )
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # each takes memory
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(jobs.__file__).parent)], env={**os.environ, **one},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "['done', 'memory', 'done']", done.stderr


def test_what_the_system_worked_for_the_earlier_tasks_is_not_taken_from_the_next() -> None:
    """Reading and writing count as well, and the limit is in whole seconds, never too few."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    # So that, without the system's share, the limit would just round up to a second less.
    seconds = 1000 + math.ceil(used.ru_utime) - used.ru_utime - used.ru_stime / 2
    try:
        _limit_cpu(TaskLimits(timeout_seconds=1.0, cpu_seconds=seconds))
        limit, _ = resource.getrlimit(resource.RLIMIT_CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
    assert limit >= used.ru_utime + used.ru_stime + seconds


def test_modules_in_the_working_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be one of uploads."""
    (tmp_path / "multiprocessing.py").write_text("raise SystemExit('run by a worker')")
    monkeypatch.chdir(tmp_path)
    assert outcomes(["well"])["well"].value == "WELL"
    assert "PYTHONSAFEPATH" not in os.environ


def test_without_workers_all_happens_here() -> None:
    (outcome,) = run_tasks(jobs.pid, ["here"], workers=0, timeout_seconds=1.0)
    assert outcome.value == os.getpid()


def test_tasks_are_taken_as_workers_come_free() -> None:
    taken: list[str] = []
    tasks = jobs.noting(taken, map(str, range(6)))
    stream = run_tasks(jobs.act, tasks, workers=2, timeout_seconds=30.0)
    next(stream)
    assert len(taken) <= 3
    assert len(list(stream)) == 5


def test_a_worker_that_dies_idle_is_replaced_unblamed() -> None:
    stream = run_tasks(jobs.pid, ["first", "second"], workers=1, timeout_seconds=30.0)
    os.kill(next(stream).value, signal.SIGKILL)
    time.sleep(0.2)
    assert next(stream).status == "done"


def test_what_cannot_start_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(RunError) as caught:
        list(run_tasks(jobs.Unloadable(), ["any"], workers=1, timeout_seconds=30.0))
    assert caught.value.code == "workers_start"


def test_what_never_gets_ready_is_an_error_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no timeout of task after task."""
    monkeypatch.setattr(workers, "START_SECONDS", 0.3)
    with pytest.raises(RunError) as caught:
        list(run_tasks(jobs.SlowToLoad(600.0), ["any"], workers=1, timeout_seconds=0.1))
    assert caught.value.code == "workers_start"


def test_a_tasks_time_begins_when_its_worker_is_ready() -> None:
    slow = jobs.SlowToLoad(1.0)
    (outcome,) = run_tasks(slow, ["well"], workers=1, timeout_seconds=1.0)
    assert outcome.status == "done"


def test_limits_must_be_positive() -> None:
    for limit in ({"timeout_seconds": 0}, {"memory_mib": -1}, {"cpu_seconds": 0}):
        with pytest.raises(ValueError, match=next(iter(limit))):
            outcomes(["any"], **limit)


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import jobs_for_tests as jobs\n"
        "from unmask.jobs import run_tasks\n"
        "if __name__ == '__main__':\n"
        "    list(run_tasks(jobs.note_and_hang, [sys.argv[2]], workers=1, timeout_seconds=99))"
    )
    note = tmp_path / "pid"
    script = tmp_path / "parent.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, script, Path(__file__).parent, note]) as parent:
        worker = int(_eventually(lambda: note.exists() and note.read_text()))
        parent.kill()
    assert _eventually(lambda: not _lives(worker))


def _eventually(look: object, seconds: float = 30.0) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := look():  # type: ignore[operator]
            return str(found)
        time.sleep(0.05)
    raise AssertionError("it never happened")


def _lives(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
