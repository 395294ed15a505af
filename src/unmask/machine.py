"""What this process may use of the machine that it runs on."""

import os


def usable_cores() -> int:
    """Processor cores that this process may run on; all of them where the system does not tell."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1
