"""Sampling by time: even, in windows, by seeking, deterministic; times exact."""

from pathlib import Path

import numpy as np
import pytest

import make_media
from unmask.config import ClipSpec
from unmask.media import open_video, sample
from unmask.media.sample import choose


def numbers_of(path: Path, spec: ClipSpec) -> tuple[list[int], list[int], list[float]]:
    with open_video(path) as video:
        frames = [
            (frame.index, make_media.read_number(frame.image), frame.pts_seconds)
            for frame in sample(video, spec)
        ]
    slots, numbers, seconds = zip(*frames, strict=True)
    return list(slots), list(numbers), list(seconds)


def test_frames_come_in_order_with_exact_times(numbered_video: Path) -> None:
    with open_video(numbered_video) as video:
        frames = list(video.frames())
    assert [make_media.read_number(frame.image) for frame in frames] == list(range(600))
    assert [frame.index for frame in frames] == list(range(600))
    times = [frame.pts_seconds for frame in frames]
    assert times == pytest.approx([index / 25 for index in range(600)], abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 7, 32])
def test_even_sampling_takes_the_middle_of_every_part(numbered_video: Path, count: int) -> None:
    slots, numbers, seconds = numbers_of(numbered_video, ClipSpec(frames=count))
    expected = [int((slot + 0.5) / count * 600) for slot in range(count)]
    assert slots == list(range(count))
    assert numbers == expected
    assert seconds == pytest.approx([number / 25 for number in expected])


def test_even_sampling_goes_by_time_not_by_count(tmp_path: Path) -> None:
    times = [0.1 * i for i in range(50)] + [5 + 1.0 * i for i in range(45)]  # dense, then sparse
    path = make_media.write_video(
        tmp_path / "vfr.mp4", make_media.numbered_frames(95), times_seconds=times
    )
    _, numbers, seconds = numbers_of(path, ClipSpec(frames=10))
    assert sum(time < 5 for time in seconds) == 1  # 5 of 50 seconds hold half of the frames
    assert seconds == pytest.approx([times[number] for number in numbers], abs=1e-4)


def test_windows_are_consecutive_and_spread(numbered_video: Path) -> None:
    spec = ClipSpec(frames=5, clips=4, sampling="windows")
    slots, numbers, _ = numbers_of(numbered_video, spec)
    runs = np.array(numbers).reshape(4, 5)
    assert slots == list(range(20))
    assert (np.diff(runs, axis=1) == 1).all()
    assert (np.abs(runs[:, 2] - [75, 225, 375, 525]) <= 1).all()


@pytest.mark.parametrize("sampling", ["even", "windows"])
@pytest.mark.parametrize("total", [1, 2, 3, 7, 8, 9, 40])
def test_short_videos_yield_every_frame_once(total: int, sampling: str) -> None:
    spec = ClipSpec(frames=4, clips=2, sampling=sampling)  # type: ignore[arg-type]
    seconds = np.arange(total) / 25
    slots, ordinals = choose(seconds, total / 25, spec)
    assert len(ordinals) == len(slots) == min(total, 8)
    assert (np.diff(ordinals) > 0).all()
    assert (np.diff(slots) > 0).all()
    assert slots.max() < 8
    assert 0 <= ordinals.min() <= ordinals.max() < total


def test_windows_never_overlap() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        total = int(rng.integers(12, 60))
        seconds = np.cumsum(rng.exponential(1.0, total))  # wildly variable rate
        spec = ClipSpec(frames=4, clips=3, sampling="windows")
        _, ordinals = choose(seconds - seconds[0], float(seconds[-1] - seconds[0] + 1), spec)
        runs = ordinals.reshape(3, 4)
        assert (np.diff(runs, axis=1) == 1).all()
        assert (runs[1:, 0] > runs[:-1, -1]).all()
        assert runs.min() >= 0
        assert runs.max() < total


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        (".mp4", "libx264", {"g": "30", "preset": "veryfast"}),
        (".mp4", "libx264", {"g": "30", "x264-params": "open-gop=1:bframes=3:b-pyramid=normal"}),
        (".mkv", "libx264", {"g": "30"}),
        (".ts", "libx264", {"g": "30"}),
        (".avi", "mpeg4", {"g": "30", "bf": "2"}),
        (".mp4", "libx265", {"preset": "ultrafast", "x265-params": "keyint=30:log-level=none"}),
        (".mkv", "mpeg2video", {"g": "15", "bf": "2"}),
    ],
)
def test_seeking_gives_the_same_frames_as_decoding_through(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    path = make_media.write_video(
        tmp_path / f"a{suffix}", make_media.numbered_frames(400), codec=codec, options=options
    )
    with open_video(path) as video:
        through = {frame.pts_seconds: frame.image for frame in video.frames()}
        decoded_through = video.coverage.frames_decoded
        assert len(through) == 400
        for spec in (ClipSpec(frames=5), ClipSpec(frames=3, clips=3, sampling="windows")):
            frames = list(sample(video, spec))
            assert len(frames) == spec.frames * spec.clips
            assert video.coverage.frames_decoded < decoded_through / 2
            for frame in frames:
                assert np.array_equal(frame.image, through[frame.pts_seconds])


def test_nothing_beyond_need_is_decoded(numbered_video: Path) -> None:
    with open_video(numbered_video) as video:
        frames = list(sample(video, ClipSpec(frames=4)))
        coverage = video.coverage
    assert len(frames) == coverage.frames_analysed == 4
    assert coverage.frames_decoded <= 4 * 30
    assert not coverage.partial
    [(first, last)] = coverage.analysed_ranges_seconds
    assert (first, last) == (frames[0].pts_seconds, frames[-1].pts_seconds)


def test_windows_are_told_as_ranges(numbered_video: Path) -> None:
    with open_video(numbered_video) as video:
        list(sample(video, ClipSpec(frames=4, clips=3, sampling="windows")))
        ranges = video.coverage.analysed_ranges_seconds
    assert len(ranges) == 3
    assert all(end - start == pytest.approx(3 / 25) for start, end in ranges)


def test_sampling_is_deterministic_whatever_the_threads(numbered_video: Path) -> None:
    results = []
    for threads in (1, 2, 5):
        with open_video(numbered_video, threads=threads) as video:
            results.append([frame.image for frame in sample(video, ClipSpec(frames=6))])
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_an_abandoned_iteration_can_be_followed_by_another(numbered_video: Path) -> None:
    with open_video(numbered_video) as video:
        next(video.frames())
        assert len(list(sample(video, ClipSpec(frames=6)))) == 6
