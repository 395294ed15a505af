"""Results for readers: verdicts as JSON and as text, experiments as text."""

from unmask.report.json import as_dict, verdict_json
from unmask.report.text import experiment_text, limitations_text, verdict_text

__all__ = ["as_dict", "experiment_text", "limitations_text", "verdict_json", "verdict_text"]
