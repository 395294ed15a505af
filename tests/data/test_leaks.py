import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from clip_files import SPEC, clip_of, entry_of

from unmask.clips import ClipStore, StoreEntry, StoreWriter
from unmask.data import check_leaks, find_twins, raise_on_leaks
from unmask.errors import LeakError
from unmask.types import Clip


def picture_clip(seed: int, noise: float = 0.0) -> Clip:
    """A still scene with some structure; the same seed is the same recording."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (SPEC.size_px, SPEC.size_px), interpolation=cv2.INTER_CUBIC)
    disturbed = image + np.random.default_rng(99).normal(0, noise, image.shape)
    clip = clip_of(seed)
    frames = np.repeat(np.clip(disturbed, 0, 255).astype(np.uint8)[None], SPEC.frames, axis=0)
    frames[~clip.mask] = 0
    return dataclasses.replace(clip, frames=frames)


def store_of(folder: Path, videos: Sequence[tuple[str, str, str, str, Clip]]) -> ClipStore:
    """Each video: path, split, group, sha256, clip."""
    with StoreWriter(folder, SPEC) as writer:
        for path, split, group, sha256, clip in videos:
            entry = entry_of(path, split=split)
            record = dataclasses.replace(entry.record, group=group, sha256=sha256)
            writer.append(dataclasses.replace(entry, record=record), [clip])
        return writer.snapshot()


def told(store: ClipStore) -> list[tuple[str, str, str]]:
    return [(leak.kind, leak.a, leak.b) for leak in check_leaks(store)]


def test_splits_without_a_leak(tmp_path: Path) -> None:
    videos = [(f"{n}", s, f"g{n}", f"{n}", picture_clip(n)) for n, s in
              enumerate(("train", "train", "val", "test"))]  # fmt: skip
    assert told(store_of(tmp_path, videos)) == []
    raise_on_leaks([])


def test_the_same_file_in_two_splits(tmp_path: Path) -> None:
    videos = [
        ("a", "train", "g1", "same", picture_clip(1)),
        ("b", "test", "g2", "same", picture_clip(1)),
        ("c", "test", "g3", "other", picture_clip(3)),
        ("d", "test", "g4", "", picture_clip(4)),
        ("e", "train", "g5", "", picture_clip(5)),
    ]
    store = store_of(tmp_path, videos)
    assert told(store) == [("sha256", "a", "b")]
    assert find_twins(store.entries) == [("a", "b")]


def test_every_pair_of_splits_is_told(tmp_path: Path) -> None:
    splits = ("train", "val", "test")
    same = [(x, s, f"g{x}", "same", picture_clip(1)) for x, s in zip("abc", splits, strict=True)]
    group = [(x, s, "g", x, picture_clip(ord(x))) for x, s in zip("abc", splits, strict=True)]
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    assert told(store_of(tmp_path / "1", same)) == [("sha256", *pair) for pair in pairs]
    assert told(store_of(tmp_path / "2", group)) == [("group", *pair) for pair in pairs]


def test_nearly_the_same_pictures_in_two_splits(tmp_path: Path) -> None:
    videos = [
        ("a", "train", "g1", "1", picture_clip(1)),
        ("b", "val", "g2", "2", picture_clip(1, noise=6.0)),  # another encode of it
        ("c", "train", "g3", "3", picture_clip(1, noise=4.0)),  # the same split as a
        ("d", "test", "g4", "4", picture_clip(2)),
    ]
    store = store_of(tmp_path, videos)
    assert told(store) == [("near_duplicate", "a", "b"), ("near_duplicate", "b", "c")]
    assert find_twins(store.entries) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_a_group_in_two_splits(tmp_path: Path) -> None:
    videos = [
        ("a", "train", "person", "1", picture_clip(1)),
        ("b", "test", "person", "2", picture_clip(2)),
        ("c", "test", "person", "3", picture_clip(3)),
        ("d", "val", "other", "4", picture_clip(4)),
    ]
    assert told(store_of(tmp_path, videos)) == [("group", "a", "b")]


def test_black_pictures_are_no_twins(tmp_path: Path) -> None:
    black = dataclasses.replace(clip_of(0), frames=np.zeros_like(clip_of(0).frames))
    videos = [("a", "train", "1", "1", black), ("b", "test", "2", "2", black)]
    assert told(store_of(tmp_path, videos)) == []


def hashed(entry: StoreEntry, *clips: tuple[str, ...]) -> StoreEntry:
    """An entry whose clips have these hashes."""
    refs = tuple(dataclasses.replace(entry.clips[0], hashes=hashes) for hashes in clips)
    return dataclasses.replace(entry, clips=refs)


@pytest.mark.parametrize(("bits", "twins"), [(24, [("a", "b")]), (25, [])])
def test_how_near_is_near(tmp_path: Path, bits: int, twins: list[tuple[str, str]]) -> None:
    videos = [(name, "train", name, name, picture_clip(1)) for name in ("a", "b")]
    a, b = store_of(tmp_path, videos).entries
    near = a.clips[0].hashes[0]
    far = f"{int(near, 16) ^ sum(1 << 10 * n for n in range(bits)):064x}"
    assert find_twins([hashed(a, (near,)), hashed(b, (far,))]) == twins


@pytest.mark.parametrize("place", [0, 1, 700, 1023, 1024, 1500, 2999])
def test_twins_are_found_wherever_their_hashes_stand(tmp_path: Path, place: int) -> None:
    """In any clip of a video, any crop of the clip, and among more hashes than are compared at
    once."""
    random = np.random.default_rng(0)
    words = [random.bytes(32).hex() for _ in range(3001)]
    videos = [(name, "train", name, name, picture_clip(1)) for name in ("a", "b", "c")]
    a, b, c = store_of(tmp_path, videos).entries
    near = f"{int(words[place], 16) ^ 0b111:064x}"
    clips = [tuple(words[k : k + 3]) for k in range(0, 1500, 3)]
    more = [tuple(words[k : k + 3]) for k in range(1500, 3000, 3)]
    entries = [
        hashed(a, *clips),
        hashed(b, *more),
        hashed(c, tuple(words[3000:]), (words[-1], near)),
    ]
    assert find_twins(entries) == [("a" if place < 1500 else "b", "c")]


def test_videos_without_clips_leak_nothing(tmp_path: Path) -> None:
    """The same error page was downloaded in the place of three videos."""
    with StoreWriter(tmp_path, SPEC) as writer:
        for path, status, split in (
            ("a", "no_face", "train"), ("b", "failed", "test"), ("c", "failed", "val"),
        ):  # fmt: skip
            entry = entry_of(path, status, split)
            record = dataclasses.replace(entry.record, sha256="same", group="same")
            writer.append(dataclasses.replace(entry, record=record))
        assert check_leaks(writer.snapshot()) == []
        entries: list[StoreEntry] = list(writer.entries.values())
    assert find_twins(entries) == []


@pytest.mark.parametrize("kind", ["sha256", "near_duplicate", "group"])
def test_a_leak_stops_unless_its_kind_is_let_through_by_name(tmp_path: Path, kind: str) -> None:
    same = kind == "sha256"
    videos = [
        ("a", "train", "g", "1", picture_clip(1)),
        ("b", "test", "g" if kind == "group" else "h", "1" if same else "2",
         picture_clip(2 if kind == "group" else 1)),
    ]  # fmt: skip
    leaks = check_leaks(store_of(tmp_path, videos))
    others = {"sha256", "near_duplicate", "group"} - {kind}
    with pytest.raises(LeakError, match=r"a \(train\) = b \(test\)") as caught:
        raise_on_leaks(leaks, others)
    assert caught.value.code == f"leak_{kind}"
    assert f"data.allow_leaks=[{', '.join(sorted({*others, kind}))}]" in caught.value.hint
    raise_on_leaks(leaks, [kind])
