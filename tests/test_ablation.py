"""The ablation script at its smallest: it trains, skips what is finished, and writes its table."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from bank_faces import bank

from unmask.config import load
from unmask.errors import ConfigError

ROOT = Path(__file__).parent.parent
PLAIN, UNPAIRED, UNSEEN = "nothing: the recipe as it is", "without pairing", "without the kind sbi"


@pytest.fixture(scope="module")
def ablation() -> Any:
    spec = importlib.util.spec_from_file_location("ablation", ROOT / "benchmarks" / "ablation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ablation"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


RECIPE = """
clip: {frames: 1, size_px: 64}
model: {name: frame, backbone: test_vit, weights: random, blocks: 1, patch_map: true}
pairs: {sources: {portraits: 1.0, dfdc: 1.0}, kinds: {sbi: 1.0, dataset: 1.0}, val_pairs: 3}
optim: {warmup_steps: 2}
loop: {batch_size: 4, accelerator: cpu, precision: fp32}
data: {workers: 0}
"""


@pytest.mark.slow
def test_each_change_is_trained_once_and_ends_in_the_page(ablation: Any, tmp_path: Path) -> None:
    bank().save(tmp_path / "faces.npz")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    page = tmp_path / "results.md"
    others = "<!-- ablation_temporal: begin -->\nkept\n<!-- ablation_temporal: end -->"
    marked = "<!-- ablation: begin -->\nold\n<!-- ablation: end -->"
    page.write_text(f"# Before\n\n{marked}\n\n{others}\n\n# After\n")
    words = [
        str(tmp_path / "faces.npz"), "--config", str(tmp_path / "recipe.yaml"), "--steps", "2",
        "--out", str(tmp_path / "runs"), "--write", str(page),
        "--only", PLAIN, "--only", UNPAIRED, "--only", UNSEEN,
    ]  # fmt: skip
    results = ablation.main(words)
    assert [result["name"] for result in results] == [PLAIN, UNPAIRED, UNSEEN]
    for result in results:
        kinds = {"sbi", "swap", "reenact", "mouth", "rerender", "dataset"}
        assert set(result["kinds"]) == kinds  # untaught ones are validated all the same
        assert set(result["sources"]) == {"portraits", "dfdc"}
        assert all(0 <= found["value"] <= 1 for found in result["kinds"].values())
    assert results[0]["kinds"]["sbi"]["taught"]
    assert not results[2]["kinds"]["sbi"]["taught"]
    assert results[2]["kinds"]["dataset"]["taught"]
    text = page.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("# After\n")
    assert "old" not in text
    assert others in text
    head, unseen = (
        next(line for line in text.splitlines() if line.startswith(f"| {name} |")).split(" | ")
        for name in ("changed", UNSEEN)
    )
    assert unseen[head.index("sbi")].startswith("*")
    assert not unseen[head.index("dataset")].startswith("*")
    runs = [tmp_path / "runs" / name for name in ("without-pairing", "without-the-kind-sbi")]
    stamps = [(run / "models" / "best_model.pth").stat().st_mtime_ns for run in runs]
    assert len({(run / "validation.npz").read_bytes() for run in runs}) == 1
    assert ablation.main(words) == results  # finished runs are read, not trained again
    assert [(run / "models" / "best_model.pth").stat().st_mtime_ns for run in runs] == stamps
    assert page.read_text() == text


def test_what_is_left_out_is_every_member_once(ablation: Any, tmp_path: Path) -> None:
    base = load(None)
    found = {v.name: v for v in ablation.variants(ablation.VARIANTS, base)}
    for kind in base.pairs.kinds:
        config = load(None, found[f"without the kind {kind}"].words)
        assert config.pairs.kinds == {k: v for k, v in base.pairs.kinds.items() if k != kind}
    for source in base.pairs.sources:
        config = load(None, found[f"without the source {source}"].words)
        assert set(config.pairs.sources) == set(base.pairs.sources) - {source}
    assert load(None, found["without pairing"].words).pairs.together is False
    assert len({variant.folder for variant in found.values()}) == len(found)
    temporal = ablation.variants(ablation.VARIANTS.with_stem("ablation_temporal"), base)
    for variant in (*found.values(), *temporal):
        load(ROOT / "configs" / "unmask-base.yaml", variant.words)  # every word is a setting
    bad = tmp_path / "bad.yaml"
    bad.write_text("- {words: [a]}")
    with pytest.raises(ConfigError):
        ablation.variants(bad, base)


def test_the_table_marks_what_was_not_taught_and_what_cannot_be_compared(ablation: Any) -> None:
    known = {"value": 0.75, "low": 0.5, "high": 1.0}
    result = {
        "name": "x",
        "kinds": {"sbi": {**known, "taught": False}, "swap": {**known, "taught": True}},
        "sources": {"dfdc": {**known, "taught": True}},
        "all": {"value": 0.5, "low": None, "high": None},
        "held_out": {"people": {"value": None, "low": None, "high": None, "why": "other crops"}},
    }

    class Options:
        steps, seed, start, data = 10, 0, "", ("people=STORE",)

    text = ablation.tables([result], Options)
    assert "| changed | sbi | swap | all pairs | people |" in text
    row = "| x | *0.750 [0.500, 1.000]* | 0.750 [0.500, 1.000] | 0.500 | not comparable |"
    assert row in text
    assert ablation._place("clips=a/b:val") == ("clips", "a/b", "val")
    assert ablation._place("clips=a/b") == ("clips", "a/b", "test")
