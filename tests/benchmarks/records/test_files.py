import errno
import json
import math
import os
import stat
import subprocess
import sys
import threading
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records import files
from lossbench.benchmarks.records.files import (
    lock_directory,
    read_arrays,
    write_arrays,
    write_atomically,
    write_json,
)


def test_json_is_whole_or_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, 2]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": math.nan})
    assert json.loads(path.read_text()) == {"a": [1, 2]}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomically(tmp_path / "taken", b"content")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "results.json"
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        write_json(path, {})
    assert list(tmp_path.iterdir()) == []


def test_scratch_of_others_is_removed_when_it_is_old(tmp_path: Path) -> None:
    for name in (".new.tmp", ".old.tmp"):
        (tmp_path / name).touch()
    os.utime(tmp_path / ".old.tmp", (0, 0))
    files.remove_scratch(tmp_path, older_than=60)
    assert [path.name for path in tmp_path.iterdir()] == [".new.tmp"]
    files.remove_scratch(tmp_path)
    assert not list(tmp_path.iterdir())


def test_arrays_come_back_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": np.arange(3), "y": np.ones((2, 2), np.float32)})
    assert read_arrays(path).keys() == {"x", "y"}
    assert read_arrays(path, "y")["y"].tolist() == [[1, 1], [1, 1]]
    with pytest.raises(ValueError, match="z is not a file"):
        read_arrays(path, "x", "z")
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "nowhere.npz")


class Wicked:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_arrays_of_objects_are_refused_and_not_run(tmp_path: Path) -> None:
    path, mark = tmp_path / "a.npz", tmp_path / "mark"
    np.savez(path, x=np.array([Wicked(mark)], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(path)
    assert not mark.exists()
    # What a reader that is not careful would do:
    np.load(path, allow_pickle=True)["x"]
    assert mark.exists()


def test_what_is_no_archive_of_arrays_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros(100_000))
    whole = path.read_bytes()
    for content in (b"", b"x" * 99, whole[:-40], whole[:90] + b"????" + whole[94:]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"\w+: "):
            read_arrays(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", b"no array")
    with pytest.raises(ValueError, match="x is no array"):
        read_arrays(path)
    path.write_bytes(whole)
    monkeypatch.setattr(files, "MAX_ARRAY_BYTES", 800_000)
    with pytest.raises(ValueError, match="more than 800,000"):
        read_arrays(path)
    monkeypatch.setattr(files, "MAX_ARRAY_BYTES", 900_000)
    assert read_arrays(path)["x"].sum() == 0


HOLD_LOCK = """
import sys, time
from pathlib import Path
from lossbench.benchmarks.records.files import lock_directory
with lock_directory(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HOLD_LOCK, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            with (
                pytest.raises(UserError, match="written by another process") as refused,
                lock_directory(tmp_path),
            ):
                pass
            assert str(tmp_path) in str(refused.value)
            messages: list[str] = []

            def kill(message: str) -> None:
                messages.append(message)
                process.kill()

            with lock_directory(tmp_path, wait=kill):
                assert messages == [f"another process is writing to {tmp_path}: waiting for it"]
        finally:
            process.kill()
    with lock_directory(tmp_path):
        pass


def test_a_lock_may_be_released_by_another_thread(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path)
    thread = threading.Thread(target=lock.__enter__)
    thread.start()
    thread.join()
    with pytest.raises(UserError), lock_directory(tmp_path):
        pass
    lock.__exit__(None, None, None)
    with lock_directory(tmp_path):
        pass


def test_a_directory_that_does_not_exist_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), lock_directory(tmp_path / "gone"):
        pass
    assert not (tmp_path / "gone").exists()


def test_a_new_directory_is_synced_and_so_are_those_above(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "sync_directory", synced.append)
    files.make_directory(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]
    files.make_directory(tmp_path / "a" / "b")
    assert len(synced) == 2
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        files.make_directory(tmp_path / "file" / "below")


def test_a_written_file_is_synced_and_then_its_name(tmp_path, monkeypatch):
    synced, real = [], os.fsync

    def note(descriptor):
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (tmp_path / "new").exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    files.write_atomically(tmp_path / "new", b"content")
    assert synced == [(False, False), (True, True)]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_file_system_need_not_sync_directories_but_may_not_fail(tmp_path, monkeypatch, number):
    def refuse(descriptor):
        assert stat.S_ISDIR(os.fstat(descriptor).st_mode)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with nullcontext() if number == errno.EINVAL else pytest.raises(OSError, match="Input"):
        files.sync_directory(tmp_path)


def test_a_directory_that_may_not_be_read_is_not_synced(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    files.sync_directory(tmp_path)


def test_all_below_a_directory_is_synced(tmp_path, monkeypatch):
    synced = []
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"12345")
    real = os.fsync
    name = lambda descriptor: os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: E731
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(name(file)) or real(file))
    files.sync_tree(tmp_path)
    paths = (tmp_path, tmp_path / "a", tmp_path / "a" / "file")
    assert sorted(synced) == sorted(map(str, paths))
    assert files.sync_file(tmp_path / "a" / "file") == 5


def test_scratch_directories_are_removed_and_refused_files_are_named(tmp_path):
    scratch = tmp_path / ".board.tmp"
    (scratch / "below").mkdir(parents=True)
    files.remove_scratch(tmp_path)
    assert not scratch.exists()
    with pytest.raises(UserError, match=r"cannot write .*none/a: No such file"):
        files.write_files(tmp_path / "none", {"a": b""})
