"""Every layout of docs/data.md, from its files to groups and splits."""

import json
from pathlib import Path

import pytest
from trees import by_path, touch

from unmask.config import DataConfig
from unmask.data import Manifest, read_manifest
from unmask.data.layouts import read_layout
from unmask.errors import DatasetError
from unmask.types import FAKE, REAL, VideoRecord


def records(manifest: Manifest) -> dict[str, VideoRecord]:
    return {record.path: record for record in manifest.records}


def together(manifest: Manifest, *paths: str) -> bool:
    return len({records(manifest)[path].group for path in paths}) == 1


def splits_of_groups(manifest: Manifest) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for record in manifest.records:
        found.setdefault(record.group, set()).add(record.split)
    return found


def fails(root: Path, code: str, says: str = "") -> None:
    with pytest.raises(DatasetError) as caught:
        read_manifest(root)
    assert caught.value.code == code
    assert says in str(caught.value)


# ------------------------------------------------------------------- split and class folders


def test_split_folders_are_taken_as_given(tmp_path: Path) -> None:
    paths = [
        f"{split}/{label}/{split[0]}{n}.mp4"
        for split in ("train", "val", "test")
        for label in ("real", "fake")
        for n in range(3)
    ]
    manifest = read_manifest(touch(tmp_path, paths))
    assert manifest.layout == "split folders"
    assert sorted(paths) == [record.path for record in manifest.records]
    for record in manifest.records:
        split, label, _ = record.path.split("/")
        assert record.split == split
        assert record.label == (FAKE if label == "fake" else REAL)
    assert manifest.counts() == dict.fromkeys(("train", "val", "test"), (3, 3))
    assert manifest.notes == ()


def test_other_names_of_splits_and_classes(tmp_path: Path) -> None:
    paths = ["Training/Original/studio/a.MOV", "Training/Fakes/b.avi"]
    paths += ["validation/genuine/c.webm", "validation/Forged/faceswap/raw/d.mkv"]
    paths += ["TEST/authentic/e.mp4", "TEST/deepfakes/f.mp4"]
    manifest = records(read_manifest(touch(tmp_path, paths)))
    assert {path: (r.split, r.label) for path, r in manifest.items()} == {
        "Training/Original/studio/a.MOV": ("train", REAL),
        "Training/Fakes/b.avi": ("train", FAKE),
        "validation/genuine/c.webm": ("val", REAL),
        "validation/Forged/faceswap/raw/d.mkv": ("val", FAKE),
        "TEST/authentic/e.mp4": ("test", REAL),
        "TEST/deepfakes/f.mp4": ("test", FAKE),
    }
    assert manifest["validation/Forged/faceswap/raw/d.mkv"].method == "faceswap"
    assert manifest["Training/Original/studio/a.MOV"].method == ""


def test_a_bare_folder_is_split_by_group(tmp_path: Path) -> None:
    paths = [f"{label}/{n:02d}.mp4" for label in ("real", "fake") for n in range(20)]
    manifest = read_manifest(touch(tmp_path, paths), DataConfig(val_share=0.2))
    assert manifest.layout == "class folders"
    assert manifest.counts() == {"train": (12, 12), "val": (4, 4), "test": (4, 4)}
    assert "val and test taken from train by group" in manifest.notes
    assert all(len(splits) == 1 for splits in splits_of_groups(manifest).values())


def test_the_seed_decides_the_split(tmp_path: Path) -> None:
    touch(tmp_path, [f"{x}/{n:02d}.mp4" for x in ("real", "fake") for n in range(20)])
    assert read_manifest(tmp_path).records == read_manifest(tmp_path).records
    assert read_manifest(tmp_path, seed=1).records != read_manifest(tmp_path).records


def test_a_given_val_without_test_is_kept_for_the_report(tmp_path: Path) -> None:
    paths = [f"train/{x}/{n:02d}.mp4" for x in ("real", "fake") for n in range(20)]
    paths += [f"val/{x}/v{n}.mp4" for x in ("real", "fake") for n in range(3)]
    manifest = read_manifest(touch(tmp_path, paths))
    assert {r.split for p, r in records(manifest).items() if p.startswith("val/")} == {"test"}
    assert manifest.counts()["val"] == (3, 3)
    assert manifest.counts()["train"] == (17, 17)


