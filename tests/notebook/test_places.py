from pathlib import Path

import pytest
from layouts import LAYOUTS
from trees import touch

from unmask import notebook
from unmask.data.discover import find_datasets
from unmask.errors import DatasetError, ModelError
from unmask.notebook.places import find_data, model_of, settings_from


@pytest.mark.parametrize("layout", LAYOUTS)
def test_attached_layouts_are_found_wherever_they_lie(
    kaggle: Path, clips: Path, layout: str
) -> None:
    """Below the dataset's name, and below an archive's folder in it."""
    LAYOUTS[layout](clips, kaggle / "input" / "slug" / "archive")
    (kaggle / "input" / "other").mkdir()
    (kaggle / "input" / "other" / "readme.txt").write_text("not a dataset")
    search = find_data()
    assert [(one.path.name, one.layout.name) for one in search.found] == [("archive", layout)]
    assert len(search.found[0].layout.rows) == 24


def test_the_larger_of_two_is_used_and_both_are_told(kaggle: Path, clips: Path) -> None:
    LAYOUTS["split folders"](clips, kaggle / "input" / "b-large")
    small = kaggle / "input" / "a-small"
    for label in ("real", "fake"):
        (small / label).mkdir(parents=True)
        (small / label / "x.mp4").symlink_to(next((clips / "train" / label).glob("*.mp4")))
    one_class = kaggle / "input" / "c-one-class" / "fake"
    one_class.mkdir(parents=True)
    for number in range(50):
        (one_class / f"{number}.mp4").touch()
    search = find_data()
    assert notebook.choose_data(search).path.name == "b-large"
    assert [one.path.name for one in search.found] == ["b-large", "a-small", "c-one-class"]
    told = str(notebook.search_table(search))
    rows = [(row[0], *row[2:]) for row in notebook.search_table(search).rows]
    assert rows[0][0] == "used"
    assert [row[0] for row in rows[1:]] == ["", ""]
    assert rows[2][2:] == ("0", "50")
    assert "base_path in cell 2" in told


@pytest.mark.parametrize(
    "place",
    [
        "datasets/me/deepfakes",
        "my-videos/deepfake",
        "datasets/me/my-videos/Data/Data",
        "datasets/me/my-videos/archive/Data/Data",
    ],
)
def test_a_folder_called_like_a_class_does_not_hide_what_lies_below(
    kaggle: Path, clips: Path, place: str
) -> None:
    LAYOUTS["split folders"](clips, kaggle / "input" / place)
    chosen = notebook.choose_data(find_data())
    assert chosen.path == kaggle / "input" / place
    assert chosen.classes == 2


def test_a_broken_table_is_told_and_does_not_end_the_search(kaggle: Path, clips: Path) -> None:
    LAYOUTS["split folders"](clips, kaggle / "input" / "good")
    (kaggle / "input" / "bad").mkdir()
    (kaggle / "input" / "bad" / "manifest.csv").write_text("file,label\na.mp4,perhaps\n")
    search = find_data()
    assert [one.path.name for one in search.found] == ["good"]
    assert "perhaps" in search.refused[0][1]
    assert "perhaps" in str(notebook.search_table(search))


def test_a_broken_table_alone_is_the_reason_that_is_given(kaggle: Path) -> None:
    (kaggle / "input" / "bad").mkdir()
    (kaggle / "input" / "bad" / "manifest.csv").write_text("file,label\na.mp4,perhaps\n")
    with pytest.raises(DatasetError, match="perhaps") as caught:
        find_data()
    assert "input holds: bad." in caught.value.hint


def test_two_attached_datasets_called_like_the_classes_are_two(kaggle: Path) -> None:
    """One that cell 2 names is taken as it is."""
    root = kaggle / "input"
    for slug in ("real", "fake"):
        touch(root, [f"{slug}/{label}/{n}.mp4" for label in ("real", "fake") for n in "ab"])
    assert [one.path for one in find_data().found] == [root / "fake", root / "real"]
    assert [one.path for one in find_data(root).found] == [root]


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, ["videos/real/a.mp4", "videos/fake/b.mp4"])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert [one.path for one in find_data("~/videos").found] == [tmp_path / "videos"]


def test_a_folder_that_only_collects_is_no_dataset_itself(tmp_path: Path) -> None:
    """Not even where two datasets in it are called like the classes."""
    for slug in ("real", "fake"):
        touch(tmp_path, [f"{slug}/{label}/{n}.mp4" for label in ("real", "fake") for n in "ab"])
    both = [tmp_path / "fake", tmp_path / "real"]
    assert [one.path for one in find_datasets(tmp_path, root_too=False).found] == both
    assert [one.path for one in find_datasets(tmp_path, depth=1, root_too=False).found] == both
    assert [one.path for one in find_datasets(tmp_path).found] == [tmp_path]


