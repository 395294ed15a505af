"""Videos, datasets and untrained detectors for the benchmarks, made once and kept in a folder."""

from __future__ import annotations

import sys
import tarfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from make_media import Image, portrait_frames, write_video

if TYPE_CHECKING:
    from unmask.inference.precision import Precision

FPS = 25
_LONGEST_ENCODED = 60  # longer videos are this one over and over, copied packet by packet


def video(folder: Path, width_px: int, height_px: int, seconds: int) -> Path:
    """A portrait that moves, H.264 with the encoder's defaults."""
    path = folder / f"portrait_{height_px}p_{seconds}s.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.mp4")
    if seconds > _LONGEST_ENCODED:
        repeated(video(folder, width_px, height_px, _LONGEST_ENCODED), part, seconds)
    else:
        write_video(part, portrait_frames(seconds * FPS, width_px, height_px), fps=FPS)
    return part.rename(path)


def repeated(source: Path, path: Path, seconds: int, once: int = _LONGEST_ENCODED) -> None:
    """Write ``source`` of ``once`` seconds as often as ``seconds`` need; nothing is encoded."""
    with av.open(str(path), "w") as out:
        stream, start = None, 0
        for _ in range(seconds // once):
            with av.open(str(source)) as copied:
                origin = copied.streams.video[0]
                stream = stream or out.add_stream_from_template(origin)
                for packet in copied.demux(origin):
                    if packet.dts is None:
                        continue
                    # Encoders give what has one time the other too, and every stream its clock.
                    packet.pts, packet.dts = cast(int, packet.pts) + start, packet.dts + start
                    packet.stream = stream
                    out.mux(packet)
                start += round(once / cast(Fraction, origin.time_base))


def tar_picture(shard: tarfile.TarFile, member: str | tarfile.TarInfo) -> Image:
    """RGB ``(H, W, 3)`` uint8 of an image file in a tar.

    Raises:
        ValueError: it is no file, or no picture.
    """
    file = shard.extractfile(member)
    content = b"" if file is None else file.read()
    image = (
        cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB) if content else None
    )
    if image is None:
        raise ValueError(f"no picture in {shard.name!r}: {member}")
    return np.asarray(image, np.uint8)


def dataset(folder: Path, videos: int, size_px: tuple[int, int] = (1280, 720)) -> Path:
    """``real`` and ``fake`` portraits of 4 seconds; the label plays no part here."""
    for number in range(videos):
        path = folder / ("fake" if number % 2 else "real") / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_video(path, portrait_frames(4 * FPS, *size_px, seed=number), fps=FPS)
    return folder


def detector(folder: Path, kind: str, precision: Precision = "fp32") -> Path:
    """An exported detector with random weights: its speed is a trained one's, its logits are not.

    Args:
        folder: where to.
        kind: ``vit`` (8 blocks of a small vision transformer at 168 px), ``lite0``
            (EfficientNet-Lite0 at 224 px), both with a linear head a frame.
        precision: as `unmask.verbs.export.export` takes it.
    """
    path = folder / f"{kind}_{precision}.onnx"
    if not path.exists():
        import torch

        from unmask.config import ClipSpec, ModelConfig, TrainConfig
        from unmask.models import build, save_model
        from unmask.verbs.export import export

        name, blocks, size_px = {
            "vit": ("vit_small_patch14_dinov2", 8, 168),
            "lite0": ("tf_efficientnet_lite0", 0, 224),
        }[kind]
        torch.manual_seed(0)
        model = ModelConfig("frame", name, "random", blocks, normalize_features=True)
        config = TrainConfig(clip=ClipSpec(frames=16, size_px=size_px), model=model)
        pth = folder / f"{kind}.pth"
        folder.mkdir(parents=True, exist_ok=True)
        network = build(model, size_px).eval()
        save_model(pth, pth.with_suffix(".safetensors"), network, config, {}, {})
        export(pth, path, precision=precision)
    return path
