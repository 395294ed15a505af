import dataclasses
import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clip_files import SPEC, clip_of, entry_of

from unmask.clips import ClipStore, StoreWriter, is_store, read_records, write_records
from unmask.clips import writer as room
from unmask.clips.store import INDEX_FILE, STORE_FILE, shard_path
from unmask.config import ClipSpec
from unmask.errors import StoreError
from unmask.types import VideoRecord, Warn


def fill(folder: Path, count: int = 5) -> Path:
    with StoreWriter(folder, SPEC) as writer:
        for number in range(count):
            writer.append(entry_of(f"{number}.mp4"), [clip_of(number)])
    return folder


def paths(folder: Path) -> list[str]:
    return [entry.record.path for entry in ClipStore.open(folder).entries]


def code_of(folder: Path, spec: ClipSpec | None = None) -> str:
    with pytest.raises(StoreError) as caught:
        ClipStore.open(folder, spec)
    return caught.value.code


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    clips = [clip_of(1), clip_of(2, track_id=1)]
    entry = entry_of("a/b ü.mp4")
    with StoreWriter(tmp_path / "store", SPEC) as writer:
        writer.append(entry, clips)
        writer.append(entry_of("none.mp4", "no_face"))
    store = ClipStore.open(tmp_path / "store", SPEC)
    assert is_store(store.path)
    assert [e.status for e in store.entries] == ["ok", "no_face"]
    assert store.entries[1].code == "no_face"
    assert store.entries[0].record == entry.record
    for ref, clip in zip(store.entries[0].clips, clips, strict=True):
        again = store.read(ref)
        for name in ("frames", "mask", "pts_seconds", "boxes_xyxy_px", "keypoints_px"):
            np.testing.assert_array_equal(getattr(again, name), getattr(clip, name))
        again.frames[0] = 0  # a copy of one's own
        assert again.track_id == clip.track_id
        assert ref.median_face_px == 32.0
        assert len(ref.hashes) == 3


def test_warnings_and_facts_survive(tmp_path: Path) -> None:
    entry = dataclasses.replace(
        entry_of("a.mp4", "failed"),
        message="Cut off.",
        media={"codec": "h264"},
        coverage={"frames_with_face": 0},
        timings={"decode_seconds": 0.25},
        warnings=(Warn("hdr", "Bright."),),
    )
    with StoreWriter(tmp_path / "store", SPEC) as writer:
        writer.append(entry)
    assert ClipStore.open(tmp_path / "store").entries == (entry,)


def test_a_store_of_before_timings_were_noted_is_read(tmp_path: Path) -> None:
    index = fill(tmp_path / "store", 1) / INDEX_FILE
    row = json.loads(index.read_text())
    del row["timings"]
    index.write_text(json.dumps(row) + "\n")
    (entry,) = ClipStore.open(tmp_path / "store").entries
    assert entry.timings == {}


def test_times_and_places_of_crops_come_back_to_the_hundredth_pixel(tmp_path: Path) -> None:
    clip = clip_of(6)
    near = np.float32([[0, 0, 0, 100]] + [[0] * 4] * 3)  # in its first picture it is very close
    late = dataclasses.replace(
        clip,
        pts_seconds=(clip.pts_seconds / 30 + 1.0).astype(np.float32),
        boxes_xyxy_px=clip.boxes_xyxy_px + np.float32([0.25, 0.75, 3.5, 0.25]) + near,
    )
    with StoreWriter(tmp_path, SPEC) as writer:
        writer.append(entry_of("a.mp4"), [late])
    (ref,) = ClipStore.open(tmp_path).entries[0].clips
    np.testing.assert_allclose(ref.pts_seconds, late.pts_seconds, atol=1e-6)
    np.testing.assert_array_equal(ref.boxes_xyxy_px, late.boxes_xyxy_px)
    assert ref.median_face_px == 35.5  # the median of the longer sides: here they are heights


def test_pixels_are_read_only(tmp_path: Path) -> None:
    store = ClipStore.open(fill(tmp_path / "store"))
    with pytest.raises(ValueError, match="read-only"):
        store.frames(store.entries[0].clips[0])[0] = 0


