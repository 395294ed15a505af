import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from jobs_for_tests import noting
from tasks import work

from unmask.errors import MediaError
from unmask.jobs.workers import run_tasks


def statuses(tasks: list[object], workers: int = 1, timeout: float = 30.0) -> list[str]:
    outcomes = run_tasks(work, tasks, workers=workers, timeout_seconds=timeout)
    return [f"{o.task if isinstance(o.task, str) else o.task[1]} {o.status}" for o in outcomes]


def test_every_task_has_an_outcome_and_its_value() -> None:
    tasks = [("echo", number) for number in range(20)]
    outcomes = list(run_tasks(work, tasks, workers=2, timeout_seconds=30))
    assert {o.status for o in outcomes} == {"done"}
    assert sorted(o.value for o in outcomes) == list(range(20))
    assert all(o.value == o.task[1] for o in outcomes)


def test_processes_are_kept_and_shared() -> None:
    outcomes = list(run_tasks(work, ["pid"] * 8, workers=2, timeout_seconds=30))
    assert len({o.value for o in outcomes}) == 2
    assert os.getpid() not in {o.value for o in outcomes}
    (here,) = run_tasks(work, ["pid"], workers=0, timeout_seconds=30)
    assert here.value == os.getpid()


@pytest.mark.parametrize(("how", "exit_code"), [("crash", -11), ("killed", -9), ("exit", 7)])
def test_a_worker_that_dies_costs_its_task_only(how: str, exit_code: int) -> None:
    tasks = [("echo", 1), how, ("echo", 2), ("echo", 3)]
    outcomes = list(run_tasks(work, tasks, workers=1, timeout_seconds=30))
    assert [o.status for o in outcomes] == ["done", "died", "done", "done"]
    assert outcomes[1].value == exit_code


def test_a_worker_that_hangs_is_given_up() -> None:
    began = time.monotonic()
    tasks = [("echo", 0), "hang", ("echo", 1), ("echo", 2)]
    found = statuses(tasks, workers=2, timeout=3.0)
    assert sorted(found) == ["0 done", "1 done", "2 done", "hang timeout"]
    assert time.monotonic() - began < 30


def test_an_error_is_the_tasks_outcome_with_all_it_says() -> None:
    for workers in (0, 1):
        outcomes = list(run_tasks(work, ["raise", ("echo", 1)], workers=workers, timeout_seconds=9))
        assert [o.status for o in outcomes] == ["error", "done"]
        error = outcomes[0].value
        assert isinstance(error, MediaError)
        assert (error.code, error.hint) == ("media_damaged", "Mend it.")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("std::bad_alloc", "memory"),
        ("bad allocation", "memory"),
        ("OpenCV(4.13) Failed to allocate 99 bytes in function 'OutOfMemoryError'", "memory"),
        ("[ONNXRuntimeError] : 6 : BFCArena::AllocateRawInternal Failed to allocate", "memory"),
        ("(-4:Insufficient memory)", "memory"),
        ("[Errno 12] Cannot allocate memory", "memory"),
        ("Could not find the alloc table", "error"),
    ],
)
def test_libraries_say_in_their_own_words_that_memory_is_short(said: str, status: str) -> None:
    (outcome,) = run_tasks(work, [("say", said)], workers=0, timeout_seconds=9)
    assert outcome.status == status


@pytest.mark.parametrize("what", ["lambda", "raise unreadable"])
def test_what_cannot_travel_between_processes_is_an_error_not_an_end(what: str) -> None:
    outcomes = list(run_tasks(work, [what, ("echo", 1)], workers=1, timeout_seconds=30))
    assert [o.status for o in outcomes] == ["error", "done"]
    assert "pickle" in str(outcomes[0].value) or "missing" in str(outcomes[0].value)


