"""Read a still picture: upright RGB, with the same limits and errors as videos."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np

from unmask.errors import MediaError
from unmask.media.container import STILL_FORMATS, Limits, check_regular, open_container
from unmask.types import Frame, UInt8Array


def read_image(path: str | Path, limits: Limits | None = None) -> Frame:
    """The picture of a JPEG, PNG, WebP or BMP file, EXIF orientation applied, at time 0.

    Transparency is dropped; more than 8 bits are reduced to 8.

    Raises:
        MediaError: ``media_not_found``, ``media_not_regular``, ``media_empty``,
            ``media_unreadable``, ``media_format``, ``media_too_large``, ``media_damaged``.
    """
    path = check_regular(Path(path))
    with open_container(path, limits or Limits(), formats=STILL_FORMATS):
        pass  # its kind and its size were checked, before anything large was allocated
    try:
        bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        bgr = None
    except OSError as error:
        raise MediaError(
            f"Cannot read {path}: {error.strerror}.", code="media_unreadable"
        ) from error
    if bgr is None:
        raise MediaError(
            f"The picture {path} is damaged.",
            code="media_damaged",
            hint="It may be cut off; copy it again from its source.",
        )
    image = cast(UInt8Array, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
    return Frame(image=image, pts_seconds=0.0, index=0)
