"""Which videos NVIDIA's decoder (NVDEC) can take, and how to ask PyAV for it; no torch here.

Pictures stay in the GPU's memory as two planes, NV12 (8 bits) or P010/P016 (10, 12 bits);
`unmask.device` makes them RGB. What NVDEC might decode but would come out otherwise than from the
CPU (4:4:4, odd sizes) is left to the CPU.
"""

from __future__ import annotations

import os
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel, HWDeviceType, hwdevices_available

from unmask.media.probe import MediaInfo
from unmask.types import Warn

SURFACES = {
    "yuv420p": "nv12",
    "yuvj420p": "nv12",
    "yuv420p10le": "p010le",
    "yuv420p12le": "p016le",
}
"""The layout on the GPU of what the CPU decodes to."""

EXACT = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "vc1", "wmv3"})
"""Codecs whose standard gives every pixel. MPEG-1, -2 and -4 and JPEG leave room in the
cosine transform, so that a GPU's pictures may differ from the CPU's."""

_DEVICES = Path("/dev")

# PyAV would ask for the primary context, which FFmpeg refuses once torch has made it with its own
# flags; so the context that torch has made current in this thread is taken.
_SHARED_CONTEXT = {"primary_ctx": "0", "current_ctx": "1"}


class HardwareRefusal(Exception):  # noqa: N818 - no error: the CPU takes over
    """A video is not for the GPU.

    Attributes:
        warn: why; None where that is nothing to be told.
    """

    def __init__(self, warn: Warn | None = None) -> None:
        super().__init__(warn.message if warn else "")
        self.warn = warn


def cuda_accelerator() -> HWAccel:
    """Settings of `open_video` that decode on the first GPU and leave pictures there.

    torch's CUDA context must be current in the thread that takes the first picture.
    """
    # The type stubs lag behind: options are strings, and None stands for the first device.
    return HWAccel("cuda", is_hw_owned=True, options=dict(_SHARED_CONTEXT))


def missing_driver() -> str:
    """Why no video at all can be decoded on a GPU here, in one sentence; empty where it may."""
    if "cuda" not in hwdevices_available():
        return "PyAV is built without CUDA decoding."
    if os.name != "posix":
        return ""
    # A container may hold any of the machine's cards; dxg: Windows Subsystem for Linux.
    there = any(_DEVICES.glob("nvidia[0-9]*")) or (_DEVICES / "dxg").exists()
    return "" if there else "There is no NVIDIA GPU here."


def decodable(decoder: str) -> bool:
    """Whether FFmpeg's decoder of this name can hand its work to NVDEC.

    It says nothing of the GPU at hand: older ones lack VP9, HEVC or AV1.
    """
    try:
        configs = av.Codec(decoder, "r").hardware_configs
    except (av.FFmpegError, ValueError):  # PyAV's UnknownCodecError is the latter
        return False
    return any(c.device_type == HWDeviceType.cuda and c.is_supported for c in configs)


def refuse_unfit(info: MediaInfo) -> None:
    """Raise `HardwareRefusal` where a video cannot come out of NVDEC as it does from the CPU."""
    if info.codec not in EXACT or not decodable(info.decoder):
        raise HardwareRefusal(
            Warn(
                "gpu_decode_codec",
                f"Decoded on the CPU: the GPU has no decoder for {info.codec} that gives the very "
                "same pictures.",
            )
        )
    if info.pixel_format not in SURFACES:
        raise HardwareRefusal(
            Warn(
                "gpu_decode_format",
                f"Decoded on the CPU: pictures of format {info.pixel_format} are not taken from "
                "a GPU.",
            )
        )
    if info.width_px % 2 or info.height_px % 2:
        raise HardwareRefusal(
            Warn(
                "gpu_decode_size",
                f"Decoded on the CPU: {info.width_px} x {info.height_px} is an odd size, of which "
                "a GPU leaves out the last chroma row or column.",
            )
        )