def test_only_a_test_folder_is_for_evaluation(tmp_path: Path) -> None:
    paths = ["test/real/a.mp4", "test/fake/b.mp4", "test/fake/c.mp4"]
    manifest = read_manifest(touch(tmp_path, paths))
    assert manifest.counts() == {"test": (1, 2)}  # authentic, manipulated
    assert "for evaluation only" in manifest.notes[0]


def test_stills_make_a_dataset_and_thumbnails_do_not(tmp_path: Path) -> None:
    stills = touch(tmp_path / "s", [f"{x}/{n}.jpg" for x in ("real", "fake") for n in range(10)])
    assert len(read_manifest(stills).records) == 20
    mixed = touch(tmp_path / "m", [f"{x}/{n}.mp4" for x in ("real", "fake") for n in range(10)])
    touch(mixed, ["real/0.jpg", "real/notes.txt", "real/.hidden.mp4", "real/.git/x.mp4"])
    manifest = read_manifest(mixed)
    assert len(manifest.records) == 20
    assert "real: 1 stills beside videos left out" in manifest.notes
    assert "real: 1 files that are not media left out (.txt ...)" in manifest.notes


def test_links_into_other_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "store", [f"{n}.mp4" for n in range(10)])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "real").symlink_to(tmp_path / "store")
    touch(tmp_path / "data", [f"fake/{n}.mp4" for n in range(9)])
    (tmp_path / "data" / "fake" / "9.mp4").symlink_to(tmp_path / "store" / "9.mp4")
    counts = read_manifest(tmp_path / "data").counts()
    assert [sum(column) for column in zip(*counts.values(), strict=True)] == [10, 10]


# ------------------------------------------------------------------- the field's datasets


def test_faceforensics(tmp_path: Path) -> None:
    base = "{}_sequences/{}/c23/videos/{}.mp4"
    real = [base.format("original", "youtube", f"{n:03d}") for n in range(12)]
    pairs = [f"{n:03d}_{n ^ 1:03d}" for n in range(12)]
    fake = [
        base.format("manipulated", method, pair)
        for method in ("Deepfakes", "Face2Face")
        for pair in pairs
    ]
    mask = "manipulated_sequences/Deepfakes/masks/videos/000_001.mp4"
    manifest = read_manifest(touch(tmp_path, [*real, *fake, mask]))
    assert manifest.layout == "FaceForensics++"
    assert mask not in records(manifest)
    swap = records(manifest)[base.format("manipulated", "Face2Face", "003_002")]
    assert swap.method == "Face2Face"
    assert swap.dataset == "FaceForensics++"
    assert swap.source == base.format("original", "youtube", "003")
    assert records(manifest)[swap.source].method == ""
    assert together(manifest, swap.path, swap.source, base.format("original", "youtube", "002"))
    assert len(splits_of_groups(manifest)) == 6
    assert all(len(splits) == 1 for splits in splits_of_groups(manifest).values())


def test_faceforensics_with_the_videos_of_google(tmp_path: Path) -> None:
    """DFD comes in the same folders and has names and actors of its own."""
    base = "{}_sequences/{}/raw/videos/{}.mp4"
    real = [base.format("original", "actors", f"{n:02d}__walking") for n in range(12)]
    swaps = [f"{n:02d}_{n ^ 1:02d}__walking__ABCD12{n:02d}" for n in range(12)]
    fake = [base.format("manipulated", "DeepFakeDetection", name) for name in swaps]
    beside = [base.format("original", "youtube", f"{n:03d}") for n in range(4)]
    beside += [base.format("manipulated", "FaceSwap", f"{n:03d}_{n ^ 1:03d}") for n in range(4)]
    manifest = read_manifest(touch(tmp_path, [*real, *fake, *beside]))
    assert len(splits_of_groups(manifest)) == 6 + 2
    assert all(len(splits) == 1 for splits in splits_of_groups(manifest).values())
    assert together(manifest, real[4], real[5], fake[4], fake[5])
    assert records(manifest)[fake[4]].source == real[4]
    assert records(manifest)[fake[4]].method == "DeepFakeDetection"


