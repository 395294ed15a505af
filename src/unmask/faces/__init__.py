"""Faces: found in every sampled frame, followed over time, cut out upright and alike.

`extract` is the way through the room; `load_detector` gives the network behind it, and `align` is
the one function that cuts crops, for training and detection alike.
"""

from unmask.faces.align import align
from unmask.faces.detect import DEFAULT, FaceDetector, load_detector
from unmask.faces.extract import Extraction, extract
from unmask.faces.track import Tracker

__all__ = [
    "DEFAULT",
    "Extraction",
    "FaceDetector",
    "Tracker",
    "align",
    "extract",
    "load_detector",
]
