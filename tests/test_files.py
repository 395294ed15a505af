import hashlib
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from unmask.errors import MediaError, UnmaskError
from unmask.files import (
    atomic_path,
    lock_folder,
    path_text,
    printable,
    sha256_file,
    sweep,
    valid_text,
    write_json,
    write_text,
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain \xc3\xbc.mp4", "plain ü.mp4"),
        (b"odd\xff\xfe.mp4", "odd\\xff\\xfe.mp4"),
        (b"odd\\xff.mp4", "odd\\\\xff.mp4"),
        (b"\\\xff", "\\\\\\xff"),
    ],
)
def test_any_name_becomes_text_and_can_be_had_back(name: bytes, text: str) -> None:
    assert path_text(os.fsdecode(name)) == text
    back = re.sub(
        rb"\\(\\|x([0-9a-f]{2}))",
        lambda found: bytes.fromhex(found[2].decode()) if found[2] else b"\\",
        text.encode(),
    )
    assert back == name


def test_sentences_keep_their_backslashes_and_lose_what_no_file_may_hold() -> None:
    assert valid_text("C:\\a \udcff \ud800") == "C:\\a \\xff \ufffd"


def test_a_line_that_is_printed_keeps_its_letters_and_steers_nothing() -> None:
    kept = "视频 \u3000é\u202f10\u00a0PM \U0001f469\u200d\U0001f4bb \u0645\u06cc\u200c\u062e"
    assert printable(kept) == kept
    for steers in ("\x1b[2J", "\r", "\n", "\x07", "\u202e", "\u2028", "\udcff"):
        assert steers not in printable(f"a{steers}b")
    assert printable("a\udcff") == "a\\xff"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    write_json(target, {"auc": 0.9})
    before = target.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(target, {"auc": float("nan")})
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as temporary:
        _interrupted_write(temporary)
    assert target.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def _interrupted_write(path: Path) -> None:
    path.write_text("half of it")
    raise KeyboardInterrupt


def test_a_sweep_takes_what_a_kill_left_and_nothing_else(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a-b.json") as temporary:
        pass
    temporary.touch()  # as if it had been killed before the rename
    for name in (".a-b.json", ".a-config.json", ".a-b-12345678.yaml", "a-b.json"):
        (tmp_path / name).touch()
    sweep(tmp_path, "a-b.json", "*.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".a-b-12345678.yaml", ".a-b.json", ".a-config.json", "a-b.json",
    ]  # fmt: skip


def test_writes_make_their_folder_and_hashes_agree(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.txt"
    write_text(target, "grüß\n")
    assert sha256_file(target) == hashlib.sha256("grüß\n".encode()).hexdigest()


def _try_to_lock(folder: Path, answer: "multiprocessing.Queue[str]") -> None:
    try:
        with lock_folder(folder, lambda holder: RuntimeError(holder)):
            answer.put("got it")
    except RuntimeError as error:
        answer.put(str(error))


def test_a_folder_is_held_by_one_process_which_says_who_it_is(tmp_path: Path) -> None:
    answer: multiprocessing.Queue[str] = multiprocessing.get_context("fork").Queue()
    folder = tmp_path / "new"

    def other_process() -> str:
        context = multiprocessing.get_context("fork")
        child = context.Process(target=_try_to_lock, args=(folder, answer))
        child.start()
        said = answer.get(timeout=30)
        child.join()  # as a fork it holds whatever this process holds
        return said

    with lock_folder(folder, lambda holder: RuntimeError(holder)):
        assert other_process() == f"process {os.getpid()}"
    assert other_process() == "got it"


def test_a_folder_that_cannot_be_made_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        lock_folder(tmp_path / "file" / "below", lambda holder: RuntimeError(holder))


def test_errors_survive_a_process_border() -> None:
    error = MediaError("It is broken.", code="media_empty", hint="Fetch it again.")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.code, copy.hint) == (MediaError, "media_empty", "Fetch it again.")
    assert str(copy) == "It is broken. Fetch it again."
    assert UnmaskError("x").code == "error"


def test_a_lock_does_not_follow_a_link(tmp_path: Path) -> None:
    other = tmp_path / "precious.txt"
    other.write_text("kept")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(other)
    with pytest.raises(OSError, match="symbolic"):
        lock_folder(tmp_path / "run", RuntimeError)
    assert other.read_text() == "kept"


def test_what_is_written_obeys_the_umask(tmp_path: Path) -> None:
    code = "import os, sys; os.umask(0o077); from unmask.files import write_text; "
    code += "from pathlib import Path; write_text(Path(sys.argv[1]), 'x')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