def official_splits(folder: Path) -> None:
    """The lists of FaceForensics++, as if it had six originals: two for each split."""
    folder.mkdir(exist_ok=True)
    for split, ids in (("train", [0, 1]), ("val", [2, 3]), ("test", [4, 5])):
        (folder / f"{split}.json").write_text(json.dumps([[f"{n:03d}" for n in ids]]))


@pytest.mark.parametrize("folder", ["", "splits"])
def test_faceforensics_official_splits(tmp_path: Path, folder: str) -> None:
    base = "{}_sequences/{}/raw/videos/{}.mp4"
    touch(tmp_path, [base.format("original", "youtube", f"{n:03d}") for n in range(6)])
    pairs = ["000_001", "001_000", "002_003", "004_005", "004_000"]  # the last: 004's video
    touch(tmp_path, [base.format("manipulated", "FaceSwap", pair) for pair in pairs])
    official_splits(tmp_path / folder)
    found = {Path(r.path).stem: r.split for r in read_manifest(tmp_path).records}
    assert found == {
        "000": "train", "001": "train", "000_001": "train", "001_000": "train",
        "002": "val", "003": "val", "002_003": "val",
        "004": "test", "005": "test", "004_005": "test", "004_000": "test",
    }  # fmt: skip


def test_the_official_splits_of_faceforensics_leave_the_videos_of_google_out(
    tmp_path: Path,
) -> None:
    base = "{}_sequences/{}/c23/videos/{}.mp4"
    named = [base.format("original", "youtube", f"{n:03d}") for n in range(6)]
    named += [base.format("manipulated", "FaceSwap", f"{n:03d}_{n ^ 1:03d}") for n in range(6)]
    actors = [base.format("original", "actors", f"{n:02d}__walking") for n in range(2)]
    swaps = [base.format("manipulated", "DeepFakeDetection", "00_01__walking__ABCD1200")]
    touch(tmp_path, [*named, *actors, *swaps])
    official_splits(tmp_path)
    manifest = read_manifest(tmp_path)
    assert set(records(manifest)) == set(named)
    assert "3 videos left out that the official lists lack" in manifest.notes
    for file in named:  # the lists then concern nothing that is there
        (tmp_path / file).unlink()
    more = [base.format("original", "actors", f"{n}__walking") for n in range(10, 22)]
    pairs = [f"{n}_{n ^ 1}__walking__ABCD12{n}" for n in range(10, 22)]
    more += [base.format("manipulated", "DeepFakeDetection", name) for name in pairs]
    assert len(read_manifest(touch(tmp_path, more)).records) == 24 + 3


def test_celeb_df(tmp_path: Path) -> None:
    real = [f"Celeb-real/id{n}_{k:04d}.mp4" for n in range(12) for k in range(2)]
    fake = [f"Celeb-synthesis/id{n}_id{n ^ 1}_0000.mp4" for n in range(12)]
    other = [f"YouTube-real/{n:05d}.mp4" for n in range(8)]
    manifest = read_manifest(touch(tmp_path, [*real, *fake, *other]))
    assert manifest.layout == "Celeb-DF"
    swap = records(manifest)["Celeb-synthesis/id0_id1_0000.mp4"]
    assert swap.source == "Celeb-real/id0_0000.mp4"
    assert together(manifest, swap.path, "Celeb-real/id0_0001.mp4", "Celeb-real/id1_0001.mp4")
    assert records(manifest)["YouTube-real/00000.mp4"].label == REAL
    assert all(len(splits) == 1 for splits in splits_of_groups(manifest).values())


@pytest.mark.parametrize("folder", ["Celeb-real", "celeb-REAL"])
def test_celeb_df_official_test_videos(tmp_path: Path, folder: str) -> None:
    real = [f"{folder}/id{n}_0000.mp4" for n in range(20)]
    fake = [f"Celeb-synthesis/id{n}_id{n ^ 1}_0000.mp4" for n in range(20)]
    touch(tmp_path, real + fake)
    listing = "1 Celeb-real/id0_0000.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"
    (tmp_path / "List_of_testing_videos.txt").write_text(listing)
    manifest = read_manifest(tmp_path)
    assert manifest.counts()["test"] == (1, 1)
    assert records(manifest)[f"{folder}/id0_0000.mp4"].split == "test"
    assert manifest.counts()["val"][0] >= 2


