"""What this process may use of the machine that it runs on, and how long it may live."""

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def usable_cores() -> int:
    """Processor cores that this process may run on; all of them where the system does not tell."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def end_with_parent() -> None:
    """In a worker process: when its parent is killed, end at once, whatever it waits for.

    A worker that outlived its parent would hold what it inherited, a folder's lock for one.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
