"""Who decodes: what was asked for, what the machine has, what was measured."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

import make_media
from unmask.device import choice
from unmask.device.choice import Choice, choose
from unmask.errors import RunError
from unmask.media import hardware, probe


def test_the_cpu_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "missing_gpu", lambda: pytest.fail("not asked"))
    assert choose("cpu") == Choice("cpu")


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "missing_gpu", lambda: "There is no NVIDIA GPU here.")
    assert choose("auto", 100.0) == Choice("cpu")
    with pytest.raises(RunError) as caught:
        choose("cuda")
    assert caught.value.code == "run_decoder"
    assert "There is no NVIDIA GPU here." in caught.value.message


def test_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "missing_gpu", lambda: "")
    assert choose("cuda") == Choice("cuda")
    assert choose("auto", 250.0) == Choice("cuda", 250.0)
    unmeasured = choose("auto", None)
    assert unmeasured.decoder == "cpu"
    assert "has not been measured" in unmeasured.note


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["vaapi"])
    assert "PyAV" in hardware.missing_driver()
    monkeypatch.setattr(choice, "missing_driver", lambda: "")
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    assert "torch is not installed" in choice.missing_gpu()


@pytest.mark.parametrize("node", ["nvidia0", "nvidia3", "dxg"])
def test_any_card_of_the_machine_will_do(
    node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_DEVICES", tmp_path)
    (tmp_path / "nvidiactl").touch()
    assert "no NVIDIA GPU" in hardware.missing_driver()
    (tmp_path / node).touch()
    assert hardware.missing_driver() == ""


def test_codecs_that_leave_pixels_open_stay_on_the_cpu(tmp_path: Path) -> None:
    path = make_media.write_video(
        tmp_path / "old.avi", make_media.gradient_frames(4, 64, 48), codec="mpeg4"
    )
    info = probe(path)
    with pytest.raises(hardware.HardwareRefusal) as caught:
        hardware.refuse_unfit(info)
    assert caught.value.warn is not None
    assert caught.value.warn.code == "gpu_decode_codec"
    hardware.refuse_unfit(dataclasses.replace(info, codec="h264", decoder="h264"))


@pytest.mark.parametrize(
    ("codec", "can"), [("h264", True), ("hevc", True), ("ffv1", False), ("no such codec", False)]
)
def test_codecs(codec: str, can: bool) -> None:
    assert hardware.decodable(codec) == can


def test_asking_does_not_import_torch_where_no_driver_is(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from unmask.device import choice\n"
        "choice.missing_driver = lambda: 'no'\n"
        "choice.choose('auto')\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
