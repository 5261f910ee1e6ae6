import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from lossbench.benchmarks.commands import compare as comparison
from lossbench.benchmarks.commands.compare import compare, go_on
from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.records.files import lock_directory
from lossbench.benchmarks.training import recorder
from lossbench.losses import registry

from .. import killed
from ..rows import equal_but_for_time


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("windows", [1, 2, 6])
def test_asked_to_stop_it_saves_and_goes_on_from_there(
    config: CompareConfig, monkeypatch, number: signal.Signals, windows: int
) -> None:
    config = dataclasses.replace(config, log_every=1)
    whole = compare(dataclasses.replace(config, name="whole"), "", Reporter()).directory
    real, count = recorder.Recorder.window, itertools.count(1)

    def asked(*arguments):
        if next(count) == windows:
            signal.raise_signal(number)
        real(*arguments)

    monkeypatch.setattr(recorder.Recorder, "window", asked)
    ended = compare(config, "", Reporter())
    assert (ended.interrupted, ended.planned, ended.failed) == (number, 4, [])
    assert ended.finished == (windows - 1) // 2
    assert (ended.directory / "summary.json").exists() == (ended.finished > 0)
    again = go_on(ended.directory, "", Reporter())
    assert (again.finished, again.interrupted) == (4, None)
    equal_but_for_time(whole, ended.directory)
    once_more = go_on(ended.directory, "", Reporter())
    assert once_more.finished == 4
    equal_but_for_time(whole, ended.directory)


def test_asked_to_stop_all_that_are_side_by_side_save_and_go_on(
    config: CompareConfig, monkeypatch
) -> None:
    config = dataclasses.replace(config, log_every=1, epochs=12, at_once=4)
    whole = compare(dataclasses.replace(config, name="whole"), "", Reporter()).directory
    real, count, began = recorder.Recorder.window, itertools.count(1), set()

    def asked(self, *arguments):
        began.add(self.path)
        if next(count) == 40:
            signal.raise_signal(signal.SIGTERM)
        real(self, *arguments)

    monkeypatch.setattr(recorder.Recorder, "window", asked)
    ended = compare(config, "", Reporter())
    assert (ended.interrupted, ended.finished) == (signal.SIGTERM, 0)
    assert len(began) == 4
    assert all((path / "resume.pt").exists() for path in began)
    assert go_on(ended.directory, "", Reporter()).finished == 4
    equal_but_for_time(whole, ended.directory)


def test_of_runs_side_by_side_one_that_fails_stops_no_other(
    config: CompareConfig, monkeypatch
) -> None:
    config = dataclasses.replace(config, log_every=1, epochs=12, at_once=4)
    real = recorder.Recorder.window

    def failing(self, step, *arguments):
        if self.trial.loss == "mse" and step == 5:
            raise RuntimeError("something of the run's own")
        real(self, step, *arguments)

    monkeypatch.setattr(recorder.Recorder, "window", failing)
    ended = compare(config, "", Reporter())
    assert ended.finished == 2
    assert len(ended.failed) == 2
    assert all("something of the run's own" in line for line in ended.failed)


def test_asked_twice_it_stops_at_once_and_loses_nothing_but_the_step(
    config: CompareConfig, monkeypatch
) -> None:
    config = dataclasses.replace(config, log_every=1, checkpoint_every=0.0)
    whole = compare(dataclasses.replace(config, name="whole"), "", Reporter()).directory
    # A shell has its background processes ignore it.
    before = signal.getsignal(signal.SIGINT)
    real, count = recorder.Recorder.window, itertools.count(1)

    def asked(*arguments):
        if next(count) == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the second was not obeyed")
        real(*arguments)

    monkeypatch.setattr(recorder.Recorder, "window", asked)
    ended = compare(config, "", Reporter())
    assert (ended.interrupted, ended.finished) == (signal.SIGINT, 2)
    assert signal.getsignal(signal.SIGINT) is before
    go_on(ended.directory, "", Reporter())
    equal_but_for_time(whole, ended.directory)


