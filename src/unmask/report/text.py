"""Verdicts and experiments as plain text, for terminals and logs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unmask.files import printable
from unmask.metrics import Estimate
from unmask.report.performance import performance_lines
from unmask.scoring.verdict import frames_text
from unmask.types import Evidence, Person, Segment, Verdict

WORDS: dict[Evidence, str] = {
    "not_applicable": "not applicable",
    "inconclusive": "inconclusive",
    "weak_evidence": "weak evidence",
    "moderate_evidence": "moderate evidence",
    "strong_evidence": "strong evidence",
    "very_strong_evidence": "very strong evidence",
}
DAMAGED = "The file is damaged: a part of it could not be read and was not judged."
_MEASURES = {
    "auc_roc": "AUC-ROC",
    "auc_pr": "AUC-PR",
    "eer": "EER",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "apcer": "APCER",
    "bpcer": "BPCER",
    "hter": "HTER",
    "bpcer_at_apcer_5": "BPCER at APCER 5 %",
    "ece": "ECE",
    "brier": "Brier score",
}
_RULE = "-" * 72
_NOTE_INDENT: dict[str, Any] = {
    "initial_indent": f"{'note':<14}",
    "subsequent_indent": " " * 14,
}


def short_score(value: float | None, digits: int = 2) -> str:
    """Never rounded to certainty: ``0.83``, ``> 0.99``, ``< 0.01``, ``no score``."""
    if value is None:
        return "no score"
    least = 10**-digits
    if value > 1 - least:
        return f"> {1 - least:.{digits}f}"
    return f"< {least:.{digits}f}" if value < least else f"{value:.{digits}f}"


def score_digits(verdict: Verdict) -> int:
    """How many digits tell a verdict's scores from the cut points that they lie below: 2, to 4."""
    scores = [person.score for person in verdict.people]
    scores += [verdict.score, *(verdict.interval or ())]
    return digits_between(scores, [verdict.threshold, *(verdict.cut_points or ())])


def digits_between(scores: Sequence[float | None], cuts: Sequence[float | None]) -> int:
    """The same for any scores and cut points."""
    close = [
        (score, cut)
        for score in scores
        for cut in cuts
        if score is not None and cut is not None and score < cut
    ]
    told = (n for n in (2, 3) if all(short_score(a, n) != short_score(b, n) for a, b in close))
    return next(told, 4)


def verdict_text(verdict: Verdict, *, limitations: bool = True) -> str:
    """A summary of one verdict: first the answer, then what it rests on.

    Args:
        verdict: of one file.
        limitations: with what the model cannot do, which is the same for every file.
    """
    name = verdict.input.get("name") or "input"
    if verdict.error is not None:
        error = verdict.error
        lines = [f"{name}: failed [{error['code']}]", f"  {error['message']}"]
        return _joined([*lines, f"  {error['hint']}"] if error["hint"] else lines)
    digits = score_digits(verdict)
    lines = [f"{name}: {WORDS[verdict.label]}{_numbers(verdict, digits)}", f"  {verdict.text}"]
    lines += [_person_line(person, digits) for person in verdict.people]
    if verdict.score is not None:  # without a score the text above gives the reasons
        lines += [f"  {'reason':<10} {reason.message}" for reason in verdict.reasons]
    lines += [_coverage_line(verdict.coverage), _model_line(verdict)]
    lines += [_credentials_line(verdict.provenance)]
    lines += [f"  {'warning':<10} {warn.message} [{warn.code}]" for warn in verdict.warnings]
    if limitations:
        lines += _notes(verdict.limitations)
    return _joined(lines)


def limitations_text(limitations: Iterable[str]) -> str:
    """What a model cannot do, a line each."""
    return _joined(_notes(limitations))


def _notes(limitations: Iterable[str]) -> list[str]:
    return [f"  {'note':<10} {limitation}" for limitation in limitations]


def _joined(lines: Iterable[str]) -> str:
    """One text for a terminal; a line stays one line, whatever name it holds."""
    return "\n".join(printable(line) for line in lines if line)


def _numbers(verdict: Verdict, digits: int) -> str:
    if verdict.score is None:
        return ""
    parts = [f"score {short_score(verdict.score, digits)}"]
    if verdict.interval is not None:
        parts[0] += f" [{', '.join(short_score(end, digits) for end in verdict.interval)}]"
    if verdict.threshold is not None:
        parts.append(f"threshold {short_score(verdict.threshold, digits)}")
    if not verdict.calibrated:
        parts.append("not calibrated")
    return f" ({', '.join(parts)})"


def _person_line(person: Person, digits: int) -> str:
    spans = ", ".join(_span(segment) for segment in person.segments)
    suspicious = f"; suspicious {spans}" if spans else ""
    return (
        f"  {f'person {person.person_id}':<10} {short_score(person.score, digits):<9}"
        f"{WORDS[person.label]}; {frames_text(person.frames)}, face {person.median_face_px:.0f} px"
        f"{suspicious}"
    )


def _span(segment: Segment) -> str:
    span = f"{segment.start_seconds:.1f}-{segment.end_seconds:.1f} s"
    if not segment.coarse:
        return span
    return f"{span} ({segment.frames} frames up to {segment.longest_step_seconds:.0f} s apart)"


