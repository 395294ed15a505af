"""Groups that no split crosses, whatever the data look like."""

from collections import Counter

import numpy as np
import pytest

from unmask.data.rows import Row
from unmask.data.splits import assign_splits, group_rows, limit_rows
from unmask.errors import DatasetError
from unmask.types import FAKE, REAL


def random_rows(seed: int) -> list[Row]:
    """Videos of some people; fakes bind one or two of them, some rows say nothing of theirs."""
    rng = np.random.default_rng(seed)
    people = int(rng.integers(6, 60))
    rows = []
    for number in range(int(rng.integers(20, 150))):
        label = int(rng.random() < 0.5)
        who = rng.integers(0, people, 2 if label and rng.random() < 0.3 else 1)
        keys = () if rng.random() < 0.1 else tuple(f"id:{n}" for n in who)
        owner = keys[0] if keys and rng.random() < 0.9 else ""
        rows.append(Row(f"{number:03d}.mp4", label, keys=keys, owner=owner))
    return rows


def crossing(rows: list[Row], groups: list[str]) -> list[str]:
    splits: dict[str, set[str]] = {}
    for row, group in zip(rows, groups, strict=True):
        splits.setdefault(group, set()).add(row.split)
    return [group for group, found in splits.items() if len(found) > 1]


@pytest.mark.parametrize("seed", range(40))
def test_no_group_crosses_a_split_and_every_split_has_both_classes(seed: int) -> None:
    rows = random_rows(seed)
    groups, note = group_rows(rows)
    split, _ = assign_splits(rows, groups, share=0.15, seed=seed)
    assert [row.path for row in split] == [row.path for row in rows]
    assert crossing(split, groups) == []
    for name in ("train", "val", "test"):
        assert {row.label for row in split if row.split == name} == {REAL, FAKE}
    if not note:  # then people are whole: nobody stands in two splits
        where: dict[str, set[str]] = {}
        for row in split:
            for key in row.keys:
                where.setdefault(key, set()).add(row.split)
        assert all(len(found) == 1 for found in where.values())
    again, _ = assign_splits(rows, groups, share=0.15, seed=seed)
    assert again == split


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_the_rows_changes_nothing(seed: int) -> None:
    rows = random_rows(seed)
    shuffled = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]

    def split_of(rows: list[Row]) -> dict[str, tuple[str, str]]:
        groups, _ = group_rows(rows)
        try:
            done, _ = assign_splits(rows, groups, 0.2, seed)
        except DatasetError:
            return {}
        return {row.path: (row.split, group) for row, group in zip(done, groups, strict=True)}

    assert split_of(rows) == split_of(shuffled)


def test_shares_come_near_what_was_asked() -> None:
    rows = [Row(f"{n}.mp4", int(n % 4 > 0), keys=(f"p{n // 4}",)) for n in range(800)]
    groups, _ = group_rows(rows)
    done, _ = assign_splits(rows, groups, share=0.15, seed=3)
    counts = Counter((row.split, row.label) for row in done)
    for split in ("val", "test"):
        assert counts[split, REAL] == pytest.approx(30, abs=1)
        assert counts[split, FAKE] == pytest.approx(90, abs=3)


def test_keys_bind_transitively_and_links_as_well() -> None:
    rows = [Row("a", 0, keys=("1",)), Row("b", 1, keys=("1", "2")), Row("c", 0, keys=("2",))]
    rows += [Row("d", 0, keys=("3",)), Row("e", 1)]
    groups, _ = group_rows(rows)
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 3
    linked, _ = group_rows(rows, links=[("c", "d"), ("e", "nowhere")])
    assert linked[0] == linked[3]
    assert linked[4] == groups[4]


def test_exactly_half_in_one_group_is_not_too_much() -> None:
    rows = [Row("a", 0, keys=("1",), owner="1"), Row("b", 1, keys=("2", "1"), owner="2")]
    rows += [Row("c", 0), Row("d", 1)]
    groups, note = group_rows(rows)
    assert groups[0] == groups[1]
    assert note == ""