def test_asked_at_the_end_of_a_run_it_begins_no_other(config: CompareConfig, monkeypatch) -> None:
    real = recorder.Recorder.finish

    def asked(*arguments):
        signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(recorder.Recorder, "finish", asked)
    ended = compare(config, "", Reporter())
    assert (ended.finished, ended.interrupted) == (1, signal.SIGINT)
    assert not (ended.directory / "mse").exists()
    last = dataclasses.replace(config, losses=("mse",), seeds=1, name="last")
    assert compare(last, "", Reporter()).interrupted is None


def test_a_damaged_state_is_told_and_the_run_begins_anew(config, monkeypatch, capsys) -> None:
    whole = compare(dataclasses.replace(config, name="whole"), "", Reporter()).directory
    real = recorder.Recorder.stepped

    def stop_at_once(self, state):
        self.stop = lambda: True
        real(self, state)

    monkeypatch.setattr(recorder.Recorder, "stepped", stop_at_once)
    ended = compare(config, "", Reporter())
    assert ended.finished == 0
    monkeypatch.setattr(recorder.Recorder, "stepped", real)
    state = ended.directory / "cross-entropy" / "seed0" / "resume.pt"
    state.write_bytes(state.read_bytes()[:-10])
    again = go_on(ended.directory, "", Reporter())
    assert "resume.pt cannot be gone on from (it is torn)" in capsys.readouterr().err
    assert again.finished == 4
    equal_but_for_time(whole, ended.directory)


FAILING = """
import torch
from lossbench import losses

CALLS = 0

@losses.register("failing", task="binary")
class Failing(torch.nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()

    def forward(self, input, target):
        global CALLS
        CALLS += len(input) > 4
        if CALLS > 1:
            raise RuntimeError("not\\nagain")
        return torch.nn.functional.softplus(input * (1 - 2 * target))

@losses.register("diverging", task="binary")
class Diverging(torch.nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()

    def forward(self, input, target):
        return input * (float("nan") if len(input) > 4 else 1)
"""