def test_a_new_row_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    folder = fill(tmp_path / "store", 2)
    with StoreWriter(folder, SPEC) as writer:
        writer.append(entry_of("0.mp4"), [clip_of(77)])
        writer.touch("1.mp4", size_bytes=5, mtime_ns=6)
    store = ClipStore.open(folder)
    assert len(store.entries) == 2
    assert store.entries[1].size_bytes == 5
    np.testing.assert_array_equal(store.frames(store.entries[0].clips[0]), clip_of(77).frames)
    np.testing.assert_array_equal(store.frames(store.entries[1].clips[0]), clip_of(1).frames)
    assert store.entries[1].mtime_ns == 6
    StoreWriter(folder, SPEC).close()  # the new pixels lie behind those of rows that follow
    store = ClipStore.open(folder)
    np.testing.assert_array_equal(store.frames(store.entries[0].clips[0]), clip_of(77).frames)


def test_entries_are_ordered_by_path_however_they_came(tmp_path: Path) -> None:
    """Workers finish in any order; what is made of a store shall not depend on it."""
    with StoreWriter(tmp_path, SPEC) as writer:
        for number in (2, 0, 1):
            writer.append(entry_of(f"{number}.mp4"), [clip_of(number)])
    assert paths(tmp_path) == ["0.mp4", "1.mp4", "2.mp4"]


def test_shards_are_closed_before_they_grow_too_large(tmp_path: Path) -> None:
    each = clip_of(0).frames.nbytes
    with StoreWriter(tmp_path, SPEC, shard_bytes=2 * each) as writer:
        for number in range(5):
            writer.append(entry_of(f"{number}.mp4"), [clip_of(number)])
    assert [p.stat().st_size for p in sorted(tmp_path.glob("shard-*"))] == [
        2 * each,
        2 * each,
        each,
    ]
    store = ClipStore.open(tmp_path)
    for number, entry in enumerate(store.entries):
        np.testing.assert_array_equal(store.frames(entry.clips[0]), clip_of(number).frames)


def test_a_store_of_several_shards_is_gone_on_with_behind_the_last(tmp_path: Path) -> None:
    """Also where all that the first one held was cut anew and lies in a later one by now."""
    seeds = {f"{number}.mp4": number for number in range(5)}
    two = 2 * clip_of(0).frames.nbytes
    for round_of in (seeds, {"0.mp4": 10, "1.mp4": 11}, {"later.mp4": 12}):
        with StoreWriter(tmp_path, SPEC, shard_bytes=two) as writer:
            for name, seed in round_of.items():
                writer.append(entry_of(name), [clip_of(seed)])
        seeds |= round_of
        store = ClipStore.open(tmp_path)
        assert {entry.record.path for entry in store.entries} == set(seeds)
        for entry in store.entries:
            pixels = clip_of(seeds[entry.record.path]).frames
            np.testing.assert_array_equal(store.frames(entry.clips[0]), pixels)


def test_a_snapshot_holds_the_pixels_of_all_that_was_put(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, SPEC) as writer:
        writer.append(entry_of("a.mp4"), [clip_of(1)])
        seen = writer.snapshot()
        np.testing.assert_array_equal(seen.frames(seen.entries[0].clips[0]), clip_of(1).frames)
        assert paths(tmp_path) == ["a.mp4"]


