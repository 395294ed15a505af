"""The verb `detect`: a video in, a verdict out.

media -> faces -> clips -> model -> pooling -> calibration -> verdict, on the light install alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from unmask import __version__, weights
from unmask.clips import STILL_SUFFIXES, VideoClips, build_clips, clips_of_video
from unmask.config import FRAMES_LOOKED_AT, ClipSpec
from unmask.errors import InputError, MediaError, ModelError
from unmask.faces import DEFAULT as DEFAULT_FACES
from unmask.faces import FaceDetector, extract, load_detector
from unmask.files import path_text, sha256_file
from unmask.inference import Model, load_model
from unmask.media import Coverage, Limits, read_credentials, read_image
from unmask.scoring import (
    Calibration,
    ClipLogits,
    Guard,
    Sufficiency,
    judge,
    nothing_to_judge,
    pool,
)
from unmask.types import BoolArray, Clip, Face, FloatArray, UInt8Array, Verdict, Warn

TASK = "face_manipulation"  # what is judged, as the verdict names it


def detect(
    path: str | Path,
    *,
    model: str | Path | Model | None = None,
    faces: str | FaceDetector = DEFAULT_FACES,
    frames: int = FRAMES_LOOKED_AT,
    limits: Limits | None = None,
    trust_anchors: str | None = None,
) -> Verdict:
    """Judge one video or still.

    Args:
        path: the file.
        model: a bundled model's name, an exported ``.onnx`` file, an ensemble's ``.json``, or
            a loaded `Model`; the bundled one by default.
        faces: name of a face detector, or one that is loaded.
        frames: looked at over the whole video, rounded up to whole clips of the model.
        limits: what the file may ask for.
        trust_anchors: PEM certificates by which the signers of Content Credentials are trusted.

    Returns:
        A verdict in any case that concerns the file: with a score, with an abstention and its
        reasons, or with ``status == "failed"`` and an ``error``. Nothing is raised for bad media.

    Raises:
        ModelError: no model, or one that cannot be used.
    """
    verdicts = detect_many(
        [path],
        model=model,
        faces=faces,
        frames=frames,
        limits=limits,
        trust_anchors=trust_anchors,
    )
    return next(verdicts)


def detect_many(
    paths: Iterable[str | Path],
    *,
    model: str | Path | Model | None = None,
    faces: str | FaceDetector = DEFAULT_FACES,
    frames: int = FRAMES_LOOKED_AT,
    limits: Limits | None = None,
    trust_anchors: str | None = None,
    threads: int = 0,
) -> Iterator[Verdict]:
    """`detect` for many files: the networks are loaded once, at the call, one verdict a file.

    ``threads`` are those of the decoder and of networks that are not loaded yet; 0 = as many as
    this process may use.
    """
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    network = open_model(model, threads)
    finder = open_faces(faces, threads) if isinstance(faces, str) else faces
    spec, record = network.spec.looking_at(frames), network.calibration
    calibration, guard = Calibration.from_dict(record), Guard.from_record(record)
    walk = _Walk(network, finder, spec, calibration, guard, limits, trust_anchors, threads)
    return (walk.judge(Path(path)) for path in paths)


def open_model(model: str | Path | Model | None, threads: int = 0) -> Model:
    """What `detect` takes as its ``model``, loaded; the bundled one for None.

    ``threads`` as for `detect_many`.

    Raises:
        ModelError: no model, or one that cannot be used.
    """
    if isinstance(model, Model):
        return model
    return load_model(model or bundled_model(), threads=threads or None)


def open_faces(name: str = DEFAULT_FACES, threads: int = 0) -> FaceDetector:
    """The face detector that `detect` uses, loaded; by default on one thread, since the other
    cores decode."""
    return load_detector(name, threads or 1)


@dataclass(frozen=True)
class _Walk:
    """Everything that the way from a file to its verdict needs."""

    model: Model
    faces: FaceDetector
    spec: ClipSpec
    calibration: Calibration
    guard: Guard
    limits: Limits | None
    trust_anchors: str | None
    threads: int

    def judge(self, path: Path) -> Verdict:
        """The verdict on one file, which must stay what it is until its hash has been taken."""
        clock, before = _Clock(), _stamp(path)
        verdict = self._judge(path, clock)
        if _stamp(path) == before:
            return verdict
        error = MediaError(
            f"{path.name} was changed while it was judged.",
            code="media_changed",
            hint="Judge it again when nothing writes to it, or a copy of it.",
        )
        name = {"name": path_text(path.name)}
        return replace(
            _failed(error, path), input=name, model=verdict.model, runtime=verdict.runtime
        )

    def _judge(self, path: Path, clock: _Clock) -> Verdict:
        try:
            video = self._clips(path, clock)
            scored = self._score(video.clips, clock) if video.clips else []
        except InputError as error:
            return self._with_facts(_failed(error, path), path, clock)
        if scored:
            verdict = judge(
                pool(scored),
                self.calibration,
                needs=Sufficiency(min_frames=1) if video.single else None,
                step_seconds=video.coverage.step_seconds,
            )
        else:
            verdict = nothing_to_judge(video.coverage.frames_analysed, video.frames_with_face)
        return self._with_facts(verdict, path, clock, video)

    def _clips(self, path: Path, clock: _Clock) -> VideoClips:
        finder = _Timed(self.faces, clock)
        if path.suffix.lower() in STILL_SUFFIXES:
            return self._clips_of_picture(path, finder)
        video = clips_of_video(path, self.spec, finder, self.limits, self.threads)
        if video.single and self.spec.frames > 1:  # one crop is too few for a clip
            return clips_of_video(path, self._one, finder, self.limits, self.threads)
        return video

    @property
    def _one(self) -> ClipSpec:
        """What a file of one picture is cut by."""
        return replace(self.spec, frames=1, clips=1)

    def _clips_of_picture(self, path: Path, finder: FaceDetector) -> VideoClips:
        """Faces of a still; unlike a dataset's still, it need not be a face crop."""
        frame = read_image(path, self.limits)
        extraction = extract([frame], self._one, finder)
        height_px, width_px = frame.image.shape[:2]
        return VideoClips(
            clips=tuple(build_clips(extraction.tracks, self._one)),
            info=None,
            coverage=Coverage(1, 1, partial=False, analysed_ranges_seconds=[], warnings=()),
            frames_with_face=extraction.frames_with_face,
            tracks=len(extraction.tracks),
            warnings=extraction.warnings,
            single=True,
            still_px=(width_px, height_px),
        )

    def _score(self, clips: Sequence[Clip], clock: _Clock) -> list[ClipLogits]:
        """Logits of clips by the crops that the guard lets through."""
        frames = np.stack([clip.frames for clip in clips])
        codes = np.stack([self.guard.check(clip) for clip in clips])
        mask = np.stack([clip.mask for clip in clips]) & (codes == "")
        began = time.perf_counter()
        frame_logits = np.zeros(mask.shape, np.float32)
        clip_logits = np.zeros(len(clips), np.float32)
        rows = np.flatnonzero(mask.any(axis=1))
        if len(rows):
            frame_logits[rows], clip_logits[rows], features = self.model.logits_and_features(
                frames[rows], mask[rows]
            )
            strange = self.guard.unfamiliar(features, mask[rows])
            codes[rows] = np.where(mask[rows], strange, codes[rows])
            frame_logits, clip_logits = self._without(
                frames, mask, mask & (codes == ""), frame_logits, clip_logits
            )
        if not (np.isfinite(frame_logits).all() and np.isfinite(clip_logits).all()):
            raise InputError(
                f"{self.model.name} gives no finite number for a face of this file.",
                code="model_not_finite",
                hint="Export the model in another --precision, or train it anew at a lower rate.",
            )
        clock.model_seconds += time.perf_counter() - began
        return [
            ClipLogits.of(clip, frame_row, float(clip_row), code_row)
            for clip, frame_row, clip_row, code_row in zip(
                clips, frame_logits, clip_logits, codes, strict=True
            )
        ]

    def _without(
        self,
        frames: UInt8Array,
        before: BoolArray,
        after: BoolArray,
        frame_logits: FloatArray,
        clip_logits: FloatArray,
    ) -> tuple[FloatArray, FloatArray]:
        """The logits once more for clips that lost some of their crops, but not all."""
        rows = np.flatnonzero((before != after).any(axis=1) & after.any(axis=1))
        if len(rows):
            frame_logits[rows], clip_logits[rows] = self.model.logits(frames[rows], after[rows])
        return frame_logits, clip_logits

    def _with_facts(
        self, verdict: Verdict, path: Path, clock: _Clock, video: VideoClips | None = None
    ) -> Verdict:
        warnings = [*verdict.warnings, *(video.warnings if video else ())]
        if video and video.single:
            message = "A still shows nothing of the movement; judge with care."
            warnings.insert(0, Warn("single_picture", message))
        if video and video.info:
            warnings += video.info.warnings
        if verdict.score is not None and not verdict.calibrated:
            message = "The model was never calibrated: its score is no probability."
            warnings.append(Warn("not_calibrated", message))
        if verdict.score is not None:
            warnings += [Warn("calibration_note", note) for note in self.calibration.notes]
        return replace(
            verdict,
            input=_input_facts(path, video),
            coverage=_coverage_facts(video) if video else {},
            model={
                "name": self.model.name,
                "version": self.model.version,
                "weights_sha256": self.model.sha256,
                "task": TASK,
            },
            provenance=read_credentials(path, self.trust_anchors) if video else None,
            warnings=tuple(dict.fromkeys(warnings)),
            limitations=tuple(self.model.metadata.get("limitations", ())),
            runtime=clock.facts(self.model.device),
        )


