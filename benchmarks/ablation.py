"""What each ingredient of a recipe gives: one short training a change, from the same start.

Every run is of as many steps, with the same seed, on the same bank of faces, and is validated on
the same pairs: of every kind and from every collection, whether it was taught or not. A kind (a
collection) that is left out of training is so an unseen one. Runs lie in folders of their own; a
finished one is skipped and one that was interrupted goes on, so the same command can be given
again. The table goes between two marks of docs/results.md, named after the file of variants.

    python benchmarks/ablation.py faces.npz --config configs/unmask-base.yaml --steps 1500 \\
        --out runs/ablation --data people=STORE --data clips=STORE:val --write docs/results.md
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from page import put
from pairs import auc, auc_by_kind, score
from unmask.config import TrainConfig, load, to_dict
from unmask.data.facebank import FaceBank
from unmask.errors import ConfigError, StoreError
from unmask.files import sha256_file, write_json, write_text
from unmask.verbs.evaluate import score_split
from unmask.verbs.scorer import open_scorer
from unmask.verbs.train import train

VARIANTS = Path(__file__).with_suffix(".yaml")
RESULT = "ablation.json"

Tree = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One change of the recipe."""

    name: str
    words: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """A file name of it."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def variants(file: Path, base: TrainConfig) -> list[Variant]:
    """The changes that a file lists; see ``benchmarks/ablation.yaml``.

    Raises:
        ConfigError: ``config_syntax``: not such a list.
    """
    found = []
    try:
        for row in yaml.safe_load(file.read_text(encoding="utf-8")):
            if "without" in row:
                found += _without(row["without"], getattr(base.pairs, row["without"]))
            else:
                found.append(Variant(row["name"], tuple(row.get("words", ()))))
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} lists no variants: {error}", code="config_syntax") from error
    return found


def _without(part: str, weights: dict[str, float]) -> list[Variant]:
    """One variant for each member of ``pairs.kinds`` or ``pairs.sources``, without it."""
    what = {"kinds": "the kind", "sources": "the source"}[part]
    return [
        Variant(
            f"without {what} {name}",
            (f"pairs.{part}={json.dumps({k: v for k, v in weights.items() if k != name})}",),
        )
        for name in weights
        if len(weights) > 1
    ]


def settings(options: argparse.Namespace, base: TrainConfig, variant: Variant) -> list[str]:
    """Everything on top of the recipe: alike for all, then what the variant changes."""
    epochs = max(1, min(options.epochs, options.steps))
    alike = [
        f"loop.epochs={epochs}",
        f"loop.steps_per_epoch={options.steps // epochs}",
        "loop.max_minutes=0",
        f"loop.seed={options.seed}",
        "optim.early_stop_patience=1000000",
        f"pairs.val_sources={json.dumps(base.pairs.val_sources or base.pairs.sources)}",
    ]
    if options.start:
        alike.append(f"loop.start_from={options.start}")
    return [*alike, *options.words, *variant.words]


def run(
    options: argparse.Namespace,
    base: TrainConfig,
    variant: Variant,
    bank: FaceBank,
    bank_sha256: str,
) -> Tree:
    """Train and measure one variant, or read what it came to."""
    folder = options.out / variant.folder
    words = settings(options, base, variant)
    config = load(options.config, words)
    made_of = {"config": to_dict(config), "bank": bank_sha256, "data": options.data}
    made_of = json.loads(json.dumps(made_of))  # as it is read back
    known = folder / RESULT
    if known.is_file():
        result: Tree = json.loads(known.read_text(encoding="utf-8"))
        if result.get("made_of") == made_of:
            return result
    _share_validation(options.out, folder)
    report = train(options.bank, config=options.config, out=folder, overrides=words)
    if report.state.step != options.steps // config.loop.epochs * config.loop.epochs:
        raise SystemExit(
            f"{variant.name}: {report.state.step} steps instead of {options.steps}, since an epoch "
            "of its faces has fewer: give more --epochs."
        )
    result = {"name": variant.name, "made_of": made_of}
    result |= validation(folder, bank, config)
    result["held_out"] = {
        name: held_out(folder, Path(store), split)
        for name, store, split in map(_place, options.data)
    }
    write_json(known, result)
    return result


def _share_validation(out: Path, folder: Path) -> None:
    """Validation pairs take minutes to make and are the same for all: `validation_set` checks."""
    made = next(iter(sorted(out.glob("*/validation.npz"))), None)
    if made and not (folder / made.name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, folder / made.name)


def validation(folder: Path, bank: FaceBank, config: TrainConfig) -> Tree:
    """AUC on the validation pairs of every kind and of every source.

    A kind's fakes stand against all authentic faces, a source's against its own.
    """
    with np.load(folder / "validation.npz", allow_pickle=False) as columns:
        images, labels, kind, row = (columns[n] for n in ("images", "labels", "kind", "row"))
    scores, groups = score(open_scorer(folder), images), bank.group[row]
    taught = {name for name, weight in config.pairs.kinds.items() if weight > 0}
    kinds = auc_by_kind(scores, labels, kind, groups)
    everything = kinds.pop("all")
    kinds = {name: {**found, "taught": name in taught} for name, found in kinds.items()}
    sources = {}
    known = {name for name, weight in config.pairs.sources.items() if weight > 0}
    for source in np.unique(bank.source[row]):
        part = bank.source[row] == source
        sources[str(source)] = {
            **auc(labels, scores, groups, part),
            "taught": str(source) in known,
        }
    return {"all": everything, "kinds": kinds, "sources": sources}


def held_out(folder: Path, store: Path, split: str) -> Tree:
    """Video-level AUC on a store; without a value where its crops are not the model's."""
    try:
        rows = [
            row
            for row in score_split(folder, store, split).predictions
            if row.logit is not None and row.score is not None
        ]
    except StoreError as error:
        return {"value": None, "low": None, "high": None, "why": error.message}
    return auc(
        np.array([row.label for row in rows]),
        np.array([row.score for row in rows]),
        np.array([row.group for row in rows]),
        np.ones(len(rows), np.bool_),
    )