def test_celeb_df_where_everybody_is_swapped_with_everybody(tmp_path: Path) -> None:
    """One component: groups fall back to whose video it is, and a note says so."""
    people = range(8)
    real = [f"Celeb-real/id{a}_0000.mp4" for a in people]
    fake = [f"Celeb-synthesis/id{a}_id{b}_0000.mp4" for a in people for b in people if a != b]
    manifest = read_manifest(touch(tmp_path, real + fake))
    assert any("bind nearly all identities together" in note for note in manifest.notes)
    assert len(splits_of_groups(manifest)) == 8
    assert together(manifest, "Celeb-real/id3_0000.mp4", "Celeb-synthesis/id3_id5_0000.mp4")
    assert all(len(splits) == 1 for splits in splits_of_groups(manifest).values())


def test_dfdc(tmp_path: Path) -> None:
    for part in range(2):
        folder = tmp_path / f"dfdc_train_part_{part}"
        table = {}
        for n in range(10):
            name = f"{part}{n:04d}.mp4"
            table[f"r{name}"] = {"label": "REAL", "split": "train", "original": None}
            table[f"f{name}"] = {"label": "FAKE", "split": "train", "original": f"r{name}"}
        touch(folder, table)
        table["gone.mp4"] = {"label": "FAKE", "split": "train", "original": "r00000.mp4"}
        (folder / "metadata.json").write_text(json.dumps(table))
    manifest = read_manifest(tmp_path)
    assert manifest.layout == "DFDC"
    assert "2 rows of metadata.json have no video here" in manifest.notes
    fake = records(manifest)["dfdc_train_part_1/f10003.mp4"]
    assert fake.source == "dfdc_train_part_1/r10003.mp4"
    assert records(manifest)[fake.source].source == ""
    assert together(manifest, fake.path, fake.source)
    assert {split for r in manifest.records for split in [r.split]} == {"train", "val", "test"}
    assert all(len(splits) == 1 for splits in splits_of_groups(manifest).values())


def test_the_splits_of_dfdc_are_kept(tmp_path: Path) -> None:
    split_of = {"a": "train", "b": "validation", "c": "test"}
    table = {
        f"{label}{name}.mp4": {"label": label, "split": split}
        for name, split in split_of.items()
        for label in ("REAL", "FAKE")
    }
    touch(tmp_path, table)
    (tmp_path / "metadata.json").write_text(json.dumps(table))
    found = {path: r.split for path, r in records(read_manifest(tmp_path)).items()}
    assert found == {
        "REALa.mp4": "train", "FAKEa.mp4": "train", "REALb.mp4": "val", "FAKEb.mp4": "val",
        "REALc.mp4": "test", "FAKEc.mp4": "test",
    }  # fmt: skip


def test_dfdc_rows_that_cannot_be(tmp_path: Path) -> None:
    touch(tmp_path, ["a.mp4"])
    (tmp_path / "metadata.json").write_text('{"a.mp4": {"label": "MAYBE"}}')
    fails(tmp_path, "dataset_manifest", "'a.mp4' has no label")
    outside = {f"../{tmp_path.name}/a.mp4": {"label": "REAL"}}
    (tmp_path / "metadata.json").write_text(json.dumps(outside))
    fails(tmp_path, "dataset_manifest", "has no label")
    (tmp_path / "metadata.json").write_text("{")
    fails(tmp_path, "dataset_manifest", "not JSON")


def test_names_of_known_datasets_in_plain_folders(tmp_path: Path) -> None:
    """Somebody's copy of FaceForensics++ as {real,fake}: the names still bind."""
    paths = [f"real/{n:03d}.mp4" for n in range(20)]
    paths += [f"fake/{n:03d}_{n ^ 1:03d}.mp4" for n in range(20)]
    manifest = read_manifest(touch(tmp_path, paths))
    assert "groups from file names as in FaceForensics++" in manifest.notes
    assert together(manifest, "real/002.mp4", "real/003.mp4", "fake/002_003.mp4")
    assert records(manifest)["fake/002_003.mp4"].source == "real/002.mp4"