def test_slow_work_is_kept_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only by every so many rows: these may be an hour of long videos."""
    monkeypatch.setattr(room, "COMMIT_SECONDS", 0.0)
    with StoreWriter(tmp_path, SPEC) as writer:
        for number in range(2):
            writer.append(entry_of(f"{number}.mp4"), [clip_of(number)])
            assert len(paths(tmp_path)) == number + 1


def test_a_still_may_lie_in_a_store_of_longer_clips(tmp_path: Path) -> None:
    still = clip_of(3, ClipSpec(frames=1, size_px=32))
    two = clip_of(3, ClipSpec(frames=2, size_px=32))
    with StoreWriter(tmp_path, SPEC) as writer:
        writer.append(entry_of("a.mp4"), [clip_of(1)])
        writer.append(entry_of("b.jpg"), [still])
        with pytest.raises(ValueError, match="does not fit"):
            writer.append(entry_of("c.mp4"), [two])
    store = ClipStore.open(tmp_path)
    assert [entry.clips[0].shape[0] for entry in store.entries] == [4, 1]
    np.testing.assert_array_equal(store.frames(store.entries[1].clips[0]), still.frames)


def test_the_callers_mistakes(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, SPEC) as writer:
        with pytest.raises(ValueError, match="does not fit"):
            writer.append(entry_of("a"), [clip_of(0, ClipSpec(frames=4, size_px=48))])
        with pytest.raises(ValueError, match="does not go with"):
            writer.append(entry_of("a"), [])
        with pytest.raises(ValueError, match="does not go with"):
            writer.append(entry_of("a", "no_face"), [clip_of(0)])
    assert paths(tmp_path) == []


def test_no_row_reaches_the_disk_before_its_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may lose whatever was not pushed to the disk, names in the folder included."""
    safe_bytes: dict[int, int] = {}
    safe_names: set[str] = set()
    push = os.fsync

    def noted(handle: int) -> None:
        push(handle)
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            safe_names.update(os.listdir(handle))
        safe_bytes[status.st_ino] = status.st_size
        index = folder / INDEX_FILE
        if not index.exists() or status.st_ino != index.stat().st_ino:
            return
        for row in map(json.loads, index.read_text().splitlines()):
            for clip in row["clips"]:
                shard = shard_path(folder, clip["shard"])
                end = clip["offset"] + int(np.prod(clip["shape"]))
                assert safe_bytes.get(shard.stat().st_ino, 0) >= end
                assert shard.name in safe_names

    folder = tmp_path / "store"
    monkeypatch.setattr(os, "fsync", noted)
    with StoreWriter(folder, SPEC, shard_bytes=2 * clip_of(0).frames.nbytes) as writer:
        for number in range(5):
            writer.append(entry_of(f"{number}.mp4"), [clip_of(number)])
    index = (folder / INDEX_FILE).stat()
    assert safe_bytes[index.st_ino] == index.st_size > 0
    assert {INDEX_FILE, STORE_FILE} <= safe_names


def test_a_shard_that_no_row_names_is_removed(tmp_path: Path) -> None:
    """A kill between the start of a shard and the first row of it."""
    folder = fill(tmp_path / "store", 2)
    shard_path(folder, 1).write_bytes(bytes(9))
    with StoreWriter(folder, SPEC) as writer:
        assert list(folder.glob("shard-*")) == [shard_path(folder, 0)]
        writer.append(entry_of("2.mp4"), [clip_of(2)])
    assert len(paths(folder)) == 3


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from clip_files import SPEC, clip_of, entry_of
from unmask.clips import StoreWriter, writer as room

room.COMMIT_ROWS, room.COMMIT_SECONDS = 2, 1e9
writer = StoreWriter(Path({folder!r}), SPEC)
if {inside!r} == "shard":   # pixels on disk, the rows that name them not yet
    sync = room._sync
    def killed(file):
        sync(file)
        if file is writer._shard and len(writer.entries) >= 6:
            os.kill(os.getpid(), signal.SIGKILL)
    room._sync = killed
for number in range(5 if {inside!r} == "append" else 9):
    writer.append(entry_of(f"{{number}}.mp4"), [clip_of(number)])
if {inside!r} == "row":     # half a row
    writer._index.write(b'{{"path": "half')
    writer._index.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("inside", "safe"), [("append", 4), ("shard", 4), ("row", 8)])
def test_killed_in_the_middle(tmp_path: Path, inside: str, safe: int) -> None:
    """SIGKILL: what was committed is whole, the next writer goes on behind it."""
    folder = tmp_path / "store"
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(folder), inside=inside)
    died = subprocess.run([sys.executable, "-c", script], env={**os.environ}, check=False)
    assert died.returncode == -signal.SIGKILL
    assert paths(folder) == [f"{n}.mp4" for n in range(safe)]
    with StoreWriter(folder, SPEC) as writer:
        assert len(writer.entries) == safe
        for number in range(safe, 12):
            writer.append(entry_of(f"{number}.mp4"), [clip_of(number)])
    store = ClipStore.open(folder)
    assert len(store.entries) == 12
    for entry in store.entries:
        number = int(Path(entry.record.path).stem)
        np.testing.assert_array_equal(store.frames(entry.clips[0]), clip_of(number).frames)
    each = clip_of(0).frames.nbytes
    assert shard_path(folder, 0).stat().st_size == 12 * each  # nothing of the lost ones is left