def test_a_run_that_fails_stops_no_other(config, tmp_path, monkeypatch) -> None:
    (tmp_path / "failing_losses.py").write_text(FAILING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.delitem(sys.modules, "failing_losses", raising=False)
    names = ("failing_losses:Failing", "failing_losses:Diverging", "mse")
    own = dataclasses.replace(config, losses=names, seeds=1)
    ended = compare(own, "", Reporter())
    assert (ended.planned, ended.finished) == (3, 2)
    assert ended.failed == [
        "failing seed 0: RuntimeError: not again",
        "diverging seed 0: its network has diverged",
    ]
    failure = (ended.directory / "failing" / "seed0" / "failure.txt").read_text()
    assert failure.startswith("RuntimeError: not again\n\nTraceback")
    assert "failing_losses.py" in failure
    (run,) = json.loads((ended.directory / "summary.json").read_text())["unfinished_runs"]
    assert (run["loss"], run["failure"]) == ("failing", "RuntimeError: not again")
    assert "RuntimeError: not again" in (ended.directory / "report.html").read_text()
    # Mended, it is tried again.
    sys.modules["failing_losses"].CALLS = -(10**6)
    again = go_on(ended.directory, "", Reporter())
    assert again.finished == 3
    assert not (ended.directory / "failing" / "seed0" / "failure.txt").exists()
    # Of an experiment of which no run can be finished there is no report.
    only = dataclasses.replace(own, losses=names[:1], name="only")
    sys.modules["failing_losses"].CALLS = 1
    ended = compare(only, "", Reporter())
    assert (ended.finished, len(ended.failed)) == (0, 1)


def test_memory_that_is_short_fails_one_run(config: CompareConfig, monkeypatch) -> None:
    real, calls = comparison.training, itertools.count()

    def short(*arguments):
        if next(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*arguments)

    monkeypatch.setattr(comparison, "training", short)
    ended = compare(config, "", Reporter())
    assert (ended.finished, ended.failed) == (
        3,
        ["mse seed 0: OutOfMemoryError: CUDA out of memory"],
    )


def test_an_experiment_is_trained_by_one_process_at_a_time(config, refusal) -> None:
    directory = compare(config, "", Reporter()).directory
    with lock_directory(directory):
        refusal(lambda: go_on(directory, "", Reporter()), "another process", str(directory))
    assert go_on(directory, "", Reporter()).finished == 4


def test_what_cannot_be_gone_on_with_is_refused(config, refusal, tmp_path) -> None:
    refusal(lambda: go_on(tmp_path / "none", "", Reporter()), "no experiment", "lossbench compare")
    directory = compare(config, "", Reporter()).directory
    path = directory / "experiment.json"
    about = json.loads(path.read_text())

    def refused(text: str, *words: str) -> None:
        path.write_text(text)
        refusal(lambda: go_on(directory, "", Reporter()), *words)

    refused("{", "cannot read")
    refused("[]", "not of this version")
    odd = [
        about["config"] | change for change in ({"colour": 1}, {"epochs": "3"}, {"seeds": 10**9})
    ]
    changes = [{"config": each} for each in ({}, *odd)]
    for change in (*changes, {"data": []}, {"own_losses": 3}):
        refused(json.dumps(about | change), "not of this version")
    other = about["data"] | {"fingerprint": "0" * 64}
    refused(json.dumps(about | {"data": other}), "other images")
    refused(json.dumps(about | {"config": about["config"] | {"epochs": 0}}), "--epochs 0")
    path.write_text(json.dumps(about | {"git": "another"}))
    assert go_on(directory, "", Reporter()).finished == 4
    assert "git" in json.loads(path.read_text())["resumed"][-1]


def test_tables_whose_runs_are_gone_are_not_written_over(config, refusal) -> None:
    """As of a comparison in git, which keeps no files of single runs."""
    directory = compare(config, "", Reporter()).directory
    for path in directory.glob("*/*/results.csv"):
        path.unlink()
    kept = {p: p.read_bytes() for p in directory.rglob("*") if p.is_file() and p.name != ".lock"}
    refusal(lambda: go_on(directory, "", Reporter()), "none of the runs", str(directory))
    refusal(lambda: comparison.collect(directory, Reporter()), "none of the runs")
    refusal(lambda: comparison.run_one(directory, 0, Reporter()), "none of the runs")
    assert {p: p.read_bytes() for p in kept} == kept


@pytest.fixture
def disk(tmp_path: Path):
    """A small file system of its own; `disk(options)` mounts it again with others."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options: str) -> Path:
        subprocess.run(["mount", *options], check=True, capture_output=True)
        return place

    try:
        mount("-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system")
    yield lambda options: mount("-o", f"remount,{options}", str(place))
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_one_line_and_loses_nothing(config, disk, refusal) -> None:
    whole = compare(config, "", Reporter()).directory
    place = disk("size=400k")
    small = dataclasses.replace(config, runs=place, checkpoint_every=0.0)
    (place / "ballast").write_bytes(bytes(300 * 1024))
    refusal(lambda: compare(small, "", Reporter()), "No space left", "--resume")
    (place / "ballast").unlink()
    disk("size=20m")
    ended = go_on(place / "SYNTHETIC-small", "", Reporter())
    assert ended.finished == 4
    equal_but_for_time(whole, ended.directory)


@pytest.mark.usefixtures("one_thread")
def test_a_directory_that_becomes_read_only_is_one_line_and_loses_nothing(config, images) -> None:
    whole = compare(config, "", Reporter()).directory
    # Not in tmp_path, which nobody but its owner can enter.
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        mine = dataclasses.replace(config, runs=Path(place) / "runs", checkpoint_every=0.0)
        directory, said = mine.runs / "SYNTHETIC-small", Path(place) / "said"
        process = killed.protected(mine, images, directory, said)
        process.join()
        assert process.exitcode == 0
        text = said.read_text()
        assert "Permission denied" in text
        assert f"--resume {directory}" in text
        for path in (directory, *directory.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        assert go_on(directory, "", Reporter()).finished == 4
        equal_but_for_time(whole, directory)


def test_a_directory_that_goes_away_is_one_line(config, monkeypatch, refusal) -> None:
    real = comparison.training

    def removing(trial, material, watch, *rest):
        shutil.rmtree(config.runs / "SYNTHETIC-small")
        return real(trial, material, watch, *rest)

    monkeypatch.setattr(comparison, "training", removing)
    refusal(lambda: compare(config, "", Reporter()), "No such file", "stopped")