class _Clock:
    """Where the seconds go."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.faces_seconds = 0.0
        self.model_seconds = 0.0

    def facts(self, device: str) -> dict[str, Any]:
        total = time.perf_counter() - self.began
        rest = total - self.faces_seconds - self.model_seconds
        return {
            "tool_version": __version__,
            "decoder": f"pyav {av.__version__}",
            "device": device,
            "seconds": round(total, 3),
            "decode_seconds": round(rest, 3),
            "faces_seconds": round(self.faces_seconds, 3),
            "model_seconds": round(self.model_seconds, 3),
        }


class _Timed:
    """A face detector with a stop-watch."""

    def __init__(self, inner: FaceDetector, clock: _Clock) -> None:
        self.name, self._inner, self._clock = inner.name, inner, clock

    def __call__(self, image: UInt8Array) -> list[Face]:
        began = time.perf_counter()
        try:
            return self._inner(image)
        finally:
            self._clock.faces_seconds += time.perf_counter() - began


def bundled_model() -> str:
    """The name of the model that is used where none is named.

    Raises:
        ModelError: ``model_missing``: none was shipped.
    """
    if weights.DEFAULT_DETECTOR in weights.names():
        return weights.DEFAULT_DETECTOR
    raise ModelError(
        "No trained model is at hand: this install holds none.",
        code="model_missing",
        hint="Install unmask again, or run 'unmask train DATA' and pass --model best_model.onnx.",
    )


def _stamp(path: Path) -> tuple[int, ...]:
    """Which content lies at a path, as far as the system tells without reading it."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _failed(error: InputError, path: Path) -> Verdict:
    """A page may go to strangers, who need not know in which folder the file lay."""
    message = error.message
    for place in (os.path.abspath(path), str(path)):  # noqa: PTH100 - as `unmask.media` names it
        if path.name:  # else it is a folder like "." or "/", and says nothing of a place
            message = message.replace(place, path.name)
    return Verdict(
        status="failed",
        input={},
        label="inconclusive",
        score=None,
        text=f"Not judged: {message}",
        reasons=(Warn(error.code, message),),
        error={"code": error.code, "message": message, "hint": error.hint},
    )


