"""A table for people: aligned text in a terminal, HTML in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of words under a title; printed as text, shown as HTML by notebooks."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Each as long as ``head``."""
    notes: tuple[str, ...] = ()
    """Sentences below the rows."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"a row needs {len(self.head)} cells, got {row}")

    def __str__(self) -> str:
        return "\n".join([self.title, *self._lines(), *(f"  {note}" for note in self.notes)])

    def _lines(self) -> Iterator[str]:
        if not self.rows:
            return
        lines = (self.head, *self.rows) if any(self.head) else self.rows
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.head))]
        for line in lines:
            cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
            yield f"  {'  '.join(cells)}".rstrip()

    def _repr_html_(self) -> str:
        """What a notebook shows; cells are escaped."""
        parts = [f"<p><b>{html.escape(self.title)}</b></p>"]
        if self.rows:
            body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in self.rows)
            head = f"<thead><tr>{_cells('th', self.head)}</tr></thead>" if any(self.head) else ""
            parts.append(f"<table>{head}<tbody>{body}</tbody></table>")
        parts += [f"<p>{html.escape(note)}</p>" for note in self.notes]
        return "".join(parts)


def _cells(tag: str, words: tuple[str, ...]) -> str:
    style = ' style="text-align:left"'
    return "".join(f"<{tag}{style}>{html.escape(word)}</{tag}>" for word in words)