def test_links_and_keys_without_an_owner_bind_where_identities_are_given_up() -> None:
    people = range(6)
    rows = [Row(f"{a}", 0, keys=(f"{a}",), owner=f"{a}") for a in people]
    rows += [
        Row(f"{a}_{b}", 1, keys=(f"{a}", f"{b}"), owner=f"{a}")
        for a in people for b in people if a != b
    ]  # fmt: skip
    rows += [Row("x", 0, keys=("told",)), Row("y", 1, keys=("told",))]
    groups, note = group_rows(rows, links=[("1", "4")])
    assert "bind nearly all identities together" in note
    group_of = {row.path: group for row, group in zip(rows, groups, strict=True)}
    assert group_of["1"] == group_of["4"] == group_of["4_0"]
    assert group_of["x"] == group_of["y"]
    assert len(set(groups)) == 6


def test_val_is_a_share_of_train_whatever_else_is_given() -> None:
    rows = [Row(f"{n}.mp4", n % 2, "train") for n in range(200)]
    rows += [Row(f"t{n}.mp4", n % 2, "test") for n in range(600)]
    done, _ = assign_splits(rows, [row.path for row in rows], share=0.1, seed=0)
    counts = Counter((row.split, row.label) for row in done)
    assert counts["val", REAL] == counts["val", FAKE] == 10
    assert counts["test", REAL] == counts["test", FAKE] == 300


@pytest.mark.parametrize("seed", range(6))
def test_of_large_groups_the_smallest_that_will_do_are_held_out(seed: int) -> None:
    sizes = {"small": 20, "other": 20, "large": 40}
    groups = [name for name, size in sizes.items() for _ in range(size)]
    rows = [Row(f"{n}.mp4", n % 2) for n in range(len(groups))]
    done, _ = assign_splits(rows, groups, share=0.1, seed=seed)
    assert Counter(row.split for row in done) == {"train": 40, "val": 20, "test": 20}


@pytest.mark.parametrize("seed", range(4))
def test_train_is_never_emptied(seed: int) -> None:
    groups = ["four"] * 4 + ["six"] * 6
    rows = [Row(f"{n}.mp4", n % 2) for n in range(10)]
    with pytest.raises(DatasetError) as caught:
        assign_splits(rows, groups, share=0.4, seed=seed)
    assert caught.value.code == "dataset_groups"


def test_one_group_cannot_be_split() -> None:
    rows = [Row(f"{n}.mp4", n % 2, keys=("all",)) for n in range(10)]
    groups, _ = group_rows(rows)
    with pytest.raises(DatasetError, match=r"1 group.*groups\.csv"):
        assign_splits(rows, groups, 0.15, 0)


def test_a_split_leaves_something_to_train_on() -> None:
    pairs = [(name, label) for name in ("a", "b", "c") for label in (REAL, FAKE)]
    rows = [
        Row(f"{name}{label}.mp4", label, "test" if name == "c" else "train", keys=(name,))
        for name, label in pairs
    ]
    split, _ = assign_splits(rows, group_rows(rows)[0], share=0.9, seed=0)
    assert Counter(row.split for row in split) == {"train": 2, "val": 2, "test": 2}


def test_a_limit_keeps_the_fakes_of_the_sources_it_keeps() -> None:
    rows = [Row(f"r{n}.mp4", REAL, "train", (f"p{n}",)) for n in range(20)]
    rows += [Row(f"f{n}-{k}.mp4", FAKE, "train", (f"p{n}",)) for n in range(20) for k in range(3)]
    groups, _ = group_rows(rows)
    kept = [rows[i] for i in limit_rows(rows, groups, 5, seed=1)]
    assert Counter(row.label for row in kept) == {REAL: 5, FAKE: 5}
    assert {r.keys for r in kept if r.label} == {r.keys for r in kept if not r.label}
    more = [rows[i] for i in limit_rows(rows, groups, 8, seed=1)]
    assert {row.path for row in kept} <= {row.path for row in more}
