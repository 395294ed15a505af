"""Evidence files beside a verdict: where they go, and writing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unmask.errors import InputError
from unmask.faces import FaceDetector
from unmask.files import sha256_file
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
) -> tuple[list[Warn], bool]:
    """Write the page and the annotated video that are wanted.

    Returns:
        What could not be done or must be known, and whether all was written; a file that cannot be
        made stops neither the other one nor the next video. Of a video that could not be read
        there is a page, and no annotated video.
    """
    notices: list[Warn] = []
    whole = True
    if html is not None:
        from unmask.report.html import write_html

        try:
            write_html(html, path, verdict, model=model, faces=faces)
        except OSError as error:
            notices.append(_unwritable(html, error))
            whole = False
    if annotate is not None and verdict.status == "completed":
        from unmask.report.annotate import write_annotated

        try:
            notices += write_annotated(annotate, path, verdict, progress=True)
        except InputError as error:
            notices.append(Warn(error.code, str(error)))
            whole = False
        except OSError as error:
            notices.append(_unwritable(annotate, error))
            whole = False
    made = [place for place in (html, annotate) if place is not None and place.is_file()]
    if made and _is_another(Path(path), verdict.input.get("sha256")):
        for place in made:
            place.unlink()
        text = f"{Path(path).name} was changed since it was judged: its pictures are not shown."
        notices.append(Warn("media_changed", text))
        whole = False
    return notices, whole


def _is_another(path: Path, sha256: str | None) -> bool:
    """Whether another content lies there than was judged; the video has been read once more."""
    return sha256 is not None and path.is_file() and sha256_file(path) != sha256


def _unwritable(path: Path, error: OSError) -> Warn:
    return Warn("output_unwritable", f"Cannot write {path}: {error.strerror or error}.")
