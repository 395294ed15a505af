from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stores import make_store, tiny_config

from unmask.clips import ClipStore
from unmask.data.loader import clip_items
from unmask.errors import DatasetError, RunError
from unmask.training import overfit
from unmask.training.fit import probe_batch_size
from unmask.training.overfit import overfit_one_batch
from unmask.types import Clip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("clips") / "store")


@pytest.fixture(scope="module")
def batch(store: Path) -> tuple[list[Clip], list[int]]:
    opened = ClipStore.open(store)
    items = clip_items(opened, "train", main_track_only=True)
    chosen = [i for label in (0, 1) for i in [x for x in items if x.record.label == label][:2]]
    return [opened.read(item.ref) for item in chosen], [item.record.label for item in chosen]


def test_a_sound_set_up_learns_one_batch(batch: tuple[list[Clip], list[int]]) -> None:
    result = overfit_one_batch(tiny_config("optim.head_lr=1.0e-2"), *batch, steps=80)
    assert result.learned
    assert result.right == 4
    assert result.losses[-1] < 0.2 * result.losses[0]
    assert result.device == "cpu"


def test_one_that_cannot_learn_is_told(batch: tuple[list[Clip], list[int]]) -> None:
    config = tiny_config("optim={lr: 0.0, head_lr: 0.0}")
    result = overfit_one_batch(config, *batch, steps=3)
    assert not result.learned
    assert len(result.losses) == 4
    clips = [replace(batch[0][0]), replace(batch[0][0])]  # the same clip, under both labels
    assert not overfit_one_batch(tiny_config(), clips, [0, 1], steps=10).learned


@pytest.mark.parametrize(("holds", "told"), [(8, 1), (4, 2), (3, None)])
def test_where_memory_runs_out_it_goes_on_with_fewer_frames(
    batch: tuple[list[Clip], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    holds: int,
    told: int | None,
) -> None:
    """Four clips of three frames, on a device that holds so many crops."""
    built = overfit.build

    def small(*args: object) -> torch.nn.Module:
        model = built(*args)  # type: ignore[arg-type]
        forward = model.forward

        def limited(clips: torch.Tensor, mask: torch.Tensor) -> object:
            if clips.shape[0] * clips.shape[1] > holds:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return forward(clips, mask)

        monkeypatch.setattr(model, "forward", limited)
        return model

    monkeypatch.setattr(overfit, "build", small)
    if told is None:
        with pytest.raises(RunError) as caught:
            overfit_one_batch(tiny_config(), *batch, steps=2)
        assert caught.value.code == "run_memory"
    else:
        overfit_one_batch(tiny_config(), *batch, steps=2)
    assert capsys.readouterr().err.count("going on with") == (told or 2)


def test_a_batch_needs_both_classes(batch: tuple[list[Clip], list[int]]) -> None:
    with pytest.raises(ValueError, match="both classes"):
        overfit_one_batch(tiny_config(), batch[0], [1, 1, 1, 1])


def test_the_batch_size_is_probed_without_a_run(store: Path, tmp_path: Path) -> None:
    assert 1 <= probe_batch_size(tiny_config("loop.max_batch_size=4"), store) <= 4
    manifest = make_store(tmp_path / "other") / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",train,", ",test,"))
    with pytest.raises(DatasetError):
        probe_batch_size(tiny_config(), manifest.parent)
