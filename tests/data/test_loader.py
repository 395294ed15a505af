"""Batches through their caches, from a small store."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_files import SPEC, clip_of, entry_of

from unmask.clips import ClipStore, StoreWriter
from unmask.data.cache import DeviceCache, RamCache, ShardCache, build_cache, choose_tier
from unmask.data.loader import ClipItem, ClipLoader, _in_whole_pairs, _pairs, by_video, clip_items

CPU = torch.device("cpu")
CACHES = [DeviceCache, RamCache, ShardCache]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """11 train videos, each third with a second person; fakes name their source."""
    with StoreWriter(tmp_path_factory.mktemp("clips") / "store", SPEC) as writer:
        for number in range(11):
            entry = entry_of(f"{number:02d}.mp4", label=number % 2)
            source = f"{number - 1:02d}.mp4" if number % 2 and number < 8 else ""
            record = dataclasses.replace(entry.record, source=source)
            tracks = [0, 1] if number % 3 == 0 else [0]
            clips = [clip_of(10 * number + track, track_id=track) for track in tracks]
            writer.append(dataclasses.replace(entry, record=record), clips)
        writer.append(entry_of("x.mp4", "no_face"))
        writer.append(entry_of("test.mp4", split="test"), [clip_of(500)])
        return writer.snapshot()


def loader_of(store: ClipStore, kind: type = DeviceCache, **how: object) -> ClipLoader:
    items = clip_items(store, "train", main_track_only=True)
    return ClipLoader(items, kind(store, [i.ref for i in items], CPU), CPU, **how)  # type: ignore[arg-type]


def seen(loader: ClipLoader, *args: int | None, **how: int) -> list[tuple[int, ...]]:
    return [batch.positions for batch in loader.batches(*args, **how)]  # type: ignore[arg-type]


def test_items_of_a_split(store: ClipStore) -> None:
    every = clip_items(store, "train", main_track_only=False)
    main = clip_items(store, "train", main_track_only=True)
    assert (len(every), len(main)) == (15, 11)
    assert {item.ref.track_id for item in main} == {0}
    assert [item.record.path for item in clip_items(store, "test", main_track_only=True)] == [
        "test.mp4"
    ]
    assert clip_items(store, "val", main_track_only=True) == []
    assert [len(clips) for clips in by_video(every)][:4] == [2, 1, 1, 2]


@pytest.mark.parametrize("kind", CACHES)
def test_a_batch_holds_what_the_store_holds(store: ClipStore, kind: type) -> None:
    loader = loader_of(store, kind)
    batch = loader.batch([3, 0, 7])
    assert batch.clips.shape == (3, 4, 3, 32, 32)
    assert batch.clips.dtype == torch.uint8
    for row, position in enumerate((3, 0, 7)):
        item = loader.items[position]
        expected = store.read(item.ref)
        np.testing.assert_array_equal(batch.clips[row].permute(0, 2, 3, 1).numpy(), expected.frames)
        assert batch.mask[row].tolist() == list(item.ref.mask)
        assert batch.labels[row] == item.record.label
    half = batch.part(1, 3)
    assert half.positions == (0, 7)
    assert torch.equal(half.clips, batch.clips[1:])


@pytest.mark.parametrize("kind", CACHES)
def test_an_epoch_sees_every_clip_once_in_an_order_of_its_own(store: ClipStore, kind: type) -> None:
    loader = loader_of(store, kind, seed=1)
    first, second = seen(loader, 0, 4), seen(loader, 1, 4)
    assert [len(positions) for positions in first] == [4, 4, 3]
    assert sorted(sum(first, ())) == sorted(sum(second, ())) == list(range(11))
    assert first != second
    assert first == seen(loader_of(store, kind, seed=1), 0, 4)
    assert first != seen(loader_of(store, kind, seed=2), 0, 4)
    assert sum(seen(loader, None, 4), ()) == tuple(range(11))


@pytest.mark.parametrize("kind", CACHES)
def test_taken_up_in_the_middle(store: ClipStore, kind: type) -> None:
    loader = loader_of(store, kind)
    assert seen(loader, 3, 4, first=1) == seen(loader, 3, 4)[1:]
    assert seen(loader, 3, 4, first=3) == []


def test_ranks_share_a_batch(store: ClipStore) -> None:
    loader = loader_of(store)
    whole = seen(loader, 0, 4)
    shares = [seen(loader, 0, 4, rank=rank, world=2) for rank in range(2)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert len(parts[0]) == len(parts[1])
        assert set(parts[0]) | set(parts[1]) == set(batch)
    assert [a + b for a, b in zip(*shares, strict=True)][:2] == whole[:2]


def test_a_fake_goes_with_its_source(store: ClipStore) -> None:
    loader = loader_of(store, pair_sources=True)
    for epoch in range(5):
        order = loader.order(epoch)
        assert len(order) == len(loader)
        for fake in (1, 3, 5, 7):
            assert order[order.index(fake) - 1] == fake - 1
        assert set(order) == set(range(11))  # 9, whose source is unknown, stands alone


def test_every_clip_of_a_source_is_seen_and_goes_with_the_like_one(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store", SPEC) as writer:
        for number, label in enumerate((0, 1, 0, 1, 0)):
            entry = entry_of(f"{number}.mp4", label=label)
            record = dataclasses.replace(entry.record, source=f"{number - 1}.mp4" if label else "")
            clips = [clip_of(10 * number + k) for k in range(4 if number != 2 else 2)]
            writer.append(dataclasses.replace(entry, record=record), clips)
        store = writer.snapshot()
    loader = loader_of(store, pair_sources=True)
    names = [f"{i.record.path[0]}{i.ref.offset // i.ref.size_bytes % 4}" for i in loader.items]
    assert len(names) == len(loader.items) == 18
    for epoch in range(4):
        for batch in loader.batches(epoch, 4):
            assert batch.pairs is not None
            for at, position in enumerate(batch.positions):
                if batch.labels[at]:  # its source stands before it and shares its number
                    assert loader.items[batch.positions[at - 1]].record.path == (
                        loader.items[position].record.source
                    )
                    assert batch.pairs[at] == batch.pairs[at - 1]
                elif at:
                    assert batch.pairs[at] != batch.pairs[at - 1]
        assert set(loader.order(epoch)) == set(range(18))


@pytest.mark.parametrize(("singles", "size"), [(0, 6), (1, 16), (11, 16), (40, 6), (3, 2)])
def test_no_pair_of_an_even_batch_is_torn(singles: int, size: int) -> None:
    units = [(2 * k, 2 * k + 1) for k in range(50)] + [(100 + k,) for k in range(singles)]
    for seed in range(5):
        turn = np.random.default_rng(seed).permutation(len(units))
        order = _in_whole_pairs([units[k] for k in turn], size)
        assert sorted(order) == list(range(100 + singles))
        at = {position: place // size for place, position in enumerate(order)}
        assert all(at[2 * k] == at[2 * k + 1] for k in range(50))


def test_a_source_that_is_a_fake_itself_is_none(store: ClipStore) -> None:
    items = clip_items(store, "train", main_track_only=True)
    records = [dataclasses.replace(i.record, source=f"{n:02d}.mp4") for n, i in enumerate(items)]
    changed = [ClipItem(record, i.ref) for record, i in zip(records, items, strict=True)]
    assert all(len(unit) == 1 for unit in _pairs(changed))


def test_pairs_do_not_lie_across_two_batches_as_long_as_single_clips_can_fill_them() -> None:
    units = [(0,), (1, 2), (3, 4), (5,), (6, 7), (8,)]
    order = _in_whole_pairs(units, 3)
    assert sorted(order) == list(range(9))
    batches = [set(order[at : at + 3]) for at in range(0, 9, 3)]
    assert all(any({a, b} <= batch for batch in batches) for a, b in ((1, 2), (3, 4), (6, 7)))


def test_a_reader_that_fails_is_heard(store: ClipStore) -> None:
    """The next batch is read in another thread: its error must reach the loop."""
    items = clip_items(store, "train", main_track_only=True)
    broken = [ClipItem(i.record, dataclasses.replace(i.ref, shard=9)) for i in items]
    loader = ClipLoader(broken, ShardCache(store, [i.ref for i in broken], CPU), CPU)
    with pytest.raises(FileNotFoundError):
        list(loader.batches(0, 4))


def test_the_fastest_tier_that_fits() -> None:
    assert choose_tier(10, device_free=100, ram_free=100) == "device"
    assert choose_tier(55, device_free=100, ram_free=100) == "ram"
    assert choose_tier(70, device_free=100, ram_free=100) == "shards"


@pytest.mark.parametrize("tier", ["device", "ram", "shards"])
def test_a_tier_that_is_wanted(store: ClipStore, tier: str) -> None:
    refs = [item.ref for item in clip_items(store, "train", main_track_only=True)]
    cache = build_cache(store, refs, CPU, tier)
    assert cache.tier == tier
    assert cache.gather([2, 2]).shape == (2, 4, 32, 32, 3)
    assert build_cache(store, refs, CPU).tier == "device"  # so small a set fits anywhere
