"""From what a user calls a model to a model that runs."""

from __future__ import annotations

from pathlib import Path

from unmask import weights
from unmask.errors import ModelError
from unmask.inference import ensemble
from unmask.inference.mirror import Mirrored
from unmask.inference.model import TASK, Model
from unmask.inference.session import open_onnx, runs_on_gpu
from unmask.machine import usable_cores


def load_model(model: str | Path, *, threads: int | None = None, device: str = "auto") -> Model:
    """Open a bundled model by name, an exported ``.onnx`` file, the one of a run's folder, or the
    ``.json`` file of an ensemble.

    Args:
        model: e.g. ``"unmask-base"``, ``"best_model.onnx"`` or ``"runs/first"``.
        threads: of the CPU; None takes all that this process may use.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``: a GPU where ONNX Runtime has one.

    Raises:
        ModelError: ``model_missing``, ``model_altered`` (a bundled file that is not what its card
            says), ``model_foreign`` (not exported by unmask), ``model_device`` (no such device),
            ``model_mismatch`` (members of an ensemble that look at different crops).
    """
    threads = threads or usable_cores()
    # A GPU multiplies floats faster than it quantises.
    path = _locate(model, in_float=runs_on_gpu(device))
    if path.suffix != ensemble.SUFFIX:
        opened = open_onnx(path, threads, device)
        if opened.device == "cpu" and runs_on_gpu(device):  # there is none after all
            return load_model(model, threads=threads, device="cpu")
        return opened
    record = ensemble.read(path)
    members = []
    for member in record.members:
        loaded = load_model(member.model, threads=threads, device=device)
        members.append(Mirrored.of(loaded) if member.mirrored else loaded)
    return ensemble.join(record, members)


def _locate(model: str | Path, *, in_float: bool) -> Path:
    if isinstance(model, str) and model in weights.names():  # whatever lies here under that name
        return weights.load(model, in_float=in_float)
    path = Path(model).expanduser()
    if path.is_dir() and (path / "models" / "best_model.onnx").is_file():
        return path / "models" / "best_model.onnx"
    if path.is_file():
        return path
    bundled = [name for name in weights.names() if weights.read_card(name).task == TASK]
    nearby = sorted(str(found) for found in path.parent.glob("*.onnx"))
    raise ModelError(
        f"There is no model '{model}'.",
        code="model_missing",
        hint=f"Bundled: {', '.join(bundled) or 'none'}. "
        f"In {path.parent}: {', '.join(nearby) or 'no .onnx file'}.",
    )
