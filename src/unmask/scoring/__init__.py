"""From the model's logits to words: pooling, calibration, segments in time, and the verdict.

Everything here is NumPy on plain numbers; training, evaluation and detection share it, so that a
threshold means the same everywhere.
"""

from unmask.scoring.calibrate import Calibration, cross_fit, fit
from unmask.scoring.familiarity import Familiarity, fit_familiarity
from unmask.scoring.guard import Guard, GuardLimits
from unmask.scoring.pool import ClipLogits, PoolingSpec, pool, speaking, video_logit
from unmask.scoring.segments import SegmentRule, find_segments
from unmask.scoring.sharpness import sharpness
from unmask.scoring.verdict import Sufficiency, evidence, judge, nothing_to_judge

__all__ = [
    "Calibration",
    "ClipLogits",
    "Familiarity",
    "Guard",
    "GuardLimits",
    "PoolingSpec",
    "SegmentRule",
    "Sufficiency",
    "cross_fit",
    "evidence",
    "find_segments",
    "fit",
    "fit_familiarity",
    "judge",
    "nothing_to_judge",
    "pool",
    "sharpness",
    "speaking",
    "video_logit",
]
