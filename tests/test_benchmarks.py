"""The command that fills the table of docs/performance.md, at its smallest size."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import material
import table
import train_loop
from measure import Cost, Figure, Row, ratio, rounds
from page import inside, put
from rows_gpu import GPU_ROWS, gpu_row
from table import ROWS, line, with_lines

ROOT = Path(__file__).parents[1]
CELLS = 8


def cells(text: str) -> list[str]:
    return [cell.strip() for cell in text.strip().strip("|").split("|")]


def test_a_ratio_is_of_the_least_and_lies_within_its_spread() -> None:
    slow, fast = [Cost(3, 2), Cost(2, 2), Cost(9, 4)], [Cost(1, 1), Cost(2, 1), Cost(4, 1)]
    wall, processor = ratio(slow, fast)
    assert wall == Figure(2.0, 1.0, 3.0)
    assert processor == Figure(2.0, 2.0, 4.0)


def test_rounds_take_turns_and_count_processor_time() -> None:
    turns: list[str] = []
    works = {
        "idle": lambda: turns.append("idle"),
        "busy": lambda: (turns.append("busy"), sum(range(3_000_000))),
    }
    costs = rounds(works, 2)
    assert turns == ["idle", "busy"] * 2
    assert min(cost.processor for cost in costs["busy"]) > 0
    assert min(cost.wall for cost in costs["busy"]) > max(cost.wall for cost in costs["idle"])


@pytest.mark.parametrize(
    ("sense", "value", "holds", "met"),
    [
        ("<=", 1.5, True, True),
        ("<=", 1.51, True, False),
        (">=", 1.49, True, False),
        (">=", 1.6, False, False),
    ],
)
def test_a_target_is_met_or_not(sense: str, value: float, holds: bool, met: bool) -> None:
    figure = Figure(value, value, value)
    row = Row("a", "b", "c", sense, 1.5, wall=figure, holds=holds)  # type: ignore[arg-type]
    assert row.met is met
    assert cells(line(row))[6] == ("yes" if met else "**no**")


def test_only_the_measured_lines_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "facts", lambda: "facts of today")  # the load changes
    old = [line(Row(name, "what", "limit", "<=", 1)) for name in ("detect", "hour")]
    begin, end = "<!-- table: begin -->", "<!-- table: end -->"
    document = "\n".join(["before", begin, "facts of old", *old, end, "after"])
    new = line(Row("hour", "what", "limit", "<=", 6, wall=Figure(2.4, 2.1, 2.8)))
    changed = with_lines(document, {"hour": new})
    assert changed.startswith(f"before\n{begin}\n")
    assert changed.endswith(f"{end}\nafter")
    assert old[0] in changed
    assert old[1] not in changed
    assert "2.40x (2.10x to 2.80x)" in new
    assert "facts of old" not in changed
    assert "facts of today" in changed
    assert "| rival |  |  |  | not measured yet |" in changed
    assert with_lines(changed, {"hour": new}) == changed


def test_rows_that_hold_a_figure_are_known() -> None:
    open_row = line(gpu_row("gpu-infer", None))
    done = line(Row("hour", "what", "limit", "<=", 6, wall=Figure(2.4, 2.1, 2.8)))
    assert table._measured(f"facts\n{open_row}\n{done}\n") == {"hour"}


def test_a_part_of_a_page_is_found_by_its_marks_and_the_rest_stays() -> None:
    page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\n<!-- y: end -->\n"
    written = put(page, "x", "new")
    assert inside(page, "x") == "old"
    assert inside(written, "x") == "new"
    assert put(written, "x", "old").split() == page.split()
    for lacking in ("no marks", page + page):
        with pytest.raises(ValueError, match="once each"):
            put(lacking, "x", "new")


def test_rows_of_a_gpu_are_open_until_its_file_is_given(tmp_path: Path) -> None:
    assert "not measured: no GPU" in line(gpu_row("gpu-infer", None))
    file = tmp_path / "gpu.json"
    rows = [
        {"what": "GPU utilisation in the loop", "unit": "%", "value": 93.0},
        {"what": "AMP training memory", "unit": "of it", "value": 0.55},
        {"what": "AMP training memory", "unit": "GB", "value": 4.2},
        {"what": "240 videos x 16 frames", "unit": "s", "value": None},
    ]
    file.write_text(json.dumps({"machine": {"device": "one card"}, "rows": rows}))
    use, share, peak = (
        cells(line(gpu_row(name, file))) for name in ("gpu-use", "gpu-memory", "gpu-memory-gb")
    )
    assert use[3:7] == ["at least 90 %", "93.0 %; one card", "", "yes"]
    assert share[4:7] == ["0.55x; one card", "", "yes"]
    assert peak[4:7] == ["4.20 GB; one card", "", "**no**"]
    assert "not in gpu.json" in line(gpu_row("gpu-train", file))


def test_the_document_has_every_row() -> None:
    told = inside((ROOT / "docs" / "performance.md").read_text(encoding="utf-8"), "table")
    rows = [cells(text) for text in told.splitlines() if text[:2] == "| "]
    assert [row[0] for row in rows[1:]] == [*ROWS, *GPU_ROWS]
    assert {len(row) for row in rows} == {CELLS}


@pytest.mark.slow
def test_the_command_measures_the_smallest_size(tmp_path: Path) -> None:
    words = ["--quick", "--only", "detect,gpu-use", "--media", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "table.py"), *words],
        check=True, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    detect, gpu = (cells(text) for text in done.stdout.splitlines()[2:])
    assert detect[0] == "detect"
    assert float(detect[4].rstrip("x")) > 0
    assert float(detect[5].rstrip("x")) > 0
    assert gpu[4] == "not measured: no GPU"
    unknown = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "table.py"), "--only", "detects"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert unknown.returncode == 2
    assert "no row detects" in unknown.stderr


def test_a_long_video_is_a_short_one_over_and_over(tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    material.write_video(short, material.portrait_frames(material.FPS, 64, 64), fps=material.FPS)
    material.repeated(short, tmp_path / "long.mp4", 4, once=1)
    with av.open(str(tmp_path / "long.mp4")) as file:
        times = [frame.time for frame in file.decode(video=0)]
    assert times == pytest.approx([n / material.FPS for n in range(4 * material.FPS)], abs=1e-3)


def test_the_loop_trains_on_pairs_as_long_as_it_is_told() -> None:
    setting = train_loop.Setting(
        "pairs", "test_vit", size_px=64, frames=1, batch=2, steps=2, workers=0
    )
    with train_loop._trainer(setting) as trainer:
        assert len(trainer.train_loader) == setting.batch * setting.steps
    costs = train_loop.loop_costs(setting, 1)
    assert set(costs) == {train_loop.LOOP, train_loop.RESIDENT, train_loop.AUGMENT}
    assert all(cost.wall > 0 for (cost,) in costs.values())


def test_a_picture_out_of_a_tar_is_rgb(tmp_path: Path) -> None:
    red = np.full((4, 6, 3), (255, 0, 0), np.uint8)
    for name, content in (
        ("red.png", cv2.imencode(".png", red[..., ::-1])[1].tobytes()),
        ("words.png", b"no picture"),
        ("empty.png", b""),
    ):
        (tmp_path / name).write_bytes(content)
    with tarfile.open(tmp_path / "faces.tar", "w") as shard:
        for file in sorted(tmp_path.glob("*.png")):
            shard.add(file, file.name)
    with tarfile.open(tmp_path / "faces.tar") as shard:
        np.testing.assert_array_equal(material.tar_picture(shard, "red.png"), red)
        for name in ("words.png", "empty.png"):
            with pytest.raises(ValueError, match=name):
                material.tar_picture(shard, name)
