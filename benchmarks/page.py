"""A page's part that a benchmark writes: what stands between two marks of its name."""

from __future__ import annotations


def inside(page: str, name: str) -> str:
    """The part of a page between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``.

    Raises:
        ValueError: the page has not each mark once.
    """
    return _split(page, name)[1].strip("\n")


def put(page: str, name: str, text: str) -> str:
    """The page with ``text`` for this part.

    Raises:
        ValueError: as `inside`.
    """
    before, _, after = _split(page, name)
    return f"{before}\n\n{text}\n\n{after}"


def _split(page: str, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page needs the lines {begin} and {end}, once each")
    before, rest = page.split(begin)
    part, after = rest.split(end)
    return before + begin, part, end + after
