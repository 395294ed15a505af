"""What the worker processes of the tests are given to do."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import cv2

from unmask.errors import MediaError


class UnreadableError(Exception):
    """Cannot be made again from what pickle keeps of it."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} {b}")


def work(task: Any) -> Any:
    """Do what the task names."""
    what, value = task if isinstance(task, tuple) else (task, None)
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        sys.exit(7)
    if what == "hang":
        time.sleep(600)
    if what == "raise":
        raise MediaError("It is broken.", code="media_damaged", hint="Mend it.")
    if what == "say":
        raise RuntimeError(value)
    if what == "lambda":
        return lambda: 1
    if what == "raise unreadable":
        raise UnreadableError(1, 2)
    if what == "pid":
        time.sleep(0.05)
        return os.getpid()
    if what == "threads":
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        threads = [*(os.environ.get(name) for name in names), cv2.getNumThreads()]
        return [threads, signal.getsignal(signal.SIGINT)]
    if what == "largest dump":
        import resource

        return resource.getrlimit(resource.RLIMIT_CORE)
    if what == "nap":
        time.sleep(3)
    if what == "note":
        with Path(value).open("a") as file:
            file.write("x")
    return value