FULL = """
import resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from clip_files import SPEC, clip_of, entry_of
from unmask.clips import StoreWriter, writer as room
from unmask.errors import StoreError

room.COMMIT_ROWS = 2
each = clip_of(0).frames.nbytes
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit} * each + 100, {limit} * each + 100))
try:
    with StoreWriter(Path({folder!r}), SPEC) as writer:
        for number in range(40):
            writer.append(entry_of(f"{{number}}.mp4"), [clip_of(number)])
except StoreError as error:
    print(error.code)
"""


def test_a_full_disk_keeps_what_was_committed(tmp_path: Path) -> None:
    """The system refuses to let a file of this process grow, as it does on a full disk."""
    folder = tmp_path / "store"
    script = FULL.format(tests=str(Path(__file__).parent), folder=str(folder), limit=7)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("store_disk", 0), done.stderr
    kept = paths(folder)
    assert len(kept) >= 6
    with StoreWriter(folder, SPEC) as writer:
        writer.append(entry_of("later.mp4"), [clip_of(99)])
    store = ClipStore.open(folder)
    assert len(store.entries) == len(kept) + 1
    for entry in store.entries:
        number = 99 if entry.record.path == "later.mp4" else int(Path(entry.record.path).stem)
        np.testing.assert_array_equal(store.frames(entry.clips[0]), clip_of(number).frames)


@pytest.mark.parametrize("tail", [b'{"path": "half', b"\0\0\0\0\n", b"\xff\xfe broken\n"])
def test_a_torn_last_row_is_left_out_and_cut_off(tmp_path: Path, tail: bytes) -> None:
    folder = fill(tmp_path / "store", 3)
    whole = (folder / INDEX_FILE).read_bytes()
    (folder / INDEX_FILE).write_bytes(whole + tail)
    assert len(paths(folder)) == 3
    StoreWriter(folder, SPEC).close()
    assert (folder / INDEX_FILE).read_bytes() == whole


@pytest.mark.parametrize("damage", ["{}", "[]", "no json", '{"path": "a", "clips": 3}'])
def test_a_damaged_row_in_the_middle_is_told(tmp_path: Path, damage: str) -> None:
    folder = fill(tmp_path / "store", 3)
    rows = (folder / INDEX_FILE).read_text().splitlines()
    (folder / INDEX_FILE).write_text("\n".join([rows[0], damage, rows[2]]) + "\n")
    with pytest.raises(StoreError, match="Row 2") as caught:
        ClipStore.open(folder)
    assert caught.value.code == "store_damaged"
    with pytest.raises(StoreError):
        StoreWriter(folder, SPEC)
    with pytest.raises(StoreError, match="Row 2"):  # and the lock was given back
        StoreWriter(folder, SPEC)


@pytest.mark.parametrize("harm", ["short", "gone"])
def test_pixels_that_are_not_there_are_told(tmp_path: Path, harm: str) -> None:
    folder = fill(tmp_path / "store", 3)
    shard = shard_path(folder, 0)
    if harm == "short":
        shard.write_bytes(shard.read_bytes()[:-1])
    else:
        shard.unlink()
    assert code_of(folder) == "store_damaged"


def test_settings_that_differ_are_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / "store", 1)
    wanted = ClipSpec(frames=4, size_px=48)
    with pytest.raises(StoreError, match=r"clip\.size_px=32.*clip\.size_px=48") as caught:
        ClipStore.open(folder, wanted)
    assert caught.value.code == "store_spec"
    with pytest.raises(StoreError) as caught:
        StoreWriter(folder, wanted)
    assert caught.value.code == "store_spec"


