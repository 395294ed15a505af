"""From the model's logits to words: pooling, calibration, segments in time, and the verdict.

Everything here is NumPy on plain numbers; training, evaluation and detection share it, so that a
threshold means the same everywhere.
"""

from unmask.scoring.calibrate import Calibration, fit
from unmask.scoring.pool import ClipLogits, PoolingSpec, pool, video_logit
from unmask.scoring.segments import SegmentRule, find_segments
from unmask.scoring.sharpness import sharpness
from unmask.scoring.verdict import Sufficiency, evidence, judge, nothing_to_judge

__all__ = [
    "Calibration",
    "ClipLogits",
    "PoolingSpec",
    "SegmentRule",
    "Sufficiency",
    "evidence",
    "find_segments",
    "fit",
    "judge",
    "nothing_to_judge",
    "pool",
    "sharpness",
    "video_logit",
]
