"""What the Kaggle cells call besides the verbs: where things lie, and how they are shown.

The cells (`kaggle_cells/`) hold no logic of their own; what only a notebook needs lives here.
"""

from unmask.notebook.cells import CELLS, need, tidy_errors
from unmask.notebook.figures import batch_picture, loss_picture, overfit_picture, store_picture
from unmask.notebook.machine import device_of, gpus, tune_machine
from unmask.notebook.places import (
    backbone_weights,
    choose_data,
    find_data,
    model_of,
    scratch_folder,
    settings_from,
)
from unmask.notebook.preview import Preview, preview
from unmask.notebook.run import read_results, train, verdicts
from unmask.notebook.show import Picture, files_of, show
from unmask.notebook.tables import (
    checks_table,
    clips_table,
    data_table,
    devices_table,
    hardest_table,
    leaks_table,
    measures_table,
    model_table,
    overfit_table,
    results_table,
    search_table,
    settings_table,
    usage_table,
)
from unmask.verbs.prepare import store_name

__all__ = [
    "CELLS",
    "Picture",
    "Preview",
    "backbone_weights",
    "batch_picture",
    "checks_table",
    "choose_data",
    "clips_table",
    "data_table",
    "device_of",
    "devices_table",
    "files_of",
    "find_data",
    "gpus",
    "hardest_table",
    "leaks_table",
    "loss_picture",
    "measures_table",
    "model_of",
    "model_table",
    "need",
    "overfit_picture",
    "overfit_table",
    "preview",
    "read_results",
    "results_table",
    "scratch_folder",
    "search_table",
    "settings_from",
    "settings_table",
    "show",
    "store_name",
    "store_picture",
    "tidy_errors",
    "train",
    "tune_machine",
    "usage_table",
    "verdicts",
]