def test_folders_that_are_no_store(tmp_path: Path) -> None:
    assert not is_store(tmp_path)
    assert code_of(tmp_path) == "store_missing"
    (tmp_path / ".DS_Store").touch()  # as a file manager leaves it: no reason to refuse
    StoreWriter(tmp_path, SPEC).close()
    assert is_store(tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("sun")
    with pytest.raises(StoreError) as caught:
        StoreWriter(tmp_path, SPEC)
    assert caught.value.code == "store_foreign"
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.txt"]
    with pytest.raises(StoreError) as caught:
        StoreWriter(tmp_path / "holiday.txt", SPEC)
    assert caught.value.code == "store_foreign"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "store_damaged"),
        ("[1]", "store_damaged"),
        ('{"format": 99, "clip": {}}', "store_version"),
        ('{"format": 1, "clip": {"frames": 0}}', "store_damaged"),
        ('{"format": 1, "clip": {"pixels": 3}}', "store_damaged"),
    ],
)
def test_a_store_file_that_cannot_be_used(tmp_path: Path, content: str, code: str) -> None:
    folder = fill(tmp_path / "store", 1)
    (folder / STORE_FILE).write_text(content)
    assert code_of(folder) == code


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b"a.mp4", b"\xe9.mp4"),
        lambda text: text.replace(b"a.mp4", b"a" * 200_000),
        lambda text: text + b"b.mp4,0,train,g\n",
        lambda text: text.replace(b",0,", b",authentic,", 1),
    ],
    ids=["latin-1", "too long", "short row", "label"],
)
def test_a_manifest_that_another_program_saved_is_told(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "manifest.csv"
    write_records(file, [entry_of("a.mp4").record])
    assert [record.path for record in read_records(file)] == ["a.mp4"]
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StoreError, match="Row ") as caught:
        read_records(file)
    assert caught.value.code == "store_damaged"


@pytest.mark.parametrize("name", ["a\rb.mp4", "a\r\nb.mp4", 'a,"b".mp4', "\n.mp4"])
def test_any_name_survives_the_manifest(tmp_path: Path, name: str) -> None:
    records = [entry_of(name).record, entry_of("z.mp4").record]
    write_records(tmp_path / "m.csv", records)
    assert read_records(tmp_path / "m.csv") == sorted(records, key=lambda record: record.path)


def _try_to_write(folder: Path, answer: "multiprocessing.Queue[str]") -> None:
    try:
        StoreWriter(folder, SPEC).close()
        answer.put("got it")
    except StoreError as error:
        answer.put(error.code)


def test_one_writer_at_a_time_and_readers_meanwhile(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[str] = context.Queue()
    with StoreWriter(tmp_path, SPEC) as writer:
        writer.append(entry_of("a.mp4"), [clip_of(0)])
        writer.commit()
        other = context.Process(target=_try_to_write, args=(tmp_path, answer))
        other.start()
        assert answer.get(timeout=30) == "store_locked"
        other.join()
        assert paths(tmp_path) == ["a.mp4"]
        writer.append(entry_of("b.mp4"), [clip_of(1)])
        assert [e.record.path for e in writer.snapshot().entries] == ["a.mp4", "b.mp4"]
    StoreWriter(tmp_path, SPEC).close()


def test_the_records_decide_what_is_seen(tmp_path: Path) -> None:
    folder = fill(tmp_path / "store", 3)
    records = [VideoRecord("2.mp4", 1, "test", "g"), VideoRecord("elsewhere.mp4", 0, "val", "h")]
    write_records(folder / "manifest.csv", records)
    (entry,) = ClipStore.open(folder).entries
    assert entry.record == records[0]
    assert entry.clips


def test_records_round_trip_and_damage(tmp_path: Path) -> None:
    file = tmp_path / "manifest.csv"
    records = [
        VideoRecord('b, "x"\nü.mp4', 1, "val", "g", "swap", "D", "ab", "a.mp4"),
        VideoRecord("a.mp4", 0, "train", "g"),
    ]
    write_records(file, records)
    assert read_records(file) == records[::-1]
    file.write_text(file.read_text().replace("train", "training"))
    with pytest.raises(StoreError, match="Row 2"):
        read_records(file)
    file.write_text("path,label\na.mp4,0\n")
    with pytest.raises(StoreError, match="Row 2"):
        read_records(file)


def test_the_index_is_json_without_nan(tmp_path: Path) -> None:
    folder = fill(tmp_path / "store", 1)

    def refuse(word: str) -> float:
        raise AssertionError(word)

    row = json.loads((folder / INDEX_FILE).read_text(), parse_constant=refuse)
    assert row["clips"][0]["pts_seconds"] == [0.0, None, 1.0, 1.5]
