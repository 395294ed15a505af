"""The walk from a file to its clips with the frames on one device; only crops come to the host.

    NVDEC -> planes (DLPack) -> RGB -> a small picture to the face detector -> crops -> host

Finding, following and choosing faces are the very functions of the CPU's walk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from unmask.clips import STILL_SUFFIXES, VideoClips
from unmask.clips import clips_of as clips_of_on_cpu
from unmask.clips.build import cut_clips
from unmask.config import ClipSpec
from unmask.device.crop import align_faces, shrink_area
from unmask.device.memory import is_out_of_memory, release_memory
from unmask.device.picture import OUT_OF_MEMORY, DeviceConverter
from unmask.errors import MediaError
from unmask.faces import Extraction, FaceDetector
from unmask.faces.detect import SmallPictureDetector
from unmask.faces.extract import Gathering
from unmask.media import Limits, Video, ahead, open_video
from unmask.media.hardware import HardwareRefusal, cuda_accelerator, refuse_unfit
from unmask.media.sample import choose, sample_as
from unmask.types import Face, UInt8Array, Warn

T = TypeVar("T")
Picture = tuple[int, float, torch.Tensor]  # slot, pts_seconds, (H, W, 3) uint8

PICTURES_AT_ONCE = 8
"""Whose crops travel together; the pictures stay in the device's memory meanwhile."""

CUDA = torch.device("cuda", 0)


def clips_of(
    path: str | Path,
    spec: ClipSpec,
    detector: FaceDetector,
    limits: Limits | None = None,
    *,
    device: torch.device = CUDA,
    least_megapixels: float = 0.0,
) -> VideoClips:
    """`unmask.clips.clips_of` on a GPU; what the GPU cannot do, the CPU does, with a warning why.

    A file is never decoded in part here and in part there.

    Args:
        path: a video or a still (which is read on the CPU).
        spec: how.
        detector: finds the faces.
        limits: what the file may ask for.
        device: where the pictures are kept; on a ``cpu`` device they are decoded there as well.
        least_megapixels: a file with less to decode is left to the CPU without a warning.

    Raises:
        MediaError: the file cannot be read (by the CPU either).
    """
    if Path(path).suffix.lower() in STILL_SUFFIXES:
        return clips_of_on_cpu(path, spec, detector, limits)
    try:
        return clips_of_video(
            path, spec, detector, limits, device=device, least_megapixels=least_megapixels
        )
    except HardwareRefusal as refusal:
        why = refusal.warn
    except (MediaError, RuntimeError) as error:  # of CUDA's faults torch makes RuntimeErrors
        cause = error.__cause__ or error  # a device that fails reads as if the file were at fault
        first = (str(cause).splitlines() or [type(cause).__name__])[0]
        why = Warn("gpu_decode_failed", f"Decoded on the CPU: the GPU's decoder failed: {first}")
        if is_out_of_memory(error):
            why = OUT_OF_MEMORY
    if why is OUT_OF_MEMORY:
        release_memory(device)  # the other workers' files want it
    found = clips_of_on_cpu(path, spec, detector, limits, threads=1)
    return dataclasses.replace(found, warnings=found.warnings + ((why,) if why else ()))


def clips_of_video(
    path: str | Path,
    spec: ClipSpec,
    detector: FaceDetector,
    limits: Limits | None = None,
    *,
    device: torch.device = CUDA,
    least_megapixels: float = 0.0,
) -> VideoClips:
    """The same without the CPU's help.

    Raises:
        HardwareRefusal: the file is not for the GPU, or fewer pictures came out of it than were
            asked for. What a GPU conceals of damage within a picture, FFmpeg does not tell.
        MediaError: the file cannot be read as video.
        torch.OutOfMemoryError, RuntimeError: from CUDA.
    """
    on_gpu = device.type == "cuda"
    accelerator = cuda_accelerator() if on_gpu else None
    with open_video(path, limits, threads=1, accelerator=accelerator) as video:
        info = video.info
        if len(video.timeline) * info.width_px * info.height_px < least_megapixels * 1e6:
            raise HardwareRefusal
        refuse_unfit(info)
        pictures = _in_context(sample_as(video, spec, DeviceConverter(device, info)), device)
        with closing(ahead(pictures)) as frames:
            extraction = extract(frames, spec, detector)
        if on_gpu:
            _check_whole(video, spec)
        return cut_clips(video, extraction, spec, "cuda" if on_gpu else "cpu")


def extract(pictures: Iterable[Picture], spec: ClipSpec, detector: FaceDetector) -> Extraction:
    """`unmask.faces.extract` of pictures on a device."""
    people = Gathering(spec)
    for batch in _batches(pictures, PICTURES_AT_ONCE):
        chosen = []
        for _, _, picture in batch:
            height, width = picture.shape[:2]
            chosen.append(people.choose(_find(picture, detector), width, height))
        crops = iter(_crops(batch, chosen, spec))
        for (slot, pts_seconds, _), faces in zip(batch, chosen, strict=True):
            people.add(faces, list(islice(crops, len(faces))), pts_seconds, slot)
    return people.result()


def _find(picture: torch.Tensor, detector: FaceDetector) -> list[Face]:
    """Only the small picture that the detector looks at travels to the host."""
    if not isinstance(detector, SmallPictureDetector):
        return detector(_host(picture))
    height, width = picture.shape[:2]
    return detector.find(lambda w, h: _host(shrink_area(picture, w, h)), width, height)


def _crops(batch: list[Picture], chosen: list[list[Face]], spec: ClipSpec) -> Iterator[UInt8Array]:
    """Crops of all faces of some pictures, in order, after one copy to the host."""
    cut = [
        align_faces(picture, faces, spec.size_px, spec.margin)
        for (_, _, picture), faces in zip(batch, chosen, strict=True)
        if faces
    ]
    for crop in _host(torch.cat(cut)) if cut else ():
        yield crop.copy()  # a track keeps its crops, not those of all tracks


def _host(pixels: torch.Tensor) -> UInt8Array:
    return np.asarray(pixels.cpu().numpy(), np.uint8)


def _in_context(pictures: Iterator[Picture], device: torch.device) -> Iterator[Picture]:
    """In the thread that takes the first picture: FFmpeg shares the context that is current."""
    if device.type == "cuda":
        torch.zeros(1, device=device)
    yield from pictures


def _check_whole(video: Video, spec: ClipSpec) -> None:
    """Raise `HardwareRefusal` where the GPU gave less than was asked of it.

    The CPU then says what is damaged, so that this does not depend on the decoder.
    """
    slots, _ = choose(video.timeline.seconds, video.timeline.end_seconds, spec)
    coverage = video.coverage
    damaged = any(warning.code == "damaged_pictures" for warning in coverage.warnings)
    if damaged or coverage.frames_analysed < len(slots):
        raise HardwareRefusal(
            Warn(
                "gpu_decode_damaged",
                f"Decoded on the CPU: the GPU gave {coverage.frames_analysed} of {len(slots)} "
                "pictures, or damaged ones.",
            )
        )


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