def test_a_source_that_two_videos_could_be_is_not_told(tmp_path: Path) -> None:
    """Somebody's copy with each authentic video in two qualities."""
    paths = [f"real/{q}/{n:03d}.mp4" for n in range(20) for q in ("c23", "c40") if n or q == "c23"]
    paths += [f"fake/{n:03d}_{n ^ 1:03d}.mp4" for n in range(20)]
    found = records(read_manifest(touch(tmp_path, paths)))
    assert found["fake/000_001.mp4"].source == "real/c23/000.mp4"
    assert found["fake/001_000.mp4"].source == ""


def test_links_bind_videos_that_the_names_do_not(tmp_path: Path) -> None:
    touch(tmp_path, [f"{x}/{n}.mp4" for x in ("real", "fake") for n in range(10)])
    assert not together(read_manifest(tmp_path), "real/1.mp4", "fake/7.mp4")
    linked = read_manifest(tmp_path, links=[("real/1.mp4", "fake/7.mp4")])
    assert together(linked, "real/1.mp4", "fake/7.mp4")
    assert len(splits_of_groups(linked)) == 19


def test_numbers_alone_bind_nobody(tmp_path: Path) -> None:
    paths = [f"{x}/{n:03d}.mp4" for x in ("real", "fake") for n in range(10)]
    manifest = read_manifest(touch(tmp_path, paths))
    assert len({record.group for record in manifest.records}) == 20


# ------------------------------------------------------------------- tables


def table(root: Path, text: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / "manifest.csv").write_text(text, encoding="utf-8")
    return root


def test_a_table(tmp_path: Path) -> None:
    root = table(
        tmp_path,
        "\ufeffFile, Label ,split,group,method,source,dataset,sha256\n"
        "a/1.mp4,real,train,p1,,,,\n"
        "a/2.mp4,FAKE,train,p1,swap,a/1.mp4,mine,AB12\n"
        "\n"
        "b/3.mp4,0,test,p2,,,,\n"
        "b/4.mp4,1,test,p2,,,,\n"
        "c/5.mp4,authentic,val,p3,,,,\n"
        "c/6.mp4,manipulated,dev,p3,,,,\n",
    )
    manifest = read_manifest(root)
    assert manifest.layout == "manifest.csv"
    assert records(manifest)["a/2.mp4"] == VideoRecord(
        "a/2.mp4", FAKE, "train", "group:p1", "swap", "mine", "ab12", "a/1.mp4"
    )
    assert manifest.counts() == {"train": (1, 1), "val": (1, 1), "test": (1, 1)}


def test_a_table_may_be_written_loosely(tmp_path: Path) -> None:
    text = "path, LABEL , Split,group\na.mp4 , Real, Test , anna\nb.mp4,FAKE ,testing,anna \n"
    manifest = read_manifest(table(tmp_path, text))
    assert manifest.counts() == {"test": (1, 1)}
    assert together(manifest, "a.mp4", "b.mp4")


def test_a_table_of_tar_shards_binds_identities_and_sources(tmp_path: Path) -> None:
    rows = [f"r{n}.jpg,f.tar,real,,v{n},v{n},id{n}" for n in range(10)]
    rows += [f"f{n}.jpg,f.tar,fake,,w{n},v{n},id{n}" for n in range(10)]
    head = "file,shard,label,split,video,source_video,identity_group\n"
    manifest = read_manifest(table(tmp_path, head + "\n".join(rows)))
    fake = records(manifest)["f.tar::f3.jpg"]
    assert fake.source == "f.tar::r3.jpg"
    assert together(manifest, "f.tar::f3.jpg", "f.tar::r3.jpg")
    assert len(splits_of_groups(manifest)) == 10


def test_a_table_of_recordings_binds_a_fake_to_what_it_was_made_from(tmp_path: Path) -> None:
    rows = [f"r{n}.mp4,real,v{n}," for n in range(10)]
    rows += [f"f{n}.mp4,fake,w{n},v{n}" for n in range(10)]
    manifest = read_manifest(table(tmp_path, "file,label,video,source_video\n" + "\n".join(rows)))
    assert all(together(manifest, f"r{n}.mp4", f"f{n}.mp4") for n in range(10))
    assert len(splits_of_groups(manifest)) == 10


