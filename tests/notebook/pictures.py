"""What a picture of the notebook shows."""

import cv2
import numpy as np

from unmask.notebook import Picture


def pixels(picture: Picture | None) -> np.ndarray:
    """RGB ``(H, W, 3)``."""
    assert picture is not None
    return cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_COLOR_RGB)