def _coverage_line(coverage: Mapping[str, Any]) -> str:
    if not coverage:
        return ""
    frames, ranges = coverage["frames_analysed"], coverage["analysed_ranges_seconds"]
    spans = ", ".join(f"{a:.1f}-{b:.1f} s" for a, b in ranges) if frames > 1 else ""
    return (
        f"  {'looked at':<10} {frames_text(frames)}, "
        f"{coverage['frames_with_face']} with a face{f' ({spans})' if spans else ''}"
        f"{'; the file is damaged, the rest could not be read' if coverage['partial'] else ''}"
    )


def _model_line(verdict: Verdict) -> str:
    if not verdict.model:
        return ""
    seconds = verdict.runtime.get("seconds")
    time = "" if seconds is None else f"; {seconds:.1f} s on {verdict.runtime.get('device')}"
    return f"  {'model':<10} {verdict.model.get('name')} {verdict.model.get('version')}{time}"


def _credentials_line(found: Mapping[str, Any] | None) -> str:
    """Only where there is something: that most files carry nothing is no news."""
    if found is None or found["state"] not in ("present", "unreadable"):
        return ""
    if found["state"] == "unreadable":
        state = f"cannot be read: {'; '.join(found['problems'])}"
    else:
        valid = "valid" if found["valid"] else f"not valid ({', '.join(found['problems'])})"
        trust = {True: "trusted", False: "not trusted", None: "not looked up"}[found["trusted"]]
        state = f"{valid}; signer {found['issuer'] or 'without a name'}, {trust}"
    return f"  {'origin':<10} Content Credentials {state}"


def experiment_text(results: Mapping[str, Any]) -> str:
    """The report of a results tree (``experiment_results.json``) for people."""
    parts = [
        _title("unmask experiment report"),
        _facts_of(results),
        _title("Measures, with 95 % intervals over resampled groups"),
        _measures(results),
        _breakdown("By method, against all authentic videos", results.get("by_method", {})),
        _breakdown("By source", results.get("by_source", {})),
        _breakdown("By face size", results.get("by_face_size", {})),
        *[
            _title(name.capitalize()) + "\n" + _pairs(results[name])
            for name in ("model", "training", "timings", "versions")
            if results.get(name)
        ],
        _performance(results.get("performance")),
        _title("How to read this"),
        textwrap.fill(results["convention"], 88),
        "Intervals: {kind}; {resamples} resamples, seed {seed}.".format(**results["intervals"]),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def training_text(training: Mapping[str, Any], performance: Mapping[str, Any]) -> str:
    """The report of a run on a bank of faces, which has no test split."""
    parts = [
        _title("unmask experiment report"),
        "Trained on pairs made of a bank of faces: no test split, so nothing is measured on one.",
        _title("Training") + "\n" + _pairs(training),
        _performance(performance),
    ]
    return "\n".join(parts) + "\n"


def _performance(tree: Mapping[str, Any] | None) -> str:
    if not tree:
        return ""
    return "\n".join(
        [_title("Performance: where the time of the training went"), *performance_lines(tree)]
    )


def _title(words: str) -> str:
    return f"\n{words}\n{_RULE}"


def _facts_of(results: Mapping[str, Any]) -> str:
    counts, fitted = results["counts"], results["calibration"]
    reasons = ", ".join(f"{code} {n}" for code, n in counts["not_judged"].items())
    lines = [
        f"split         {', '.join(results['split']) or 'none'}",
        f"videos        {counts['judged']} judged of {counts['videos']}"
        + (f" (not judged: {reasons})" if reasons else ""),
        f"classes       {counts['authentic']} authentic, {counts['manipulated']} manipulated, "
        f"in {counts['groups']} groups; {counts['frames']} frames",
        f"threshold     {fitted['threshold']:.4f}; on validation BPCER "
        f"{_share(fitted['expected_bpcer'])}, APCER {_share(fitted['expected_apcer'])}",
        f"calibration   temperature {fitted['temperature']:.4f}, offset {fitted['offset']:.4f}, "
        f"fitted on {fitted['authentic']} authentic and {fitted['manipulated']} manipulated videos",
    ]
    notes = [textwrap.fill(note, 88, **_NOTE_INDENT) for note in fitted["notes"]]
    return "\n".join([*lines, *notes])


def _measures(results: Mapping[str, Any]) -> str:
    rows = [
        (words, Estimate(**results["video"][name]).text, Estimate(**results["frame"][name]).text)
        for name, words in _MEASURES.items()
    ]
    return _table([("", "video level", "frame level"), *rows])


def _breakdown(title: str, parts: Mapping[str, Any]) -> str:
    if not parts:
        return ""
    head = ("", "authentic", "manipulated", "AUC-ROC", "APCER", "BPCER")
    rows = [
        (
            name,
            str(part["authentic"]),
            str(part["manipulated"]),
            *(Estimate(**part[measure]).text for measure in ("auc_roc", "apcer", "bpcer")),
        )
        for name, part in parts.items()
    ]
    return _title(title) + "\n" + _table([head, *rows])


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = list(rows)
    widths = [max(len(row[column]) for row in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in lines
    )


def _pairs(tree: Mapping[str, Any]) -> str:
    """One line a value; a mapping within gives a line each of its own."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= value if isinstance(value, Mapping) else {key: value}
    width = max(len(str(key)) for key in flat)
    return "\n".join(f"{key:<{width}}  {_value(value)}" for key, value in flat.items())


def _value(value: Any) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1000 else str(value)
