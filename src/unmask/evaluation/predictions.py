"""One row a video: what the model said about it, kept so that every result can be recomputed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unmask import files
from unmask.errors import InputError
from unmask.scoring import Calibration
from unmask.types import VideoRecord

JUDGED = "ok"

COLUMNS = (
    "path",
    "group",
    "label",
    "split",
    "method",
    "dataset",
    "status",
    "logit",
    "score",
    "decision",
    "frames_used",
    "face_px",
    "frame_logits",
)


@dataclass(frozen=True)
class Prediction:
    """One video of a manifest and its scores, or the reason why it has none."""

    path: str
    group: str
    label: int
    """1 = manipulated."""
    split: str = "test"
    method: str = ""
    status: str = JUDGED
    """``"ok"``, or the code of why there is no score, e.g. ``"no_face"``."""
    logit: float | None = None
    """Raw video logit."""
    score: float | None = None
    """Calibrated P(manipulated), 0-1."""
    decision: int | None = None
    """1 where the score reaches the threshold."""
    frame_logits: tuple[float, ...] = ()
    """Raw, of every crop that was used."""
    face_px: float | None = None
    """Median of the faces' longer sides, in pixels of the frame, where known."""
    dataset: str = ""
    """Which collection it is from, where known."""

    def __post_init__(self) -> None:
        judged = self.status == JUDGED
        if any((value is not None) != judged for value in (self.logit, self.score, self.decision)):
            raise ValueError(
                f"{self.path}: a video has logit, score and decision exactly when its status is ok"
            )

    @property
    def frames_used(self) -> int:
        """Crops that the score rests on."""
        return len(self.frame_logits)

    @classmethod
    def judged(
        cls,
        record: VideoRecord,
        calibration: Calibration,
        video_logit: float,
        frame_logits: Sequence[float],
        face_px: float | None = None,
    ) -> Prediction:
        """The row of a video that has a logit (see `unmask.scoring.video_logit`)."""
        score = calibration.score(video_logit)
        return cls(
            path=record.path,
            group=record.group,
            label=record.label,
            split=record.split,
            method=record.method,
            logit=float(video_logit),
            score=score,
            decision=int(score >= calibration.threshold),
            frame_logits=tuple(float(logit) for logit in frame_logits),
            face_px=face_px,
            dataset=record.dataset,
        )

    @classmethod
    def abstained(cls, record: VideoRecord, code: str) -> Prediction:
        """The row of a video that cannot be judged: no number, but never dropped."""
        return cls(
            record.path,
            record.group,
            record.label,
            record.split,
            record.method,
            code,
            dataset=record.dataset,
        )


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write the rows as CSV, atomically. Numbers keep every digit; what is not there is empty."""
    text = io.StringIO()
    writer = files.csv_table(text, COLUMNS)
    for row in predictions:
        values = {name: getattr(row, name) for name in COLUMNS}
        values["frame_logits"] = ";".join(map(repr, row.frame_logits))
        writer.writerow(values)
    files.write_text(path, text.getvalue())


def read_predictions(path: Path) -> tuple[Prediction, ...]:
    """The rows that `write_predictions` wrote.

    Raises:
        InputError: ``predictions_unreadable``: missing file, missing column or a bad value.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(_row(values) for values in csv.DictReader(file))
    except (OSError, KeyError, TypeError, AttributeError, ValueError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as predictions: {error}.",
            code="predictions_unreadable",
            hint="It must be a test_predictions.csv as training and evaluation write it.",
        ) from error


def _row(values: dict[str, str]) -> Prediction:
    def number(name: str) -> float | None:
        return float(values[name]) if values[name] else None

    return Prediction(
        path=values["path"],
        group=values["group"],
        label=int(values["label"]),
        split=values["split"],
        method=values["method"],
        dataset=values.get("dataset", ""),  # files of earlier versions lack it
        status=values["status"],
        logit=number("logit"),
        score=number("score"),
        decision=int(values["decision"]) if values["decision"] else None,
        frame_logits=tuple(float(word) for word in values["frame_logits"].split(";") if word),
        face_px=number("face_px"),
    )
