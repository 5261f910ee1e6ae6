import itertools
from pathlib import Path

import pytest

from lossbench.benchmarks.records import files as files_module
from lossbench.benchmarks.records.events import EventFile, event_files, scalar_values
from lossbench.benchmarks.training.checkpoint import (
    CHECKPOINT_FILE,
    load,
    roll_back,
    save,
    sync_files,
)
from lossbench.benchmarks.training.executors import ray_worker
from lossbench.benchmarks.training.executors.ray_worker import read_files, write_files


def step(run: Path, number: int) -> None:
    """Go on with a run as a recorder does: rows, events in a file of their own, and a state."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / "results.csv").open("a") as rows:
        rows.write(f"row {number}\n")
    with EventFile(run) as events:
        events.write(number, scalar_values({"a": float(number)}))
    save(run / CHECKPOINT_FILE, "key", {"done": number, "files": sync_files(run)})


def test_files_are_those_of_a_run_and_no_scratch(tmp_path) -> None:
    step(tmp_path, 1)
    (tmp_path / ".lock").touch()
    (tmp_path / ".resume.pt.1234.tmp").touch()
    found = read_files(tmp_path)
    assert list(found)[:2] == [CHECKPOINT_FILE, "results.csv"]
    assert set(found) == {CHECKPOINT_FILE, "results.csv", event_files(tmp_path)[0].name}


def test_what_a_run_goes_on_without_is_removed_and_nothing_else(tmp_path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    step(there, 1)
    step(here, 0)
    (here / "failure.txt").write_text("RuntimeError")
    (here / "notes.txt").write_text("a user's")
    write_files(here, read_files(there))
    assert {p.name for p in here.iterdir()} == {p.name for p in there.iterdir()} | {"notes.txt"}
    write_files(here, {"results.csv": b"all\n"})
    assert {p.name for p in here.iterdir()} == {"results.csv", "notes.txt"}


@pytest.mark.parametrize("writes", range(6))
def test_wherever_writing_breaks_off_the_run_can_be_gone_on_with(
    tmp_path, monkeypatch, writes: int
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    step(there, 1)
    write_files(here, read_files(there))
    (here / "failure.txt").write_text("RuntimeError")
    step(there, 2)
    count = itertools.count()

    def breaking(path: Path, content: bytes) -> None:
        if next(count) == writes:
            raise OSError("the disk is full")
        files_module.write_atomically(path, content)

    monkeypatch.setattr(ray_worker, "write_atomically", breaking)
    if writes < 4:
        with pytest.raises(OSError, match="full"):
            write_files(here, read_files(there))
    else:
        write_files(here, read_files(there))
    state = load(here / CHECKPOINT_FILE, "key")
    assert state["done"] == (1 if writes < 4 else 2)
    roll_back(here, state["files"])
    assert sync_files(here) == state["files"]
