"""A small bank on the fly: the public-domain astronaut in many guises."""

from __future__ import annotations

import cv2
import numpy as np
from skimage.data import astronaut

from unmask.augment.warp import transform
from unmask.data.facebank import BankedFace, FaceBank
from unmask.data.landmarks import mean_face
from unmask.types import FAKE, REAL

KEYPOINTS = np.array([(204, 108), (243, 107), (228, 128), (208, 147), (244, 146)], np.float32)
CENTRE, SIDE_PX = (225.0, 125.0), 160


def face(
    name: str,
    source: str,
    group: str,
    split: str,
    label: int = REAL,
    partner: str = "",
    *,
    tone: float = 1.0,
    zoom: float = 0.9,
    turn_deg: float = 0.0,
) -> BankedFace:
    """One guise: turned, zoomed, brightened."""
    matrix = cv2.getRotationMatrix2D(CENTRE, turn_deg, zoom).astype(np.float32)
    matrix[:, 2] += SIDE_PX / 2 - np.float32(CENTRE)
    image = cv2.warpAffine(astronaut(), matrix, (SIDE_PX, SIDE_PX))
    image = cv2.convertScaleAbs(image, alpha=tone)
    if label == FAKE:
        image = cv2.GaussianBlur(255 - image, (0, 0), 2)
    jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    points = transform(mean_face(KEYPOINTS), matrix)
    return BankedFace(jpeg, points, 0.9, name, source, group, split, label, partner)


def bank() -> FaceBank:
    """Two sources of stills, one recording a split, fakes of some stills."""
    faces = []
    for split in ("train", "val"):
        for i in range(6):
            name, group = f"dfdc/{split}{i}", f"dfdc/id{split}{i}"
            look = {"tone": 0.7 + 0.1 * i, "turn_deg": 3.0 * i - 8}
            faces.append(face(name, "dfdc", group, split, **look))
            if i < 3:
                faces.append(face(f"{name}f", "dfdc", group, split, FAKE, name, **look))
        for i in range(5):
            name = f"portraits/{split}{i}"
            look = {"tone": 0.8 + 0.08 * i, "zoom": 0.8 + 0.04 * i}
            faces.append(face(name, "portraits", name, split, **look))
        for i in range(6):
            name = f"clips/{split}/{i:03d}"
            faces.append(face(name, "clips", f"clips/{split}", split, turn_deg=float(i)))
    return FaceBank.of(faces)
