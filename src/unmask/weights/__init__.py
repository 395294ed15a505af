"""Bundled networks: ONNX files, each beside a card that says what it is and where it comes from.

`load` hands out the path of a file only after its SHA-256 agrees with its card, so a damaged or
swapped network is an error and never a quiet source of other numbers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import yaml

from unmask.errors import ModelError
from unmask.files import sha256_file, write_text

__all__ = ["Card", "load", "locate", "names", "put_field", "read_card"]

FOLDER = Path(__file__).parent
DEFAULT_DETECTOR = "unmask-ensemble"
"""What `unmask detect` runs unless another model is named."""


@dataclass(frozen=True)
class Card:
    """What is known of one bundled network."""

    name: str
    file: str
    """File name beside the card."""
    sha256: str
    """Hex digest of the file's content."""
    task: str
    """``face_detection`` or ``deepfake_detection``."""
    source: str
    """Where the weights were taken from."""
    licence: str
    """SPDX identifier."""
    made_by: str
    """How the file was made from its source."""
    parity: str
    """How closely it repeats the original runtime."""
    float_file: str = ""
    """Where ``file`` computes in integers: the same network with weights in float16, which a GPU
    runs, training begins with and other precisions are exported from."""
    float_sha256: str = ""
    notes: str = ""
    data: str = ""
    """Of trained detectors: what it learned from, and on what terms."""
    recipe: str = ""
    """How it was trained, in words."""
    commands: str = ""
    """What to type to do it again, a line each."""
    commit: str = ""
    """Of this repository, at which it was trained."""
    metrics: str = ""
    """Measured on what it never saw, with intervals."""
    robustness: str = ""
    """A table in Markdown: how it stands compression, scaling, blur, noise and light."""
    failures: str = ""
    """What it is known to miss or to mistake."""
    intended_use: str = ""


def names(folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of the networks that have a card, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def read_card(name: str, folder: Path = FOLDER) -> Card:
    """The card of a bundled network.

    Raises:
        ModelError: ``model_missing`` (no such card), ``model_card`` (the card is not readable).
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise ModelError(
            f"No bundled network is called '{name}'.",
            code="model_missing",
            hint=f"Bundled: {', '.join(names(folder)) or 'none'}.",
        )
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _bad_card(path, str(error)) from error
    if not isinstance(tree, dict):
        raise _bad_card(path, "it is not a mapping")
    known = {field.name for field in dataclasses.fields(Card)} - {"name"}
    wanted = {
        field.name for field in dataclasses.fields(Card) if field.default is dataclasses.MISSING
    } - {"name"}
    if not wanted <= tree.keys() <= known or not all(isinstance(v, str) for v in tree.values()):
        raise _bad_card(path, f"it needs text under exactly: {', '.join(sorted(wanted))}")
    return Card(name=name, **{key: value.strip() for key, value in tree.items()})


def put_field(path: Path, field: str, text: str) -> None:
    """Write one field of a card as a block of lines; everything else stays as it is.

    Raises:
        ModelError: ``model_card``: the card cannot be read, or would not hold the text.
        ValueError: a card has no such field.
    """
    if field not in {item.name for item in dataclasses.fields(Card)}:
        raise ValueError(f"a card has no field {field!r}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _bad_card(path, str(error)) from error
    begin = next((n for n, line in enumerate(lines) if line.startswith(f"{field}:")), len(lines))
    end = begin + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in " #"):
        end += 1
    block = [f"{field}: |", *(f"  {line}".rstrip() for line in text.strip().splitlines())]
    whole = "\n".join([*lines[:begin], *block, *lines[end:]]) + "\n"
    if yaml.safe_load(whole).get(field, "").strip() != text.strip():
        raise _bad_card(path, f"it would not hold the new text of '{field}'")
    write_text(path, whole)


def load(name: str, folder: Path = FOLDER, *, in_float: bool = False) -> Path:
    """Path of a bundled network, its content checked against its card.

    Args:
        name: stem of the card, e.g. ``"libfacedetection"``.
        folder: where cards and files lie.
        in_float: its `Card.float_file`, where it has one.

    Raises:
        ModelError: ``model_missing`` (no card or no file), ``model_altered`` (other content than
            the card's SHA-256), ``model_card``.
    """
    card = read_card(name, folder)
    file, digest = card.file, card.sha256
    if in_float and card.float_file:
        file, digest = card.float_file, card.float_sha256
    path = folder / file
    if not path.is_file():
        raise ModelError(
            f"The file {file} of the network '{name}' is missing from {folder}.",
            code="model_missing",
            hint="Install unmask again.",
        )
    if sha256_file(path) != digest:
        raise ModelError(
            f"{path} is not the file that its card describes: its SHA-256 differs.",
            code="model_altered",
            hint="Install unmask again.",
        )
    return path


def locate(model: str | Path, *, in_float: bool = False) -> Path:
    """A path as it is, and a bundled network's name as the path of its checked file, whatever lies
    in the working folder under that name.

    Args:
        model: a path or a name.
        in_float: as `load`.

    Raises:
        ModelError: see `load`.
    """
    return load(str(model), in_float=in_float) if str(model) in names() else Path(model)


def _bad_card(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"The card {path} cannot be used: {reason}.",
        code="model_card",
        hint="Install unmask again.",
    )
