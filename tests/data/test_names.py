import pytest

from unmask.data.names import (
    NameFacts,
    celeb_df,
    deepfake_detection,
    faceforensics,
    stem_of,
    with_name_facts,
)
from unmask.data.rows import Row


@pytest.mark.parametrize(
    ("stem", "facts"),
    [
        ("000", NameFacts(("000",))),
        ("000_003", NameFacts(("000", "003"), "000")),
        ("0000", None),
        ("000_003_1", None),
        ("a00_003", None),
    ],
)
def test_faceforensics_names(stem: str, facts: NameFacts | None) -> None:
    assert faceforensics(stem) == facts


@pytest.mark.parametrize(
    ("stem", "facts"),
    [
        ("id0_0001", NameFacts(("id0",))),
        ("id0_id1_0001", NameFacts(("id0", "id1"), "id0_0001")),
        ("id61_id9_0009", NameFacts(("id61", "id9"), "id61_0009")),
        ("00170", None),
        ("id0_1", None),
    ],
)
def test_celeb_df_names(stem: str, facts: NameFacts | None) -> None:
    assert celeb_df(stem) == facts


@pytest.mark.parametrize(
    ("stem", "facts"),
    [
        ("01__talking_against_wall", NameFacts(("01",))),
        (
            "01_02__talking_against_wall__YVGY8LOK",
            NameFacts(("01", "02"), "01__talking_against_wall"),
        ),
        ("01_talking", None),
    ],
)
def test_dfd_names(stem: str, facts: NameFacts | None) -> None:
    assert deepfake_detection(stem) == facts


def test_a_pattern_needs_nearly_all_names_and_pairs() -> None:
    rows = [Row(f"real/{n:03d}.mp4", 0) for n in range(40)]
    rows += [Row(f"fake/{n:03d}_{n + 1:03d}.mp4", 1) for n in range(38)]
    strangers = [Row(f"fake/odd{n}.mp4", 1) for n in range(2)]
    found, name = with_name_facts(rows + strangers)
    assert name == "FaceForensics++"
    assert found[41].keys == ("FaceForensics++:001", "FaceForensics++:002")
    assert found[41].owner == "FaceForensics++:001"
    assert found[-1].keys == ()
    more = [Row(f"fake/odd{n}.mp4", 1) for n in range(5)]
    assert with_name_facts(rows + more)[1] == ""
    clips = [Row(f"real/clip {n}.mp4", 0) for n in range(2)]
    assert with_name_facts(clips + rows[40:])[1] == ""  # the authentic files name nobody
    numbers = [Row(f"{x}/{n:03d}.mp4", x == "fake") for x in ("real", "fake") for n in range(9)]
    assert with_name_facts(numbers)[1] == ""


def test_stems_in_folders_and_shards() -> None:
    assert stem_of("a/b.c/000_003.mp4") == "000_003"
    assert stem_of("shard.tar::x/y.jpg") == "y"
    assert stem_of("shard.tar::000_003.jpg") == "000_003"