def tables(results: Sequence[Tree], options: argparse.Namespace) -> str:
    """The tables of docs/results.md in Markdown."""
    kinds = list(dict.fromkeys(name for result in results for name in result["kinds"]))
    sources = list(dict.fromkeys(name for result in results for name in result["sources"]))
    places = [name for name, _, _ in map(_place, options.data)]
    parts = [
        f"{options.steps} steps each, seed {options.seed}, {_start(options)}. AUC with 95 % "
        "bootstrap intervals by group, on validation pairs that are the same for all; a kind's "
        "fakes stand against all authentic faces, a source's against its own. *In italics*: not "
        "taught in that run.",
        _table(results, "kinds", kinds, [("all pairs", "all"), *((p, p) for p in places)]),
        "By the collection of the authentic face:",
        _table(results, "sources", sources, []),
    ]
    return "\n\n".join(parts)


def _start(options: argparse.Namespace) -> str:
    return f"all from {Path(options.start).name}" if options.start else "from the recipe's start"


def _table(
    results: Sequence[Tree], part: str, names: list[str], more: list[tuple[str, str]]
) -> str:
    lines = [
        f"| changed | {' | '.join([*names, *(title for title, _ in more)])} |",
        "|---" * (1 + len(names) + len(more)) + "|",
    ]
    for result in results:
        cells = [_cell(result[part].get(name)) for name in names]
        cells += [
            _cell(result["all"] if key == "all" else result["held_out"].get(key)) for _, key in more
        ]
        lines.append(f"| {result['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: Tree | None) -> str:
    if found is None or found["value"] is None:
        return "not comparable" if found and "why" in found else "not defined"
    text = f"{found['value']:.3f}"
    if found["low"] is not None:
        text += f" [{found['low']:.3f}, {found['high']:.3f}]"
    return text if found.get("taught", True) else f"*{text}*"


def _place(word: str) -> tuple[str, str, str]:
    """``NAME=STORE`` or ``NAME=STORE:SPLIT``."""
    name, equals, rest = word.partition("=")
    path, colon, split = rest.rpartition(":")
    if not equals or not rest:
        raise SystemExit(f"--data {word}: write NAME=STORE or NAME=STORE:SPLIT")
    return (
        (name, path, split) if colon and split in ("train", "val", "test") else (name, rest, "test")
    )


def main(arguments: Sequence[str] | None = None) -> list[Tree]:
    """Run what is not finished yet, print the tables and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bank", type=Path)
    parser.add_argument("--config", type=Path, required=True, help="the recipe")
    parser.add_argument("--variants", type=Path, default=VARIANTS, help="what is changed")
    parser.add_argument("--only", action="append", default=[], help="words of a variant's name")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=1, help="validations over the steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", default="", help="a model that every run begins with")
    parser.add_argument("--data", action="append", default=[], help="NAME=STORE[:SPLIT]")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--write", type=Path, help="a page with the two marks")
    parser.add_argument("words", nargs="*", help="settings of every run, e.g. loop.batch_size=24")
    options = parser.parse_intermixed_args(arguments)
    base = load(options.config, options.words)
    bank, bank_sha256 = FaceBank.load(options.bank), sha256_file(options.bank)
    chosen = [
        variant
        for variant in variants(options.variants, base)
        if not options.only or any(word in variant.name for word in options.only)
    ]
    results: list[Tree] = []
    for variant in chosen:
        results.append(run(options, base, variant, bank, bank_sha256))
        text = tables(results, options)
        write_text(options.out / "ablation.md", text + "\n")
        if options.write:
            page = options.write.read_text(encoding="utf-8")
            write_text(options.write, put(page, options.variants.stem, text))
    print(tables(results, options))
    return results


if __name__ == "__main__":
    main()
