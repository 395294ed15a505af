"""A decoder's picture, on a GPU or off it, -> upright RGB as a tensor."""

from __future__ import annotations

import torch
from av.video.frame import VideoFrame
from torch.utils.dlpack import from_dlpack

from unmask.device.colour import Siting, rgb_of_planes
from unmask.device.siting import siting_of
from unmask.media import MediaInfo
from unmask.media.hardware import SURFACES, HardwareRefusal
from unmask.media.picture import Orientation, colour_of
from unmask.types import Warn

OUT_OF_MEMORY = Warn("gpu_memory", "Decoded on the CPU: the GPU's memory was too small.")
_BITS = {"nv12": 8, "p010le": 10, "p016le": 12}


class DeviceConverter:
    """The twin of `unmask.media.picture.RgbConverter`; keep one a stream.

    Args:
        device: ``cuda``: takes pictures that NVDEC has left there, without a copy (DLPack);
            ``cpu``: takes decoded ones, to have the same arithmetic where no GPU is.
        info: of the video; pictures that come out in another size are refused.
    """

    def __init__(self, device: torch.device, info: MediaInfo) -> None:
        self._device = device
        self._size_px = (info.width_px, info.height_px)
        self._orientation = Orientation()
        self._siting: Siting | None = None

    def __call__(self, frame: VideoFrame) -> torch.Tensor:
        """The picture as RGB, ``(H, W, 3)`` uint8 on the device, upright.

        Raises:
            HardwareRefusal: the CPU has to take the file.
        """
        matrix, full = colour_of(frame)
        if self._device.type == "cuda":
            layout = frame.sw_format
            if layout is None:
                raise HardwareRefusal(
                    Warn("gpu_decode_failed", "Decoded on the CPU: the GPU's decoder declined it.")
                )
        else:
            frame = frame.reformat(format=SURFACES.get(frame.format.name))
            layout = frame.format
        if layout.name not in _BITS:
            raise HardwareRefusal(
                Warn(
                    "gpu_decode_format",
                    f"Decoded on the CPU: pictures of format {layout.name} are not taken from "
                    "a GPU.",
                )
            )
        bits = _BITS[layout.name]
        if bits > 8 and self._siting is None:
            self._siting = siting_of(frame)
        luma, chroma = self._planes(frame)
        siting = self._siting or Siting()
        try:
            rgb = rgb_of_planes(
                luma, chroma, matrix=matrix.name, full=full, bits=bits, siting=siting
            )
            upright = _upright(rgb, *self._orientation(frame))
        except torch.OutOfMemoryError as error:  # a RuntimeError, which would count as damage
            raise HardwareRefusal(OUT_OF_MEMORY) from error
        if (upright.shape[1], upright.shape[0]) != self._size_px:
            # A frame whose left or top is to be cropped keeps that part on a GPU; and sizes change.
            raise HardwareRefusal(
                Warn(
                    "gpu_decode_size",
                    f"Decoded on the CPU: the GPU gives pictures of {upright.shape[1]} x "
                    f"{upright.shape[0]} instead of {self._size_px[0]} x {self._size_px[1]}.",
                )
            )
        return upright

    def _planes(self, frame: VideoFrame) -> tuple[torch.Tensor, torch.Tensor]:
        if self._device.type == "cuda":
            # FFmpeg fills the planes on the context's default stream, and PyAV leaves it to us to
            # wait for that: it refuses the stream that torch would hand it by itself.
            torch.cuda.default_stream(self._device).synchronize()
        luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in frame.planes)
        return luma, chroma


def _upright(image: torch.Tensor, transpose: bool, flip_x: bool, flip_y: bool) -> torch.Tensor:
    if transpose:
        image = image.transpose(0, 1)
    dims = [dim for dim, flip in ((1, flip_x), (0, flip_y)) if flip]
    return (image.flip(dims) if dims else image).contiguous()
