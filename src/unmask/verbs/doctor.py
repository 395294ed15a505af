"""The verb `doctor`: what works on this machine, and how to mend what does not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unmask import __version__, weights
from unmask.errors import UnmaskError
from unmask.machine import usable_cores

Status = Literal["ok", "absent", "broken"]
TRAIN_PACKAGES = ("torch", "torchvision", "timm", "lightning_fabric", "sklearn", "matplotlib")
DISK_GIB_WANTED = 5.0


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report."""

    name: str
    status: Status
    """``absent`` is no fault: an optional part is not there."""
    found: str
    remedy: str = ""


def doctor(folder: Path | None = None) -> list[Check]:
    """Examine this machine; ``folder`` is where results would go (default: here)."""
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("python", _python),
        ("video decoding", _decoding),
        ("face detection and models", _onnxruntime),
        ("weights", _weights),
        ("training packages", _training),
        ("content credentials", _credentials),
        ("cuda", _cuda),
        ("nvdec", _nvdec),
        ("processor and memory", _machine),
        ("disk", lambda: _disk(folder or Path.cwd())),
    ]
    return [_guarded(name, check) for name, check in checks]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """A broken installation can raise anything; the doctor reports it and goes on."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - see above
        return Check(name, "broken", f"{type(error).__name__}: {error}", "Reinstall unmask.")


def _python() -> Check:
    found = f"Python {platform.python_version()} on {platform.platform()}; unmask {__version__}"
    fine = sys.version_info >= (3, 11)
    return Check("python", "ok" if fine else "broken", found, "" if fine else "Use Python 3.11+.")


def _decoding() -> Check:
    import av

    wanted = {"h264", "hevc", "vp9", "av1", "mpeg4"}
    missing = sorted(wanted - set(av.codecs_available))
    libraries = ", ".join(
        f"{name} {'.'.join(map(str, version))}"
        for name, version in av.library_versions.items()
        if name in ("libavcodec", "libavformat")
    )
    found = f"PyAV {av.__version__} ({libraries})"
    if missing:
        return Check(
            "video decoding",
            "broken",
            f"{found}; no decoder for {', '.join(missing)}",
            "Install PyAV from its wheel: pip install --force-reinstall --only-binary av av",
        )
    return Check("video decoding", "ok", found)


def _onnxruntime() -> Check:
    import onnxruntime

    providers = ", ".join(onnxruntime.get_available_providers())
    found = f"ONNX Runtime {onnxruntime.__version__}: {providers}"
    return Check("face detection and models", "ok", found)


def _weights() -> Check:
    names, broken = weights.names(), []
    for name in names:
        try:
            weights.load(name)
            if weights.read_card(name).float_file:
                weights.load(name, in_float=True)
        except UnmaskError as error:
            broken.append(f"{name}: {error.message}")
    if broken:
        return Check("weights", "broken", "; ".join(broken), "Reinstall unmask.")
    return Check("weights", "ok", f"{', '.join(names)} (SHA-256 verified)")


def _training() -> Check:
    missing = [name for name in TRAIN_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return Check(
            "training packages",
            "absent",
            f"not installed: {', '.join(missing)}",
            "To train: pip install 'unmask[train]'",
        )
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("torch", "timm"))
    return Check("training packages", "ok", versions)


def _credentials() -> Check:
    if importlib.util.find_spec("c2pa") is None:
        remedy = "To read them: pip install 'unmask[c2pa]'"
        return Check("content credentials", "absent", "c2pa-python is not installed", remedy)
    found = f"c2pa-python {importlib.metadata.version('c2pa-python')}"
    return Check("content credentials", "ok", found)


def _cuda() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("cuda", "absent", "torch is not installed")
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        found = f"torch is built for CUDA {built}, no usable GPU" if built else "torch without CUDA"
        return Check(
            "cuda",
            "absent",
            found,
            "With an NVIDIA GPU: check 'nvidia-smi' and the driver's version against torch's CUDA.",
        )
    count = torch.cuda.device_count()
    gpus = [torch.cuda.get_device_name(i) for i in range(count)]
    unfit = unsupported(
        [torch.cuda.get_device_capability(i) for i in range(count)], torch.cuda.get_arch_list()
    )
    if unfit:
        return Check(
            "cuda",
            "broken",
            f"this torch {torch.__version__} has no code for {gpus[unfit[0]]}",
            "Use another GPU (on Kaggle: T4 x2), a torch built for it, or loop.accelerator=cpu.",
        )
    return Check("cuda", "ok", f"CUDA {torch.version.cuda}: {', '.join(gpus)}")


def unsupported(capabilities: Sequence[tuple[int, int]], architectures: Sequence[str]) -> list[int]:
    """Numbers of the GPUs that a torch build has no code for.

    Args:
        capabilities: (major, minor) of each GPU; code of the same major and at most that minor
            runs on it.
        architectures: as `torch.cuda.get_arch_list` gives them; ``compute_XY`` is compiled for
            newer GPUs when first used.
    """
    built = [(word.partition("_")[0], word.partition("_")[2]) for word in architectures]
    codes = [
        (kind, int(number[:-1]), int(number[-1])) for kind, number in built if number.isdigit()
    ]

    def runs(major: int, minor: int) -> bool:
        return any(
            (m, n) <= (major, minor) and (m == major or kind == "compute") for kind, m, n in codes
        )

    return [i for i, one in enumerate(capabilities) if codes and not runs(*one)]


def _nvdec() -> Check:
    """Whether `prepare --decoder cuda` would work: by decoding something."""
    from unmask.device.choice import PAYS_FROM_MEGAPIXELS, missing_gpu

    missing = missing_gpu()
    if missing:
        return Check("nvdec", "absent", f"Videos are decoded on the CPU. {missing}")
    from unmask.device.trial import trial

    failed = trial()
    if failed:
        return Check(
            "nvdec",
            "broken",
            f"Videos are decoded on the CPU. {failed}",
            "In a container: start it with NVIDIA_DRIVER_CAPABILITIES=compute,utility,video.",
        )
    found = "Videos can be decoded on the GPU: prepare --decoder cuda"
    if PAYS_FROM_MEGAPIXELS is None:
        found += " (auto stays on the CPU until the crossover has been measured)"
    return Check("nvdec", "ok", found)


def _machine() -> Check:
    cores = usable_cores()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Check("processor and memory", "ok", f"{cores} cores, {memory:.0f} GiB")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 2**30
    writable = os.access(folder, os.W_OK)
    found = f"{free:.0f} GiB free in {folder}" + ("" if writable else ", not writable")
    if not writable or free < DISK_GIB_WANTED:
        return Check(
            "disk", "broken", found, "Choose another folder with --out, or free some space."
        )
    return Check("disk", "ok", found)