def test_tasks_are_taken_as_workers_come_free() -> None:
    taken: list[tuple[str, int]] = []
    tasks = noting(taken, (("echo", number) for number in range(6)))
    outcomes = run_tasks(work, tasks, workers=2, timeout_seconds=30)
    next(outcomes)
    assert len(taken) <= 4
    outcomes.close()  # and the rest is left, without a process staying behind


def test_what_is_not_waited_for_is_ended_at_once() -> None:
    outcomes = run_tasks(work, [("echo", 1), "hang"], workers=2, timeout_seconds=600)
    assert next(outcomes).value == 1
    outcomes.close()
    assert multiprocessing.active_children() == []


def test_a_task_that_nobody_waits_for_is_not_brought_to_its_end() -> None:
    outcomes = run_tasks(work, [("echo", 1), "nap"], workers=2, timeout_seconds=600)
    next(outcomes)
    children = multiprocessing.active_children()
    outcomes.close()
    assert -signal.SIGKILL in {child.exitcode for child in children}


def test_a_worker_has_one_thread_and_leaves_ctrl_c_to_the_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = signal.getsignal(signal.SIGINT)
    (outcome,) = run_tasks(work, ["threads"], workers=1, timeout_seconds=30)
    assert outcome.value == [["1", "1", "1", 1], signal.SIG_IGN]
    assert os.environ["OMP_NUM_THREADS"] == "3"  # here all is as it was
    assert signal.getsignal(signal.SIGINT) is before


def test_a_crash_leaves_no_dump_of_the_memory() -> None:
    """A thousand damaged files would fill the disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        (outcome,) = run_tasks(work, ["largest dump"], workers=1, timeout_seconds=30)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert outcome.value == (0, 0)


def test_workers_may_be_started_from_any_thread() -> None:
    def run() -> list[str]:
        return statuses([("echo", 1)])

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result(timeout=60) == ["1 done"]


def test_the_parents_death_ends_the_workers(tmp_path: Path) -> None:
    script = (
        f"import sys, os, signal; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from tasks import work\n"
        "from unmask.jobs.workers import run_tasks\n"
        "if __name__ == '__main__':\n"
        "    for outcome in run_tasks(work, ['pid'] * 9, workers=1, timeout_seconds=30):\n"
        "        print(outcome.value, flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    file = tmp_path / "parent.py"
    file.write_text(script)
    died = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert died.returncode == -signal.SIGKILL
    worker = int(died.stdout)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if not psutil.pid_exists(worker) or psutil.Process(worker).status() == "zombie":
            return
        time.sleep(0.1)
    pytest.fail("the worker lives on")


def test_a_script_without_a_main_guard_is_told(tmp_path: Path) -> None:
    file = tmp_path / "unguarded.py"
    file.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from tasks import work\n"
        "from unmask.jobs.workers import run_tasks\n"
        "list(run_tasks(work, ['pid'], workers=1, timeout_seconds=30))\n"
    )
    died = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert died.returncode == 1
    assert "A worker process could not start" in died.stderr
    assert "__main__" in died.stderr


def test_ctrl_c_while_a_worker_starts_leaves_no_traceback(tmp_path: Path) -> None:
    """The signal comes in the middle of the start: it waits, and the child is told everything."""
    file = tmp_path / "parent.py"
    file.write_text(
        f"import sys, os, signal; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from multiprocessing import util\n"
        "from tasks import work\n"
        "from unmask.jobs.workers import run_tasks\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored below `nohup`
        "    start = util.spawnv_passfds\n"
        "    def interrupted(path, words, handles):\n"
        "        child = start(path, words, handles)\n"
        "        if 'spawn_main' in str(words):\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "        return child\n"
        "    util.spawnv_passfds = interrupted\n"
        "    try:\n"
        "        list(run_tasks(work, ['pid'], workers=1, timeout_seconds=30))\n"
        "    except KeyboardInterrupt:\n"
        "        sys.exit(130)\n"
    )
    ended = subprocess.run(
        [sys.executable, str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr
