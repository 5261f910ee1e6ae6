import dataclasses
import itertools
import json
from pathlib import Path

import pytest

from lossbench.benchmarks.commands import compare as comparison
from lossbench.benchmarks.commands.plan import create_plan
from lossbench.benchmarks.console import Reporter
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
from lossbench.benchmarks.training.executors.ray_worker import (
    description_for_workers,
    read_files,
    train_remotely,
    write_files,
)

from ...comparisons import compare


def step(run: Path, number: int) -> None:
    """Write what a recorder writes in a step: a row, an event file and a checkpoint."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / "results.csv").open("a") as rows:
        rows.write(f"row {number}\n")
    with EventFile(run) as events:
        events.write(number, scalar_values({"a": float(number)}))
    save(run / CHECKPOINT_FILE, "key", {"done": number, "files": sync_files(run)})


def test_read_files_leaves_out_scratch_files(tmp_path) -> None:
    step(tmp_path, 1)
    (tmp_path / ".lock").touch()
    (tmp_path / ".resume.pt.1234.tmp").touch()
    found = read_files(tmp_path)
    assert list(found)[:2] == [CHECKPOINT_FILE, "results.csv"]
    assert set(found) == {CHECKPOINT_FILE, "results.csv", event_files(tmp_path)[0].name}


def test_stale_files_of_a_run_are_removed_and_nothing_else(tmp_path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    step(source, 1)
    step(target, 0)
    (target / "failure.txt").write_text("RuntimeError")
    (target / "notes.txt").write_text("a user's")
    write_files(target, read_files(source))
    assert {p.name for p in target.iterdir()} == {p.name for p in source.iterdir()} | {"notes.txt"}
    write_files(target, {"results.csv": b"all\n"})
    assert {p.name for p in target.iterdir()} == {"results.csv", "notes.txt"}


@pytest.mark.parametrize("writes", range(6))
def test_wherever_writing_breaks_off_the_run_can_be_resumed(
    tmp_path, monkeypatch, writes: int
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    step(source, 1)
    write_files(target, read_files(source))
    (target / "failure.txt").write_text("RuntimeError")
    step(source, 2)
    count = itertools.count()

    def breaking(path: Path, content: bytes) -> None:
        if next(count) == writes:
            raise OSError("the disk is full")
        files_module.write_atomically(path, content)

    monkeypatch.setattr(ray_worker, "write_atomically", breaking)
    if writes < 4:
        with pytest.raises(OSError, match="full"):
            write_files(target, read_files(source))
    else:
        write_files(target, read_files(source))
    state = load(target / CHECKPOINT_FILE, "key")
    assert state["done"] == (1 if writes < 4 else 2)
    roll_back(target, state["files"])
    assert sync_files(target) == state["files"]


@pytest.fixture
def plan(config, monkeypatch):
    monkeypatch.setattr(comparison, "write_results", lambda *_: None)
    config = dataclasses.replace(config, epochs=2, log_every=1, checkpoint_every=0.0)
    config = dataclasses.replace(config, optimizer="adam", schedule="cosine")
    return create_plan(config, "", Reporter())


def test_a_run_is_trained_from_values_alone(plan, tmp_path) -> None:
    description = description_for_workers(plan)
    assert json.loads(description)["config"]["device"] == "cpu"
    updates = list(train_remotely(description, plan.runs[0], {}, 0.0, lambda: False))
    assert [update.ended for update in updates] == [False] * 4 + [True]
    assert [update.fraction for update in updates] == [0, 0, 0.25, 0.5, 0.75]
    assert all(CHECKPOINT_FILE in update.files for update in updates[1:-1])
    result = compare(dataclasses.replace(plan.config, name="local"), "", Reporter())
    assert result.finished == 4
    local = read_files(result.directory / "cross-entropy" / "seed0")
    remote = updates[-1].files
    assert len(local) == len(remote)  # event files have other names
    assert local["predictions.npz"] == remote["predictions.npz"]
    write_files(tmp_path / "run", remote)
    rows = [(tmp_path / "run" / "results.csv").read_text(), local["results.csv"].decode()]
    first, second = ([line.split(",")[:13] for line in text.splitlines()] for text in rows)
    assert first == second
    accuracy, seconds = updates[-1].result
    assert accuracy == pytest.approx(float(rows[0].splitlines()[-1].split(",")[9]))
    assert seconds > 0


def test_a_stopped_run_sends_its_checkpoint_and_resumes_from_it(plan) -> None:
    description, run = description_for_workers(plan), plan.runs[1]
    complete = list(train_remotely(description, run, {}, 100.0, lambda: False))
    ray_worker._plan.cache_clear()  # as on another machine
    stops = iter((False, True, True))
    *_, last = train_remotely(description, run, {}, 0.0, lambda: next(stops))
    assert (last.ended, last.result, last.failure) == (True, None, None)
    assert CHECKPOINT_FILE in last.files
    *_, resumed = train_remotely(description, run, last.files, 100.0, lambda: False)
    assert resumed.result[0] == complete[-1].result[0]
    assert resumed.files["predictions.npz"] == complete[-1].files["predictions.npz"]


def test_a_failed_run_and_missing_images_are_told(plan, monkeypatch) -> None:
    description = description_for_workers(plan)

    def failing(*_):
        raise RuntimeError("not\nagain")

    monkeypatch.setattr("lossbench.benchmarks.training.recorder.Trainer", failing)
    (last,) = train_remotely(description, plan.runs[0], {}, 100.0, lambda: False)
    assert (last.ended, last.failure) == (True, "RuntimeError: not again")
    assert last.files["failure.txt"].startswith(b"RuntimeError: not again")
    other = json.loads(description)
    other["data"]["fingerprint"] = "0" * 64
    (last,) = train_remotely(json.dumps(other).encode(), plan.runs[0], {}, 1.0, lambda: False)
    assert "other images" in last.failure
