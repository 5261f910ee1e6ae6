"""Comparisons that are interrupted, and resumed."""

import dataclasses
import itertools
import json
import shutil
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossbench.benchmarks.commands import compare as comparison
from lossbench.benchmarks.commands.results import print_status
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.records.files import lock_directory
from lossbench.benchmarks.training import checks, recorder
from lossbench.benchmarks.training.executors.local import run_locally
from lossbench.benchmarks.training.plan import load_plan
from lossbench.benchmarks.training.progress import ExperimentStatus

from ..comparisons import compare, resume
from ..rows import assert_same_weights, equal_but_for_time
from ..trained_runs import small_comparison


class Interrupting:
    """Raises signals when the recorders are called for the n-th time."""

    def __init__(self, monkeypatch, number: int, *signals: signal.Signals) -> None:
        self.number, self.signals, self.calls = number, signals, itertools.count(1)
        self.recorders = set()
        real = recorder.Recorder.on_gradient_stats

        def on_gradient_stats(this, *arguments) -> None:
            self.recorders.add(this.path)
            if next(self.calls) == self.number:
                for each in self.signals:
                    signal.raise_signal(each)
            real(this, *arguments)

        monkeypatch.setattr(recorder.Recorder, "on_gradient_stats", on_gradient_stats)


