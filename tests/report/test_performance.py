"""The page of a run's time: its numbers, and what it says where nothing was measured."""

from typing import Any

from unmask.report.performance import performance_lines

TREE: dict[str, Any] = {
    "device": "cuda",
    "precision": "bf16",
    "steps": 100,
    "training_seconds": 20.0,
    "validation_seconds": 3.0,
    "images_per_second": 640.0,
    "step_ms": 200.0,
    "stages_ms": {
        "wait": 10.0, "transfer": 0.0, "augment": 20.0, "forward": 60.0, "backward": 100.0,
        "optimiser": 8.0, "other": 2.0,
    },
    "cpu_utilisation": 0.3,
    "gpu_utilisation": 0.91,
    "gpu_memory_gib": 3.4,
    "memory_gib_of_a_step": {"mixed": 3.0, "fp32": 4.0},
    "prepare": {"videos": 5, "frames": 80, "decode_ms": 300.0, "faces_ms": 100.0},
    "by_epoch": [
        {
            "epoch": epoch, "images_per_second": 600.0 + epoch, "step_ms": 200.0,
            "data_wait_share": 0.05, "cpu_utilisation": 0.3, "gpu_utilisation": 0.9,
        }
        for epoch in range(1, 26)
    ],
    "over_time": [],
}  # fmt: skip


def test_the_page_of_a_run_on_a_gpu() -> None:
    lines = performance_lines(TREE)
    page = "\n".join(lines)
    assert "3.4 GiB in use; a step 3.00 GiB, in fp32 4.00: 25% saved" in page
    assert "training      20.0 s, 100 steps, 640.0 crops a second; validation 3.0 s" in page
    assert "processor 30%, GPU 91%" in page
    assert "  forward and loss           60.00 ms  30.0%  ############" in lines
    (backward,) = [line for line in lines if line.startswith("  backward")]
    assert backward.split() == ["backward", "100.00", "ms", "50.0%", "#" * 20]
    (decoding,) = [line for line in lines if line.startswith("  decoding")]
    assert "75.0%" in decoding
    epochs = lines[lines.index("By epoch:") + 2 : -2]
    assert [line.split()[0] for line in epochs][:2] == ["1-3", "4-6"]
    assert epochs[0].split()[1:] == ["602.0", "200.0", "5%", "30%", "90%"]
    assert epochs[-1].split()[0] == "25"
    assert len(lines) < 45
    assert max(map(len, lines)) <= 90


def test_what_was_not_measured_is_said() -> None:
    unknown = {"gpu_utilisation": None, "gpu_memory_gib": None, "memory_gib_of_a_step": None}
    rows = [{**row, "gpu_utilisation": None} for row in TREE["by_epoch"]]
    rows[0]["data_wait_share"] = None
    lines = performance_lines(TREE | unknown | {"device": "cpu", "prepare": None, "by_epoch": rows})
    page = "\n".join(lines)
    assert "GPU not measured" in page
    assert "what mixed precision saves is not measured" in page
    assert "in its worker" not in page
    epochs = lines[lines.index("By epoch:") + 2 : -2]
    assert epochs[0].split()[3:] == ["5%", "30%", "-"]  # the mean of what is known
    unseen = performance_lines(TREE | {"gpu_memory_gib": None, "memory_gib_of_a_step": None})
    assert any("GPU memory    not known; what mixed" in line for line in unseen)
    full = performance_lines(TREE | {"memory_gib_of_a_step": {"mixed": 2.0, "fp32": None}})
    assert any("in fp32 does not fit" in line for line in full)


def test_a_run_without_a_step() -> None:
    assert performance_lines({"steps": 0}) == ["no epoch was trained in this run"]
