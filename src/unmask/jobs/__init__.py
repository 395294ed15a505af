"""Many files at once: which ones, in worker processes here or on a cluster, and what is done.

`find_inputs` lists them, `run_tasks` (or `run_on_ray`) gives each to a worker that may crash, hang
or eat its memory without harm to the rest, and `Journal` remembers every outcome.
"""

from unmask.jobs.cluster import run_on_ray
from unmask.jobs.inputs import Found, Inputs, find_inputs
from unmask.jobs.journal import Journal
from unmask.jobs.workers import Outcome, TaskLimits, run_tasks

__all__ = [
    "Found",
    "Inputs",
    "Journal",
    "Outcome",
    "TaskLimits",
    "find_inputs",
    "run_on_ray",
    "run_tasks",
]