@pytest.fixture(scope="module")
def complete(tmp_path_factory, module_images):
    """Directory of a comparison that was never interrupted."""
    config = small_comparison(tmp_path_factory.mktemp("complete"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "open_images", lambda *_, **__: module_images)
        patch.setattr(comparison, "write_results", lambda *_: None)
        return compare(dataclasses.replace(config, log_every=1), "", Reporter()).directory


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    ("number", "finished"),
    [(1, 0), (2, 0), (6, 2), pytest.param(7, 3, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("name", ["SIGINT", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_interrupted_it_saves_the_step_and_resumes(
    config, complete, monkeypatch, name: str, number: int, finished: int
) -> None:
    Interrupting(monkeypatch, number, signal.Signals[name])
    status = compare(dataclasses.replace(config, log_every=1), "", Reporter())
    assert (status.interrupted, status.planned, status.failed) == (signal.Signals[name], 4, [])
    assert status.finished == finished
    again = resume(status.directory, "", Reporter())
    assert (again.finished, again.interrupted) == (4, None)
    equal_but_for_time(complete, status.directory)
    assert_same_weights(complete, status.directory)
    assert resume(status.directory, "", Reporter()).finished == 4


@pytest.mark.usefixtures("no_report")
def test_interrupted_all_runs_side_by_side_save_and_resume(config, monkeypatch) -> None:
    config = dataclasses.replace(config, log_every=1, epochs=12)
    interrupting = Interrupting(monkeypatch, 40, signal.SIGTERM)
    status = compare(config, "", Reporter(), partial(run_locally, limit=4))
    assert (status.interrupted, status.finished) == (signal.SIGTERM, 0)
    assert len(interrupting.recorders) > 1
    assert all((path / "resume.pt").exists() for path in interrupting.recorders)
    assert resume(status.directory, "", Reporter()).finished == 4


@pytest.mark.usefixtures("no_report")
def test_interrupted_twice_it_stops_at_once_and_loses_one_step(
    config, complete, monkeypatch
) -> None:
    config = dataclasses.replace(config, log_every=1, checkpoint_every=0.0)
    before = signal.getsignal(signal.SIGINT)
    Interrupting(monkeypatch, 5, signal.SIGINT, signal.SIGINT)
    status = compare(config, "", Reporter())
    assert (status.interrupted, status.finished) == (signal.SIGINT, 2)
    assert signal.getsignal(signal.SIGINT) is before
    resume(status.directory, "", Reporter())
    equal_but_for_time(complete, status.directory)


@pytest.mark.usefixtures("no_report")
def test_interrupted_at_the_end_of_a_run_no_other_begins(config, monkeypatch) -> None:
    real = recorder.Recorder.on_result

    def interrupt(*arguments):
        signal.raise_signal(signal.SIGINT)
        real(*arguments)

    monkeypatch.setattr(recorder.Recorder, "on_result", interrupt)
    status = compare(config, "", Reporter())
    assert (status.finished, status.interrupted) == (1, signal.SIGINT)
    assert not (status.directory / "mse").exists()
    # Nothing was left to interrupt.
    last = dataclasses.replace(config, losses=("mse",), seeds=1, name="last")
    assert compare(last, "", Reporter()).interrupted is None


@pytest.mark.usefixtures("no_report")
def test_after_a_damaged_checkpoint_the_run_starts_again(
    config, complete, monkeypatch, capsys
) -> None:
    with monkeypatch.context() as patch:
        Interrupting(patch, 1, signal.SIGINT)
        directory = compare(dataclasses.replace(config, log_every=1), "", Reporter()).directory
    path = directory / "cross-entropy" / "seed0" / "resume.pt"
    path.write_bytes(path.read_bytes()[:-10])
    assert resume(directory, "", Reporter()).finished == 4
    assert "resume.pt (it is damaged): the run starts again" in capsys.readouterr().err
    equal_but_for_time(complete, directory)


@pytest.mark.usefixtures("no_report")
def test_an_experiment_is_written_by_one_process_at_a_time(config, refusal) -> None:
    directory = compare(config, "", Reporter()).directory
    with lock_directory(directory):
        refusal(lambda: resume(directory, "", Reporter()), "another process", str(directory))
    assert resume(directory, "", Reporter()).finished == 4


@pytest.mark.usefixtures("no_report")
def test_an_experiment_that_cannot_be_resumed_is_refused(config, refusal, tmp_path) -> None:
    none = tmp_path / "none"
    refusal(lambda: resume(none, "", Reporter()), "no experiment", "lossbench compare")
    directory = compare(config, "", Reporter()).directory
    path = directory / "experiment.json"
    about = json.loads(path.read_text())

    def refused(text: str, *words: str) -> None:
        path.write_text(text)
        refusal(lambda: resume(directory, "", Reporter()), *words)

    refused("{", "cannot read")
    refused("[]", "version")
    changes = ({"colour": 1}, {"epochs": "3"}, {"seeds": 10**9})
    configs = [{"config": about["config"] | change} for change in changes]
    for change in ({"config": {}}, *configs, {"data": []}, {"own_losses": 3}):
        refused(json.dumps(about | change), "version")
    other = about["data"] | {"fingerprint": "0" * 64}
    refused(json.dumps(about | {"data": other}), "other images")
    refused(json.dumps(about | {"config": about["config"] | {"epochs": 0}}), "--epochs 0")
    path.write_text(json.dumps(about | {"git": "another"}))
    assert resume(directory, "", Reporter()).finished == 4
    assert "git" in json.loads(path.read_text())["resumed"][-1]


@pytest.mark.usefixtures("no_report")
def test_a_directory_that_goes_away_is_one_line(config, monkeypatch, refusal) -> None:
    real = recorder.Trainer

    def removing(*arguments):
        shutil.rmtree(config.runs / "SYNTHETIC-small")
        return real(*arguments)

    monkeypatch.setattr(recorder, "Trainer", removing)
    refusal(lambda: compare(config, "", Reporter()), "No such file", "stopped")


def test_after_an_interruption_the_second_start_is_left_for_later(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    plans = [SimpleNamespace(directory=tmp_path / name, runs=(1, 2)) for name in ("a", "b")]
    for plan in plans:
        plan.directory.mkdir()
    begun = []

    def interrupted(plan, *_) -> ExperimentStatus:
        begun.append(plan)
        return ExperimentStatus(plan.directory, 2, interrupted=signal.SIGINT)

    monkeypatch.setattr(comparison, "train_runs", interrupted)
    monkeypatch.setattr(comparison, "write_results", lambda *_: None)
    ended = comparison.train_plans(plans, Reporter(), lambda *_: None)
    assert begun == plans[:1]
    assert print_status(ended) == 130
    said = capsys.readouterr().err
    assert "interrupted after 0 of 4 runs" in said
    assert said.rstrip().endswith(f"lossbench compare --resume {tmp_path}")
    assert not (tmp_path / "report.html").exists()


def test_reports_of_both_starts_are_made_once(tmp_path: Path, monkeypatch) -> None:
    plans = [
        SimpleNamespace(directory=tmp_path / name, runs=(1,))
        for name in ("normal", "confidently-wrong")
    ]
    for plan in plans:
        plan.directory.mkdir()
        for name in ("experiment.json", "summary.json"):
            (plan.directory / name).write_text("{}")
    made = {plan.directory: object() for plan in plans}
    asked = []
    monkeypatch.setattr(
        comparison, "train_runs", lambda plan, *_: ExperimentStatus(plan.directory, 1)
    )
    monkeypatch.setattr(comparison, "write_results", lambda plan, _: made[plan.directory])
    monkeypatch.setattr(comparison, "write_reports", lambda *arguments: asked.append(arguments))
    comparison.train_plans(plans, Reporter(), lambda *_: None)
    assert asked == [(list(made), tmp_path, made)]


@pytest.mark.usefixtures("no_report")
def test_with_more_cores_a_run_keeps_its_threads(config, refusal, monkeypatch) -> None:
    directory = compare(config, "", Reporter()).directory
    monkeypatch.setattr("lossbench.benchmarks.training.plan.cpu_count", lambda: 64)
    assert load_plan(directory, Reporter()).threads == 1
    about = json.loads((directory / "experiment.json").read_text())
    for threads, words in ((0, "1 to 1024"), (10**9, "1 to 1024"), ("2", "should be int")):
        wrong = about | {"hardware": about["hardware"] | {"threads": threads}}
        (directory / "experiment.json").write_text(json.dumps(wrong))
        refusal(lambda: load_plan(directory, Reporter()), "hardware.threads", words)
    (directory / "experiment.json").write_text(json.dumps(about | {"hardware": {}}))
    assert load_plan(directory, Reporter()).threads == 16