def test_below_a_broken_table_the_search_goes_on(tmp_path: Path) -> None:
    touch(tmp_path, ["bad/inner/real/a.mp4", "bad/inner/fake/b.mp4"])
    (tmp_path / "bad" / "manifest.csv").write_text("file,label\na.mp4,perhaps\n")
    search = find_datasets(tmp_path)
    assert [one.path for one in search.found] == [tmp_path / "bad" / "inner"]
    assert [path for path, _ in search.refused] == [tmp_path / "bad"]


def test_the_search_ends_at_its_depth(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    for label in ("real", "fake"):
        (deep / label).mkdir(parents=True)
        (deep / label / "x.mp4").touch()
    assert [one.path for one in find_datasets(tmp_path, depth=3).found] == [deep]
    assert find_datasets(tmp_path, depth=2).found == ()
    assert [one.path for one in find_datasets(tmp_path, depth=3, root_too=False).found] == [deep]
    assert find_datasets(tmp_path, depth=2, root_too=False).found == ()
    with pytest.raises(DatasetError):
        find_datasets(tmp_path / "nowhere")


def test_elsewhere_the_folder_data_is_used(
    tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNMASK_KAGGLE_ROOT", str(tmp_path / "nothing"))
    monkeypatch.delenv("UNMASK_BASE_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError) as caught:
        find_data()
    assert "base_path" in caught.value.hint
    (tmp_path / "data").symlink_to(clips)
    assert find_data().found[0].path == Path("data")
    assert notebook.scratch_folder() == Path("stores")
    monkeypatch.setenv("UNMASK_BASE_PATH", str(clips))
    assert find_data().found[0].path == clips
    with pytest.raises(DatasetError, match="elsewhere"):  # what a cell says goes before
        find_data(tmp_path / "elsewhere")


def test_on_kaggle_clips_lie_where_they_are_not_saved_with_the_notebook(kaggle: Path) -> None:
    assert notebook.scratch_folder() == kaggle / "temp" / "unmask"


def test_settings_from_outside_go_before_those_of_the_cell(
    kaggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNMASK_SETTINGS", "loop.epochs=2\n\n data.videos_per_class=3 ")
    settings = settings_from(["loop.epochs=9", "clip.frames=5"])
    found = (settings.loop.epochs, settings.data.videos_per_class, settings.clip.frames)
    assert found == (2, 3, 5)


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ("pytorch/resnet50-0676ba61.pth", True),
        ("x/ResNet50.pth", True),
        ("timm/resnet50.a1_in1k/model.safetensors", True),
        ("timm/resnet50d.ra2_in1k/model.safetensors", False),
        ("x/resnet50d.pth", False),
        ("x/wide_resnet50_2.pth", False),
        ("x/resnet50.csv", False),
        ("x/resnet50.pt", True),
        ("x/my-resnet50/model.safetensors", True),
        ("timm/wide_resnet50_2.racm_in1k/model.safetensors", False),
        ("x/resnet50/head.safetensors", False),
        ("x/.resnet50/resnet50.pth", False),
        ("models/me/classics/pytorch/resnets/1/resnet50.pth", True),
        ("models/me/classics/pytorch/resnets/1/resnet50/model.safetensors", True),
    ],
)
def test_attached_weights_are_found_by_name(kaggle: Path, file: str, fits: bool) -> None:
    path = kaggle / "input" / file
    path.parent.mkdir(parents=True)
    path.touch()
    assert notebook.backbone_weights("resnet50") == (path if fits else None)
    weights = settings_from().model.weights
    assert weights == (str(path) if fits else "imagenet")
    assert settings_from(["model.weights=random"]).model.weights == "random"


def test_weights_lie_in_a_folder_of_that_name_as_well(kaggle: Path) -> None:
    """Beside the notebook; an attached file goes before."""
    own, attached = Path("weights/resnet50.pth"), kaggle / "input" / "x" / "resnet50.pth"
    for path, found in ((own, own), (attached, attached)):
        path.parent.mkdir()
        path.touch()
        assert notebook.backbone_weights("resnet50") == found


def test_a_model_that_is_wrong_is_not_taken_for_one_that_is_not_there(kaggle: Path) -> None:
    with pytest.raises(ModelError) as caught:
        model_of(settings_from(["model.weights=/nowhere/resnet18.pth"]))
    assert caught.value.code != "model_download"
    assert "Add Input" not in (caught.value.hint or "")


def test_weights_that_cannot_be_had_say_what_to_attach(
    kaggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm

    def offline(*args: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ModelError) as caught:
        model_of(settings_from(["model.backbone=resnet18"]))
    assert caught.value.code == "model_download"
    assert "resnet18*.pth" in caught.value.hint
    assert "model.weights=random" in caught.value.hint
