"""The command `unmask`: one verb, one function. Heavy rooms are entered only when needed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from unmask import __version__
from unmask.errors import ConfigError, MissingExtraError, ModelError, UnmaskError
from unmask.files import printable, printable_text

EXIT_FAILED, EXIT_USAGE, EXIT_SOME_INPUTS, EXIT_INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="unmask",
    help="Tells whether the faces in a video were manipulated.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out, err = Console(highlight=False), Console(stderr=True, highlight=False)

Config = Annotated[Path | None, typer.Option("--config", "-c", help="A YAML file of settings.")]
Words = Annotated[
    list[str] | None, typer.Argument(help="Settings as key.sub=value, e.g. loop.epochs=5.")
]
TrustAnchors = Annotated[
    Path | None,
    typer.Option(help="PEM certificates of signers whose Content Credentials are trusted."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, for machines.")]


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"unmask {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Tells whether the faces in a video were manipulated."""


@app.command()
def prepare(
    data: Annotated[Path, typer.Argument(help="A dataset folder (docs/data.md).")],
    store: Annotated[Path, typer.Option("--out", "-o", help="Folder of the clips.")],
    config: Config = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes; default: the setting data.workers."),
    ] = None,
    decoder: Annotated[
        Literal["auto", "cpu", "cuda"] | None,
        typer.Option(help="Where videos are decoded; default: the setting data.decoder."),
    ] = None,
    words: Words = None,
    as_json: AsJson = False,
) -> None:
    """Cut a folder of videos into clips of faces. Run again to resume."""
    from unmask.config import load
    from unmask.verbs.prepare import prepare as run

    settings = load(config, words or ())
    report = run(
        data,
        store,
        clip=settings.clip,
        data_config=settings.data,
        seed=settings.loop.seed,
        workers=workers,
        decoder=decoder,
    )
    if as_json:
        _print_json(report.to_dict())
    else:
        _print_text(report.summary())
    if report.failed:
        raise typer.Exit(EXIT_SOME_INPUTS)


