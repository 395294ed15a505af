"""Evidence files beside a verdict: where they go, and writing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unmask.errors import InputError, UnmaskError
from unmask.faces import FaceDetector
from unmask.inference import Model
from unmask.types import Verdict, Warn


def outputs(videos: Sequence[Path], target: Path | None, suffix: str) -> list[Path] | list[None]:
    """Where each video's file goes: ``target`` itself, or within it where it is a folder.

    Args:
        videos: what is judged.
        target: a file with this suffix for one video; a folder, which is made, for any number;
            None where none is wanted.
        suffix: e.g. ``".html"``.

    Raises:
        InputError: ``output_name``: a file for several videos, or one with another suffix.
    """
    if target is None:
        return [None] * len(videos)
    if target.suffix.lower() == suffix and not target.is_dir():
        if len(videos) > 1:
            raise InputError(
                f"{target} is one file, and there are {len(videos)} videos.",
                code="output_name",
                hint="Name a folder instead.",
            )
        return [target]
    if target.suffix and not target.is_dir():
        raise InputError(f"{target} must end in {suffix}, or be a folder.", code="output_name")
    taken: set[str] = set()
    places = []
    for video in videos:
        name, number = video.name, 2
        while name in taken:
            name, number = f"{video.name}-{number}", number + 1
        taken.add(name)
        places.append(target / f"{name}{suffix}")
    return places


def illustrate(
    path: str | Path,
    verdict: Verdict,
    *,
    html: Path | None = None,
    annotate: Path | None = None,
    model: Model | None = None,
    faces: FaceDetector | None = None,
) -> list[Warn]:
    """Write the page and the annotated video that are wanted.

    Returns:
        What could not be done or must be known; a bad input stops neither the other file nor the
        next video.
    """
    notices: list[Warn] = []
    if html is not None:
        from unmask.report.html import write_html

        write_html(html, path, verdict, model=model, faces=faces)
    if annotate is not None and verdict.status == "completed":
        from unmask.report.annotate import write_annotated

        try:
            notices += write_annotated(annotate, path, verdict, progress=True)
        except InputError as error:
            notices.append(_notice(error))
    return notices


def _notice(error: UnmaskError) -> Warn:
    return Warn(error.code, str(error))
