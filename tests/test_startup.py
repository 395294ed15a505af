"""What a user waits for before anything happens: imports that are not needed are not made."""

import subprocess
import sys

import pytest


def modules_after(code: str) -> set[str]:
    code += "; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}"], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("code", ["import unmask", "import unmask.cli"])
def test_help_needs_no_arrays(code: str) -> None:
    assert not modules_after(code) & {"numpy", "cv2", "av", "onnxruntime", "torch"}


def test_detect_needs_no_training() -> None:
    loaded = modules_after("import unmask.verbs.detect")
    assert {"numpy", "cv2", "av", "onnxruntime"} <= loaded
    assert not loaded & {"torch", "timm", "onnx", "matplotlib", "sklearn"}


def test_the_verdict_can_be_named() -> None:
    from unmask import Verdict
    from unmask.types import Verdict as Same

    assert Verdict is Same
