"""OpenCV without its type stubs, which call every picture an array of any kind of number."""

from __future__ import annotations

from typing import Any

import cv2 as _cv2

cv2: Any = _cv2
