"""Decode a few pictures on the GPU, to know rather than to assume."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

import av
import numpy as np
import torch
from av.video.stream import VideoStream

from unmask.device.picture import DeviceConverter
from unmask.device.walk import CUDA
from unmask.errors import MediaError
from unmask.media import open_video
from unmask.media.hardware import HardwareRefusal, cuda_accelerator

_SIDE_PX, _PICTURES = 256, 4
_GREYS = (40, 90, 140, 190)


def trial(device: torch.device = CUDA) -> str:
    """Encode four grey pictures, decode them on the device and look whether they are the same.

    Returns:
        What went wrong, in one sentence; empty where nothing did.
    """
    with tempfile.TemporaryDirectory(prefix="unmask-") as folder:
        path = Path(folder) / "trial.mp4"
        try:
            _write(path)
            greys = _decode(path, device)
        except HardwareRefusal as refusal:
            return str(refusal)
        except (MediaError, RuntimeError, OSError) as error:
            cause = error.__cause__ or error  # what a device refuses reads as the file's fault
            return f"A trial failed: {type(cause).__name__}: {cause}"
    if len(greys) != _PICTURES or not np.allclose(greys, _GREYS, atol=3):
        return f"A trial gave grey values of {greys} instead of {list(_GREYS)}."
    return ""


def _write(path: Path) -> None:
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=25))
        stream.width = stream.height = _SIDE_PX
        stream.pix_fmt = "yuv420p"
        for grey in _GREYS:
            image = np.full((_SIDE_PX, _SIDE_PX, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def _decode(path: Path, device: torch.device) -> list[float]:
    accelerator = None
    if device.type == "cuda":
        torch.zeros(1, device=device)  # the context that FFmpeg shares
        accelerator = cuda_accelerator()
    with open_video(path, threads=1, accelerator=accelerator) as video:
        convert = DeviceConverter(device, video.info)
        pictures = video.converted(range(len(video.timeline)), convert, gap_seconds=1.0)
        return [round(float(picture.float().mean()), 1) for _, _, picture in pictures]