def test_every_column_that_binds_binds(tmp_path: Path) -> None:
    """Also where another one is filled in; what agrees across two columns is no agreement."""
    root = table(
        tmp_path,
        "file,label,split,group,identity_group,video,source_video\n"
        "a.mp4,real,test,g1,i1,v1,\n"
        "by_group.mp4,fake,test,g1,i2,v2,\n"
        "by_identity.mp4,fake,test,g3,i1,v3,\n"
        "by_video.mp4,real,test,g4,i4,v1,\n"
        "by_source.mp4,fake,test,g5,i5,v5,v1\n"
        "alone.mp4,fake,test,i1,g1,g4,\n",
    )
    manifest = read_manifest(root)
    bound = ("a.mp4", *(f"by_{name}.mp4" for name in ("group", "identity", "video", "source")))
    assert together(manifest, *bound)
    assert not together(manifest, "a.mp4", "alone.mp4")


def test_the_source_of_a_row_is_the_authentic_recording(tmp_path: Path) -> None:
    root = table(
        tmp_path / "mine",
        "file,label,split,video,source_video,source\n"
        "r.mp4,real,test,v1,,\n"
        "again.mp4,real,test,v2,v1,\n"
        "swap.mp4,fake,test,w1,v1,\n"
        "swap_of_swap.mp4,fake,test,w2,w1,\n"
        "told.mp4,fake,test,w3,v1,again.mp4\n",
    )
    assert {path: r.source for path, r in records(read_manifest(root)).items()} == {
        "r.mp4": "",
        "again.mp4": "",
        "swap.mp4": "r.mp4",
        "swap_of_swap.mp4": "",
        "told.mp4": "again.mp4",
    }
    assert {record.dataset for record in read_manifest(root).records} == {"mine"}


def test_the_groups_of_a_table_come_before_the_names(tmp_path: Path) -> None:
    rows = [f"{n:03d}.mp4,real,test,g{n}" for n in range(4)]
    rows += [f"{n:03d}_{n ^ 1:03d}.mp4,fake,test,g{n}" for n in range(4)]
    manifest = read_manifest(table(tmp_path, "file,label,split,group\n" + "\n".join(rows)))
    for record in manifest.records:
        assert record.group == f"group:g{int(record.path[:3])}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,label\na.mp4,maybe\n", "Row 2"),
        ("file,label\na.mp4,real\n,fake\n", "Row 3"),
        ("file,label\n/etc/passwd,real\n", "outside the dataset"),
        ("file,label\nx/../../a.mp4,real\n", "outside the dataset"),
        ("file,label,shard\na.mp4,real,../b.tar\n", "outside the dataset"),
        ("file,label,split\na.mp4,real,later\n", "the split 'later'"),
        ("file,label\na.mp4,real\na.mp4,fake\n", "a second time"),
        ("file,label\na.mp4,real\n\nb.mp4,fake\na.mp4,fake\n", "Row 5"),
        ("file,label\na.mp4,real,more,cells\n", "too many cells"),
    ],
)
def test_a_table_with_a_mistake(tmp_path: Path, text: str, says: str) -> None:
    fails(table(tmp_path, text), "dataset_manifest", says)


def test_a_table_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00\x01file")
    fails(tmp_path, "dataset_manifest", "not a table")


def test_a_table_of_stills_and_videos_is_refused(tmp_path: Path) -> None:
    for still in ("b.jpg", "B.JPG"):
        fails(table(tmp_path, f"file,label\na.mp4,real\n{still},fake\n"), "dataset_mixed", "a.mp4")


def test_splits_for_some_rows_only(tmp_path: Path) -> None:
    text = "file,label,split\na.mp4,real,train\nb.mp4,fake,\n"
    fails(table(tmp_path, text), "dataset_splits")


# ------------------------------------------------------------------- groups.csv


def test_a_groups_file_overrides_the_names(tmp_path: Path) -> None:
    paths = [f"real/{n:03d}.mp4" for n in range(12)]
    paths += [f"fake/{n:03d}_{n ^ 1:03d}.mp4" for n in range(12)]
    touch(tmp_path, paths)
    rows = ["path,group"] + [f"{p},{int(p[5:8]) // 4}" for p in paths]
    (tmp_path / "groups.csv").write_text("\n".join(rows))
    manifest = read_manifest(tmp_path)
    assert len(splits_of_groups(manifest)) == 3
    assert together(manifest, "real/004.mp4", "real/007.mp4", "fake/006_007.mp4")
    assert records(manifest)["fake/004_005.mp4"].source == "real/004.mp4"


