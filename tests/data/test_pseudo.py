"""Pairs: seeded, resumable, of one group's split, alike on both sides but for the forgery."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bank_faces import bank as make_bank

from unmask.augment.blend import FaceCrop
from unmask.augment.degrade import DegradeConfig
from unmask.augment.warp import random_flow
from unmask.data.facebank import FaceBank
from unmask.data.framing import through
from unmask.data.pseudo import KIND_NAMES, PairConfig, PairSource, collate, validation_set
from unmask.errors import DatasetError

CLEAN = DegradeConfig.off()
SMALL = PairConfig(size_px=84, sources={"dfdc": 0.4, "portraits": 0.3, "clips": 0.3})


@pytest.fixture(scope="module")
def bank() -> FaceBank:
    return make_bank()


def test_a_batch_depends_on_seed_and_step_alone(bank: FaceBank) -> None:
    first = PairSource(bank, SMALL)
    first.batch(0, 3)  # what went before does not matter
    one, again = first.batch(7, 3), PairSource(bank, SMALL).batch(7, 3)
    for name in one.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    other = first.batch(8, 3)
    assert not np.array_equal(one.images, other.images)
    reseeded = PairSource(bank, replace(SMALL, seed=1)).batch(7, 3)
    assert not np.array_equal(one.images, reseeded.images)


def test_without_pairing_the_two_of_a_pair_are_of_different_faces(bank: FaceBank) -> None:
    config = replace(SMALL, sources={"portraits": 1.0}, kinds={"sbi": 1.0})
    paired = PairSource(bank, config).batch(5, 3)
    source = PairSource(bank, replace(config, together=False))
    apart = source.batch(5, 3)
    others = [source.pair(np.random.default_rng((config.seed, 5, i, 1))) for i in range(3)]
    np.testing.assert_array_equal(apart.images[::2], paired.images[::2])  # the same authentic ones
    np.testing.assert_array_equal(apart.images[1::2], [other.images[1] for other in others])
    assert (apart.images[1::2] != paired.images[1::2]).any(axis=(1, 2, 3, 4)).all()
    assert apart.labels.tolist() == [0, 1] * 3
    assert apart.row.tolist() == paired.row.tolist()
    np.testing.assert_array_equal(source.batch(5, 1, first=2).images, apart.images[4:])  # a rank's


def test_a_batch_has_the_promised_shapes(bank: FaceBank) -> None:
    batch = PairSource(bank, replace(SMALL, frames=2)).batch(0, 4)
    assert batch.images.shape == (8, 2, 84, 84, 3)
    assert batch.images.dtype == np.uint8
    assert batch.labels.tolist() == [0, 1] * 4
    assert batch.mask.shape == (8, 2, 2, 6, 6)
    assert (batch.kind[::2] == batch.kind[1::2]).all()
    assert (batch.row[::2] == batch.row[1::2]).all()
    assert not batch.mask[::2].any()
    assert 0 <= batch.mask.min() <= batch.mask.max() <= 1


@pytest.mark.parametrize("kind", ["sbi", "swap", "reenact", "mouth", "rerender"])
def test_mask_targets_lie_where_the_pair_differs(kind: str, bank: FaceBank) -> None:
    source = PairSource(bank, replace(SMALL, degrade=CLEAN))
    made = [source.pair(np.random.default_rng(i), kind=kind) for i in range(8)]
    batch = collate(made, 14)
    assert batch.known.all()
    apart = np.abs(batch.images[1::2].astype(float) - batch.images[::2]).mean((1, 4))
    cells = apart.reshape(8, 6, 14, 6, 14).mean((2, 4))
    share = batch.mask[1::2, 0, 0]
    assert cells[share == 0].max() <= 1
    assert cells[share > 0.6].mean() > 5 * cells[share < 0.05].mean()
    edge = batch.mask[1::2, 1, 0]
    assert edge[(share > 0.3) & (share < 0.7)].mean() > edge[share > 0.95].mean()


def test_untouched_pairs_come_out_nearly_the_same(bank: FaceBank) -> None:
    source = PairSource(bank, SMALL)
    apart = []
    for i in range(30):
        pair = source.pair(np.random.default_rng(i), kind="none")
        apart.append(np.abs(pair.images[0].astype(int) - pair.images[1]).mean())
    assert np.median(apart) == 0
    assert np.mean(apart) < 3  # H.264 codes both in one stream, but not to the same bits
    clean = PairSource(bank, replace(SMALL, degrade=CLEAN))
    pair = clean.pair(np.random.default_rng(0), kind="none")
    np.testing.assert_array_equal(pair.images[0], pair.images[1])


def test_fakes_of_the_data_come_with_their_own_source_and_no_mask(bank: FaceBank) -> None:
    source = PairSource(bank, replace(SMALL, kinds={"dataset": 1.0}, degrade=CLEAN, flip=0.0))
    rows = set()
    for i in range(20):
        pair = source.pair(np.random.default_rng(i))
        assert KIND_NAMES[pair.kind] == "dataset"
        assert pair.mask is None
        rows.add(str(bank.name[pair.row]))
        # The fakes of the test bank are negatives: bright where the authentic face is dark.
        a, b = (side.astype(float).ravel() for side in pair.images)
        assert np.corrcoef(a, b)[0, 1] < -0.5
    assert rows == {"dfdc/train0", "dfdc/train1", "dfdc/train2"}
    assert not collate([pair], 14).known.any()


def test_a_face_of_another_build_is_so_on_both_sides(bank: FaceBank) -> None:
    plain = PairSource(bank, replace(SMALL, degrade=CLEAN, flip=0.0))
    built = PairSource(bank, replace(plain.config, reshape=1.0))
    for i in range(10):
        before, after = (source._crops(np.random.default_rng(i), 0)[0] for source in (plain, built))
        assert not np.array_equal(before.image, after.image)
        pair = built.pair(np.random.default_rng(i), kind="none")
        np.testing.assert_array_equal(*pair.images)
        fake_too = built.pair(np.random.default_rng(i), kind="dataset").images
        assert np.corrcoef(*(side.astype(float).ravel() for side in fake_too))[0, 1] < -0.9


def test_a_pair_is_harshly_degraded_on_both_sides(bank: FaceBank) -> None:
    plain = PairSource(bank, SMALL)
    harsh = PairSource(bank, replace(SMALL, harsh=1.0))
    for i in range(8):
        before, pair = (one.pair(np.random.default_rng(i), kind="none") for one in (plain, harsh))
        assert not np.array_equal(before.images, pair.images)
        # Shared but for H.264, which codes both in one picture.
        light, contrast = pair.images.mean((1, 2, 3, 4)), pair.images.std((1, 2, 3, 4))
        assert light[0] == pytest.approx(light[1], abs=2)
        assert contrast[0] == pytest.approx(contrast[1], rel=0.1)


def test_landmarks_stay_on_their_spots_of_a_face_of_another_build(bank: FaceBank) -> None:
    side = 84
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    points = bank.landmarks_px[0] * side / bank.image(0).shape[0]
    told = FaceCrop(np.dstack([x, y, x]).astype(np.uint8), points)  # each pixel tells its place
    moved = through(told, random_flow(np.random.default_rng(4), side, 0.02 * side, 4))
    inside = ((points > 9) & (points < side - 9)).all(1)
    columns, rows = np.rint(moved.points[inside]).astype(int).T
    assert np.abs(moved.image[rows, columns, :2] - points[inside]).max() < 2
    assert np.abs(moved.points - points).max() > 2


@pytest.mark.parametrize("split", ["train", "val"])
def test_faces_and_donors_never_cross_the_split_nor_their_group(
    split: str, bank: FaceBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    look = FaceBank.image
    monkeypatch.setattr(FaceBank, "image", lambda self, row: used.append(row) or look(self, row))
    source = PairSource(bank, replace(SMALL, split=split, kinds={"swap": 1, "mouth": 1}))
    for i in range(40):
        used.clear()
        pair = source.pair(np.random.default_rng(i))
        assert set(bank.split[used]) == {split}
        same = bank.group[used[0]] == bank.group[used[-1]]
        from_recording = bank.source[pair.row] == "clips" and KIND_NAMES[pair.kind] == "mouth"
        assert len(used) == 2
        assert same == from_recording


def test_a_clip_of_a_still_moves_a_little_and_a_recording_gives_its_frames(bank: FaceBank) -> None:
    source = PairSource(bank, replace(SMALL, frames=4, degrade=CLEAN))
    still = int(np.flatnonzero((bank.source == "portraits") & (bank.split == "train"))[0])
    pair = source.pair(np.random.default_rng(0), row=still, kind="reenact")
    steps = np.abs(np.diff(pair.images.astype(int), axis=1)).mean((2, 3, 4))
    assert pair.images.shape == (2, 4, 84, 84, 3)
    assert (steps > 0.05).all()
    assert (steps < 25).all()
    assert pair.mask is not None
    assert np.abs(np.diff(pair.mask, axis=0)).mean() < 0.1
    frame = int(np.flatnonzero((bank.source == "clips") & (bank.split == "train"))[0])
    recorded = source.pair(np.random.default_rng(0), row=frame, kind="sbi")
    assert np.abs(np.diff(recorded.images[0].astype(int), axis=0)).mean() > 0.5


def test_kinds_follow_their_weights_and_can_be_left_out(bank: FaceBank) -> None:
    source = PairSource(bank, replace(SMALL, kinds={"sbi": 3.0, "rerender": 1.0, "swap": 0.0}))
    kinds = [KIND_NAMES[source.pair(np.random.default_rng(i)).kind] for i in range(80)]
    assert set(kinds) == {"sbi", "rerender"}
    assert 45 <= kinds.count("sbi") <= 75


def test_a_validation_set_is_kept_and_remade_when_asked_for_another(
    bank: FaceBank, tmp_path: Path
) -> None:
    path = tmp_path / "val.npz"
    config = replace(SMALL, split="val", kinds={"sbi": 1, "dataset": 1}, seed=3)
    first = validation_set(bank, config, 2, path)
    stamp = path.stat().st_mtime_ns
    kept = validation_set(bank, config, 2, path)
    assert path.stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first.images, kept.images)
    assert [KIND_NAMES[k] for k in first.kind[::2]] == ["sbi", "sbi", "dataset", "dataset"]
    assert set(bank.split[first.row]) == {"val"}
    more = validation_set(bank, config, 3, path)
    assert len(more.images) == 12


def test_a_collection_without_a_weight_gives_neither_faces_nor_donors_nor_fakes(
    bank: FaceBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    look = FaceBank.image
    monkeypatch.setattr(FaceBank, "image", lambda self, row: used.append(row) or look(self, row))
    sources = {"dfdc": 0.0, "portraits": 1.0, "clips": 0.0}
    source = PairSource(bank, replace(SMALL, sources=sources, kinds={"swap": 1, "dataset": 1}))
    assert source.kinds == {"swap": 1}
    for i in range(40):
        source.pair(np.random.default_rng(i))
    assert set(bank.source[used]) == {"portraits"}
    with pytest.raises(DatasetError):
        PairSource(bank, replace(SMALL, sources={"portraits": 1.0}, kinds={"dataset": 1}))


def test_a_fake_whose_authentic_face_is_of_the_other_split_is_not_drawn(bank: FaceBank) -> None:
    split = np.where(bank.name == "dfdc/train0", "val", bank.split)
    crossed = PairSource(replace(bank, split=split), replace(SMALL, kinds={"dataset": 1.0}))
    rows = {crossed.pair(np.random.default_rng(i)).row for i in range(30)}
    assert {str(bank.name[row]) for row in rows} == {"dfdc/train1", "dfdc/train2"}


def test_what_cannot_be_made_is_told(bank: FaceBank) -> None:
    with pytest.raises(ValueError, match="beard"):
        PairSource(bank, SMALL).pair(np.random.default_rng(0), kind="beard")
    with pytest.raises(DatasetError) as nothing:
        PairSource(bank, replace(SMALL, split="test"))
    assert nothing.value.code == "dataset_empty"
    source = PairSource(bank, SMALL)
    lonely = int(np.flatnonzero(bank.name == "dfdc/train5")[0])
    with pytest.raises(ValueError, match="no fake"):
        source.pair(np.random.default_rng(0), row=lonely, kind="dataset")
