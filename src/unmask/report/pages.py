"""What the pages share: where their templates lie, and what may come out of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unmask.files import printable

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> Environment:
    """Whatever text a template prints is escaped and `printable`, unless it is ``Markup``."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only where a page is written

    return Environment(
        loader=PackageLoader("unmask.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