@app.command()
def train(
    data: Annotated[
        Path, typer.Argument(help="A dataset folder, a store of clips, or a bank of faces (.npz).")
    ],
    words: Words = None,
    config: Config = None,
    run_folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run's folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train, export and evaluate a detector. Run again to resume."""
    _need_training()
    from unmask.verbs.train import train as run

    report = run(data, config=config, out=run_folder, overrides=words or ())
    if as_json:
        _print_json(report.results)
    elif report.results:
        _print_text((report.run / "results" / "experiment_report.txt").read_text("utf-8"))


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A run's folder, a file or a bundled name.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="A dataset folder or a store.")],
    split: Annotated[
        Literal["train", "val", "test"], typer.Option(help="Which part of the data.")
    ] = "test",
    results: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the results; default: results-DATA-SPLIT."),
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="A table under compression, scaling, blur ...")
    ] = False,
    sample: Annotated[int, typer.Option(min=2, help="Videos of the robustness table.")] = 200,
    card: Annotated[
        Path | None, typer.Option(help="A model's card that is to hold the table.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a split and write metrics, predictions and plots, or the robustness table."""
    _need_training()
    if robustness:
        from unmask.evaluation.robustness import robustness_text
        from unmask.verbs.robustness import robustness as measure

        found = measure(model, data, split=split, out=results, videos=sample, card=card)
        if as_json:
            _print_json(found)
        else:
            _print_text(robustness_text(found))
        return
    from unmask.report import experiment_text
    from unmask.verbs.evaluate import evaluate as run

    tree = run(model, data, split=split, out=results, card=card)
    if as_json:
        _print_json(tree)
    else:
        _print_text(experiment_text(tree))


@app.command()
def calibrate(
    model: Annotated[Path, typer.Argument(help="A run's folder, a file or a bundled name.")],
    data: Annotated[
        list[Path], typer.Option("--data", "-d", help="A dataset folder or a store; repeatable.")
    ],
    split: Annotated[str, typer.Option(help="train, val or test: one never trained on.")] = "val",
    name: Annotated[str, typer.Option(help="A new name for the model.")] = "",
    version: Annotated[str, typer.Option(help="A new version for the model.")] = "",
    pth: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write; default: in place.")
    ] = None,
    under: Annotated[
        list[str] | None,
        typer.Option(help="Fit on copies harmed like this as well, e.g. h264_crf_32; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit score, threshold and evidence words of a trained model anew, on labelled videos."""
    _need_training()
    from unmask.verbs.calibrate import calibrate as run

    report = run(
        model, data, split=split, name=name, version=version, out=pth, conditions=under or ()
    )
    if as_json:
        told = report.calibration.to_dict() | {"cross_fitted": report.cross_fitted}
        _print_json({"model": str(report.model), **told})
    else:
        fitted = report.calibration
        out.print(
            f"{report.model}: fitted on {fitted.authentic} authentic and {fitted.manipulated} "
            f"manipulated videos; threshold {fitted.threshold:.3f} calls "
            f"{fitted.expected_bpcer or 0:.1%} of the authentic ones manipulated and misses "
            f"{fitted.expected_apcer or 0:.1%} of the manipulated ones."
        )
        if honest := report.cross_fitted:
            out.print(
                "Judged by a fit without their own people: "
                f"{_percents(honest['bpcer'])} of the authentic ones called manipulated, "
                f"{_percents(honest['apcer'])} of the manipulated ones missed; expected "
                f"calibration error {honest['ece']['value']:.3f}."
            )


@app.command()
def export(
    run_or_checkpoint: Annotated[Path, typer.Argument(help="A run's folder or best_model.pth.")],
    onnx: Annotated[Path | None, typer.Option("--out", "-o", help="The ONNX file.")] = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16 (half the size) or int8.")] = "fp32",
) -> None:
    """Write the best checkpoint as the ONNX file that `detect` runs."""
    _need_training()
    from unmask.verbs.export import TOLERANCE
    from unmask.verbs.export import export as run

    if precision not in TOLERANCE:
        raise typer.BadParameter(f"one of {', '.join(TOLERANCE)}", param_hint="--precision")
    _print_text(str(run(run_or_checkpoint, onnx, precision=precision)))


@app.command()
def detect(
    videos: Annotated[list[Path], typer.Argument(help="Videos or stills.", readable=False)],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="A bundled model's name, an .onnx file or an ensemble's .json."
        ),
    ] = None,
    frames: Annotated[int, typer.Option(min=4, help="Frames looked at in each video.")] = 32,
    html: Annotated[
        Path | None,
        typer.Option(help="A page to check it by: one file, or a folder for several videos."),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(help="The video with boxes, scores and a timeline: an .mp4, or a folder."),
    ] = None,
    trust_anchors: TrustAnchors = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Judge videos: who was manipulated, when, how sure, and what could not be judged."""
    from unmask.media import read_trust_anchors
    from unmask.report import limitations_text, verdict_json, verdict_text
    from unmask.report.illustrate import illustrate, outputs
    from unmask.verbs.detect import detect_many, open_faces, open_model

    pages = outputs(videos, html, ".html")
    films = outputs(videos, annotate, ".mp4")
    anchors = read_trust_anchors(trust_anchors) if trust_anchors else None
    network, finder = open_model(model), open_faces()
    failed = False
    limits: tuple[str, ...] = ()
    verdicts = detect_many(
        videos, model=network, faces=finder, frames=frames, trust_anchors=anchors
    )
    for number, verdict in enumerate(verdicts):
        failed |= verdict.status == "failed"
        if as_json:
            _print_text(verdict_json(verdict, ascii_only=not _prints_any_letter()))
        else:
            _print_text(verdict_text(verdict, limitations=False))
        limits = limits if verdict.error else verdict.limitations
        notices, whole = illustrate(
            videos[number],
            verdict,
            html=pages[number],
            annotate=films[number],
            model=network,
            faces=finder,
        )
        failed |= not whole
        for notice in notices:
            told = printable(f"{notice.message} [{notice.code}]")
            err.print(told, style="dim", markup=False, emoji=False, soft_wrap=True)
    if limits and not as_json:  # they hold for every file and are said once
        _print_text(limitations_text(limits))
    if failed:
        raise typer.Exit(EXIT_SOME_INPUTS)


@app.command()
def scan(
    results: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders, files and quoted patterns.", readable=False),
    ] = None,
    list_file: Annotated[
        Path | None,
        typer.Option("--list", help="A file of paths, one a line or NUL-separated; - for stdin."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="A bundled model's name, an .onnx file or an ensemble's .json."
        ),
    ] = None,
    frames: Annotated[int, typer.Option(min=4, help="Frames looked at in each video.")] = 32,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; default: one a core.")
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray: a Ray cluster.")] = "local",
    timeout_seconds: Annotated[
        float, typer.Option(min=1, help="A file that takes longer is given up.")
    ] = 600,
    memory_limit_mib: Annotated[
        int, typer.Option(min=512, help="A file that takes a worker beyond it is given up.")
    ] = 4096,
    thumbnails: Annotated[bool, typer.Option(help="Keep a small frame of each file.")] = True,
    trust_anchors: TrustAnchors = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Judge files that failed once more.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge folders of files; ended at any moment and run again, it goes on."""
    from unmask.media import read_trust_anchors
    from unmask.verbs.scan import scan as run

    if engine not in ("local", "ray"):
        raise typer.BadParameter("must be local or ray", param_hint="--engine")
    report = run(
        paths or (),
        results,
        list_file=list_file,
        model=model,
        frames=frames,
        workers=workers,
        engine="ray" if engine == "ray" else "local",
        timeout_seconds=timeout_seconds,
        memory_limit_mib=memory_limit_mib,
        thumbnails=thumbnails,
        trust_anchors=read_trust_anchors(trust_anchors) if trust_anchors else None,
        retry_failed=retry_failed,
    )
    if as_json:
        _print_json(report.to_dict())
    else:
        _print_text(report.summary())
    if report.failed:
        raise typer.Exit(EXIT_SOME_INPUTS)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Tell what works on this machine and how to mend what does not."""
    from dataclasses import asdict

    from rich.markup import escape
    from rich.table import Column, Table

    from unmask.verbs.doctor import doctor as run

    checks = run()
    if as_json:
        _print_json([asdict(check) for check in checks])
    else:
        table = Table(
            "", Column("what", no_wrap=True), "found", "to mend", box=None, pad_edge=False
        )
        marks = {"ok": "[green]ok[/]", "absent": "[yellow]absent[/]", "broken": "[red]broken[/]"}
        for check in checks:
            words = map(escape, (check.name, check.found, check.remedy))
            table.add_row(marks[check.status], *words)
        out.print(table)
    if any(check.status == "broken" for check in checks):
        raise typer.Exit(EXIT_FAILED)


def main() -> None:
    """Entry point: every error becomes a sentence, a code and an exit status."""
    try:
        app()
    except UnmaskError as error:
        _complain(error.code, error.message, error.hint)
        usage = isinstance(error, ConfigError | MissingExtraError | ModelError)
        sys.exit(EXIT_USAGE if usage else EXIT_FAILED)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:
            if "detect" in sys.argv[1:2]:
                _complain("interrupted", "Interrupted.", "To go on later, scan: it resumes.")
            else:
                _complain("interrupted", "Interrupted.", "Run the same command again: it resumes.")
        raise
    except OSError as error:
        _complain(
            "system", _what_failed(error), "See that the place exists, has space and is yours."
        )
        sys.exit(EXIT_FAILED)
    except Exception as error:
        if os.environ.get("UNMASK_DEBUG"):
            raise
        _complain(
            "internal",
            f"{type(error).__name__}: {error}",
            "This is a fault of unmask. Set UNMASK_DEBUG=1 for the traceback and report it.",
        )
        sys.exit(EXIT_FAILED)


def _percents(estimate: Mapping[str, float | None]) -> str:
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    between = "" if low is None or high is None else f" [{low:.1%}, {high:.1%}]"
    return f"{value or 0:.1%}{between}"


def _need_training() -> None:
    import importlib.util

    missing = [name for name in ("torch", "timm") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"This verb needs the training packages ({', '.join(missing)} missing).",
            hint="pip install 'unmask[train]'",
        )


def _what_failed(error: OSError) -> str:
    name = error.filename2 or error.filename
    what = error.strerror or str(error)
    return f"{name}: {what}." if name else f"The system refused: {what}."


def _complain(code: str, message: str, hint: str) -> None:
    err.print(f"[bold red]error[/] \\[{code}] ", end="")
    err.print(printable_text(message), markup=False, emoji=False, soft_wrap=True)
    if hint:
        err.print(printable_text(hint), style="dim", markup=False, emoji=False, soft_wrap=True)


def _print_text(text: str) -> None:
    """As it is: neither wrapped, nor searched for markup, nor refused by a narrow encoding."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


def _prints_any_letter() -> bool:
    return (sys.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")


def _print_json(tree: Any) -> None:
    sys.stdout.write(json.dumps(tree, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
