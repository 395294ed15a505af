"""Decoding on a thread of its own: the same items, errors in their place, no thread left behind."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from unmask.clips import clips_of_video
from unmask.config import ClipSpec
from unmask.errors import MediaError
from unmask.faces import load_detector
from unmask.media import ahead
from unmask.types import Face, UInt8Array


def threads_left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "unmask-decode"]


def test_order_is_kept_and_nothing_is_lost() -> None:
    assert list(ahead(iter(range(100)), depth=3)) == list(range(100))
    assert list(ahead(iter([]))) == []
    assert threads_left() == []


def test_none_is_an_item_like_any_other() -> None:
    assert list(ahead(iter([None, 1, None]))) == [None, 1, None]


def test_it_runs_no_further_ahead_than_told() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    walk = ahead(items(), depth=2)
    assert next(walk) == 0
    time.sleep(0.2)  # long enough for all 50, were it let
    assert len(made) <= 4  # one taken, two waiting, one in hand
    walk.close()
    assert threads_left() == []


def test_an_error_comes_after_what_came_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise MediaError("broken", code="media_damaged")

    walk = ahead(items())
    assert next(walk) == 1
    with pytest.raises(MediaError, match="broken"):
        next(walk)
    assert threads_left() == []


def test_a_caller_that_fails_leaves_no_thread() -> None:
    def use() -> None:
        for number in ahead(iter(range(1000))):
            if number == 3:
                raise KeyError(number)

    with pytest.raises(KeyError):
        use()
    assert threads_left() == []


def test_a_detector_that_fails_leaves_no_thread_at_a_closed_file(portrait_video: Path) -> None:
    def fails(image: UInt8Array) -> list[Face]:
        raise KeyError("broken")

    kept = []  # as a debugger, or whoever shows the error, keeps the frames that raised it
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            clips_of_video(portrait_video, ClipSpec(frames=8), fails, threads=2)
        kept.append(caught.value)
        assert threads_left() == []


def test_depth_must_be_positive() -> None:
    with pytest.raises(ValueError, match="depth"):
        next(ahead(iter([1]), depth=0))


def test_clips_are_the_same_with_and_without(portrait_video: Path) -> None:
    spec, detector = ClipSpec(frames=4, size_px=64, clips=2), load_detector()
    alone, beside = (
        clips_of_video(portrait_video, spec, detector, threads=threads) for threads in (1, 2)
    )
    assert alone.coverage == beside.coverage
    assert len(alone.clips) == len(beside.clips) == 2
    for one, other in zip(alone.clips, beside.clips, strict=True):
        np.testing.assert_array_equal(one.frames, other.frames)
        np.testing.assert_array_equal(one.boxes_xyxy_px, other.boxes_xyxy_px)
