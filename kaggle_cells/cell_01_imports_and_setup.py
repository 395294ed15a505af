"""Cell 1: imports and set-up.

All imports of the notebook, the installation where it is missing, and a look at the machine.
It prints what works and what to do about what does not.

第 1 格：导入与环境。所有导入都在这里；未安装时自动从附加的数据集离线安装；检查 GPU 与软件版本。
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

attached = Path(os.environ.get("UNMASK_KAGGLE_ROOT") or "/kaggle") / "input"
if importlib.util.find_spec("unmask") is None:
    wheels = [*attached.glob("*/unmask-*.whl"), *attached.glob("*/*/*/unmask-*.whl")]
    if not wheels:
        raise SystemExit(
            f"unmask is not installed, and no unmask-*.whl lies in {attached}. On Kaggle: Add "
            "Input -> the dataset that 'make kaggle' made. Elsewhere: pip install '.[train]'."
        )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--find-links", str(wheels[-1].parent)]
    known = str(wheels[-1].parent / "unmask-requirements.txt")
    offline = [*pip, "--no-index", "--no-deps", "-r", known, str(wheels[-1])]
    done = subprocess.run(offline, check=False, capture_output=True, text=True)
    online = [*pip, f"{wheels[-1]}[train]"]  # where something is neither here nor attached
    if done.returncode and subprocess.run(online, check=False, capture_output=True).returncode:
        raise SystemExit(f"unmask could not be installed: {done.stderr.strip()[-1500:]}")
    importlib.invalidate_caches()

import unmask
from unmask import notebook
from unmask.clips import ClipStore
from unmask.data import check_leaks, raise_on_leaks, read_manifest
from unmask.data.glimpse import first_clips
from unmask.training.fit import probe_batch_size
from unmask.training.monitor import Monitor
from unmask.training.overfit import overfit_one_batch

notebook.tidy_errors()
machine = notebook.tune_machine()
notebook.show(machine, notebook.checks_table(unmask.doctor()))
