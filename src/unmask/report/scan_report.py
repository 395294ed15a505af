"""What a scan did, for whoever started it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unmask.files import path_text, printable
from unmask.report.scan_page import Reason


@dataclass(frozen=True)
class ScanReport:
    """What a scan did, and what stands in its folder now."""

    out: Path
    paths: int
    """Files that were asked for."""
    skipped: int
    """Files of the folders that are no media."""
    files: int
    """Distinct ones: lines in ``results.jsonl``."""
    duplicates: int
    """Paths whose content stands under another path."""
    judged: int
    """In this run; the other files were judged before."""
    failed: int
    labels: dict[str, int]
    """How many files got each label; those that failed are not among them."""
    reasons: tuple[Reason, ...]
    """Why files failed, the most frequent first."""
    seconds: float
    written: tuple[str, ...]
    """Names of the files in ``out``."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"out": path_text(str(self.out)), "seconds": round(self.seconds, 3)}

    def summary(self) -> str:
        """A few lines for people; why files failed comes last."""
        known = self.files - self.judged
        rate = f" ({self.judged / self.seconds:.1f}/s)" if self.judged else ""
        lines = [
            f"{path_text(str(self.out))}: {self.files} files; {self.judged} judged now in "
            f"{self.seconds:.1f} s{rate}, {known} before",
            *(f"  {count:>7} {label.replace('_', ' ')}" for label, count in self.labels.items()),
        ]
        if self.duplicates:
            lines.append(f"  {self.duplicates:>7} copies of these files, judged with them")
        if self.skipped:
            lines.append(f"  {self.skipped:>7} other files skipped: no media")
        lines.append(f"  see {', '.join(self.written)}")
        if self.failed:
            lines.append(f"  {self.failed:>7} failed:")
            wide = max(len(reason.code) for reason in self.reasons)
            lines += [
                f"  {reason.files:>7} {reason.code:<{wide}}  e.g. {printable(reason.message)}"
                for reason in self.reasons
            ]
        return "\n".join(lines)
