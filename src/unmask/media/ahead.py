"""Decode on a thread of its own while the caller works on what is there already."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")

DEPTH = 2  # items that wait; each can be a picture of 25 MB
_POLL_SECONDS = 0.05


def ahead(items: Iterator[T], depth: int = DEPTH) -> Generator[T, None, None]:
    """Yield what ``items`` yields, in order, while a thread is up to ``depth`` items ahead.

    What ``items`` raises is raised here, in its place. When the caller stops early (or raises), the
    thread ends after the item it is at, and this generator's close waits for it; so ``items`` is
    never touched once this generator is closed.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    waiting: Queue[tuple[T | None, BaseException | None, bool]] = Queue(depth)
    stop = threading.Event()

    def put(item: T | None, error: BaseException | None, last: bool) -> None:
        while not stop.is_set():
            with suppress(Full):
                waiting.put((item, error, last), timeout=_POLL_SECONDS)
                return

    def work() -> None:
        try:
            for item in items:
                put(item, None, last=False)
                del item  # pictures are large: hold none while the next one is made
                if stop.is_set():
                    return
            put(None, None, last=True)
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            put(None, error, last=True)

    thread = threading.Thread(target=work, name="unmask-decode", daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = waiting.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]
            del item
    finally:
        stop.set()
        while thread.is_alive():
            with suppress(Empty):
                waiting.get(timeout=_POLL_SECONDS)
        thread.join()