def test_a_groups_file_may_part_and_bind_against_the_names(tmp_path: Path) -> None:
    """It is obeyed where the names would bind more, and where it binds more than half of all."""
    real = [f"real/{n:03d}.mp4" for n in range(12)]
    fake = [f"fake/{n:03d}_{n ^ 1:03d}.mp4" for n in range(12)]
    touch(tmp_path, [*real, *fake])
    rows = [f"{p},{'many' if p[5:8] < '008' else p[5:8]}" for p in (*real, *fake)]
    (tmp_path / "groups.csv").write_text("\n".join(["path,group", *rows]))
    manifest = read_manifest(tmp_path, DataConfig(val_share=0.1))
    assert {record.group for record in manifest.records} == {
        "group:many", "group:008", "group:009", "group:010", "group:011",
    }  # fmt: skip
    assert together(manifest, *real[:8], *fake[:8])
    assert records(manifest)["fake/008_009.mp4"].group == "group:008"


@pytest.mark.parametrize(
    ("text", "says"),
    [("path,group\nreal/none.mp4,1\n", "real/none.mp4"), ("path,group\nreal/0.mp4,\n", "Row 2")],
)
def test_a_groups_file_with_a_mistake(tmp_path: Path, text: str, says: str) -> None:
    touch(tmp_path, [f"{x}/{n}.mp4" for x in ("real", "fake") for n in range(5)])
    (tmp_path / "groups.csv").write_text(text)
    fails(tmp_path, "dataset_groups", says)


def test_groups_too_few_to_split(tmp_path: Path) -> None:
    paths = [f"{x}/{n}.mp4" for x in ("real", "fake") for n in range(5)]
    touch(tmp_path, paths)
    (tmp_path / "groups.csv").write_text("path,group\n" + "".join(f"{p},all\n" for p in paths))
    fails(tmp_path, "dataset_groups", "groups.csv")


# ------------------------------------------------------------------- what is no dataset


def test_what_is_said_where_nothing_fits(tmp_path: Path) -> None:
    fails(tmp_path / "none", "dataset_missing", "no folder")
    fails(touch(tmp_path / "a", ["x.mp4", "clips/y.mp4"]), "dataset_layout", "1 folders (clips/)")
    fails(touch(tmp_path / "b", ["inner/real/a.mp4"]), "dataset_layout", f"Name {tmp_path}/b/inner")
    fails(touch(tmp_path / "c", ["real/a.mp4"]), "dataset_empty_class", "no manipulated")
    fails(touch(tmp_path / "d", ["real/a.txt", "fake/b.txt"]), "dataset_layout")
    file = tmp_path / "file.mp4"
    file.touch()
    fails(file, "dataset_missing")


def test_a_split_with_one_class_is_told(tmp_path: Path) -> None:
    paths = ["train/real/a.mp4", "train/fake/b.mp4", "val/real/c.mp4"]
    fails(touch(tmp_path, paths), "dataset_empty_class", "val split (1 of the other class)")
    with pytest.raises(DatasetError) as caught:
        read_manifest(tmp_path)
    assert "add a folder 'fake'" in caught.value.hint


def test_the_layouts_rows_are_posix_paths_below_the_root(tmp_path: Path) -> None:
    touch(tmp_path, ["real/deep/er/a.mp4", "fake/m/b.mp4"])
    assert set(by_path(read_layout(tmp_path))) == {"real/deep/er/a.mp4", "fake/m/b.mp4"}


def test_at_most_so_many_videos_of_a_class(tmp_path: Path) -> None:
    paths = [f"{s}/{x}/{n}.mp4" for s in ("train", "val", "test") for x in ("real", "fake")
             for n in range(9)]  # fmt: skip
    manifest = read_manifest(touch(tmp_path, paths), DataConfig(videos_per_class=4))
    assert manifest.counts() == dict.fromkeys(("train", "val", "test"), (4, 4))
    assert all(record.group == record.path for record in manifest.records)
    assert "24 of 54 videos kept (data.videos_per_class)" in manifest.notes