def _input_facts(path: Path, video: VideoClips | None) -> dict[str, Any]:
    """What is known of the file; a path that is no regular file is not touched."""
    facts: dict[str, Any] = {"name": path_text(path.name)}
    try:
        if path.is_file() and not path.is_symlink():
            facts |= {"size_bytes": path.stat().st_size, "sha256": sha256_file(path)}
    except OSError:  # unreadable: the error of the verdict says so already
        return facts
    if video is not None and video.still_px is not None:
        facts["width_px"], facts["height_px"] = video.still_px
    if video is not None and video.info is not None:
        info, rate = video.info, video.info.frame_rate_from_header
        duration = info.duration_seconds_from_header or video.seconds
        facts |= {
            "container": info.container,
            "codec": info.codec,
            "width_px": info.width_px,
            "height_px": info.height_px,
            "rotation_deg": info.rotation_deg,
            "duration_seconds": round(duration, 3) if duration and duration > 0 else None,
            "frame_rate": round(rate, 3) if rate and rate > 0 else None,
        }
    return facts


def _coverage_facts(video: VideoClips) -> dict[str, Any]:
    coverage = video.coverage
    return {
        "frames_decoded": coverage.frames_decoded,
        "frames_analysed": coverage.frames_analysed,
        "frames_with_face": video.frames_with_face,
        "partial": coverage.partial,
        "analysed_ranges_seconds": [
            [round(start, 3), round(end, 3)] for start, end in coverage.analysed_ranges_seconds
        ],
    }
