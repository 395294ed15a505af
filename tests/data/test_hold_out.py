"""What `scripts/hold_out.py` lays out can be read as a dataset and shares nothing with training."""

import csv
from pathlib import Path

import pytest

import hold_out
from unmask.data.facebank import recording_split
from unmask.data.layouts import read_layout


def _manifest(folder: Path, header: str, rows: list[str]) -> Path:
    folder.mkdir()
    (folder / "manifest.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def test_validation_people_are_halved_and_no_group_crosses(tmp_path: Path) -> None:
    rows = [
        f"{person}{label}.jpg,a.tar,{label},{'train' if person < 3 else 'val'},id{person}"
        for person in range(23)
        for label in ("real", "fake")
    ]
    data = _manifest(tmp_path / "stills", "file,shard,label,split,identity_group", rows)
    (data / "a.tar").write_bytes(b"")
    hold_out.main(["stills", str(data), str(tmp_path / "held")])

    with (tmp_path / "held" / "manifest.csv").open(encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert len(written) == 2 * 20
    halves = [
        {row["identity_group"] for row in written if row["split"] == s} for s in ("val", "test")
    ]
    assert all(len(half) >= 5 for half in halves)
    assert not halves[0] & halves[1]
    assert (tmp_path / "held" / "a.tar").resolve() == (data / "a.tar").resolve()
    assert len(read_layout(tmp_path / "held").rows) == 40


@pytest.mark.parametrize(
    ("header", "rows", "code", "word"),
    [
        ("file,label,split", ["a.jpg,real,val"], "dataset_manifest", "identity_group"),
        ("file,label,split,identity_group", ["a.jpg,real,train,1"], "dataset_empty", "held out"),
        (None, [], "dataset_manifest", "cannot be read"),
    ],
)
def test_what_cannot_be_held_out_is_told(
    header: str | None, rows: list[str], code: str, word: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data = tmp_path / "stills"
    _manifest(data, header, rows) if header else data.mkdir()
    with pytest.raises(SystemExit) as stop:
        hold_out.main(["stills", str(data), str(tmp_path / "held")])
    told = capsys.readouterr().err
    assert stop.value.code == 2
    assert f"[{code}]" in told
    assert word in told
    assert not (tmp_path / "held").exists()


def test_recordings_that_a_bank_trains_on_are_left_out(tmp_path: Path) -> None:
    files = [f"real/{n}.mp4,real" for n in range(40)] + ["fake/0.mp4,fake", "fake/1.mp4,fake"]
    data = _manifest(tmp_path / "clips", "file,label", files)
    (data / "real").mkdir()
    (data / "fake").mkdir()
    hold_out.main(["clips", str(data), str(tmp_path / "held")])

    rows = read_layout(tmp_path / "held").rows
    authentic = [Path(row.path).stem for row in rows if not row.label]
    assert authentic == [str(n) for n in range(40) if recording_split(str(n)) == "val"]
    assert 1 < len(authentic) < 40
    assert len(rows) - len(authentic) == 2
    assert {row.split for row in rows} == {"val"}
