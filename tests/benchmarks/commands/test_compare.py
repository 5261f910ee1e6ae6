import dataclasses
import gc
import itertools
import json
import os
import shutil
import sys
import threading
from functools import partial

import pytest
import torch

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.records.reading import read_description
from lossbench.benchmarks.training import checks, recorder
from lossbench.benchmarks.training.executors.local import run_locally
from lossbench.losses import registry

from ..comparisons import compare, resume
from ..rows import assert_same_weights, equal_but_for_time, rows_of
from ..trained_runs import small_comparison


@pytest.fixture(scope="module")
def directory(tmp_path_factory, module_images):
    """Directory of a finished comparison with its report."""
    config = small_comparison(tmp_path_factory.mktemp("compared"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "open_images", lambda *_, **__: module_images)
        return compare(config, "lossbench compare --some flags", Reporter()).directory


def test_a_comparison_writes_every_file(directory) -> None:
    assert {p.name for p in directory.iterdir()} - {".lock"} == {
        "experiment.json",
        "results.csv",
        "summary.json",
        "summary.md",
        "report.html",
        "comparison.png",
        "closed_forms.png",
        "differences.png",
        "tensorboard",
        "cross-entropy",
        "mse",
    }
    runs = {str(p.parent.relative_to(directory)) for p in directory.rglob("checkpoint.pt")}
    assert runs == {f"{n}/seed{k}" for n in ("cross-entropy", "mse") for k in (0, 1)}
    about = json.loads((directory / "experiment.json").read_text())
    assert about["command"] == "lossbench compare --some flags"
    assert about["config"]["losses"] == ["cross-entropy", "mse"]
    assert about["config"]["learning_rates"] == {"cross-entropy": 0.02, "mse": 0.02}
    assert (about["data"]["train"], about["data"]["validation"]) == (86, 10)


def test_runs_are_paired_by_seed_and_seeds_come_first(directory) -> None:
    rows = rows_of(directory)
    ends = [(r["seed"], r["loss"]) for r in rows if r["epoch"] == "1"]
    assert ends == [("0", "cross-entropy"), ("0", "mse"), ("1", "cross-entropy"), ("1", "mse")]
    start = {(r["seed"], r["validation_accuracy"]) for r in rows if r["step"] == "0"}
    assert len(start) == 2


def test_an_existing_experiment_is_not_touched(config: CompareConfig, refusal) -> None:
    directory = config.runs / "SYNTHETIC-small"
    directory.mkdir(parents=True)
    refusal(lambda: compare(config, "", Reporter()), "already exists", "--name")
    assert list(directory.iterdir()) == []


def test_runs_that_cannot_be_a_directory_are_refused(config, refusal, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for runs in (tmp_path / "file", tmp_path / "file" / "below"):
        bad = dataclasses.replace(config, runs=runs)
        refusal(lambda bad=bad: compare(bad, "", Reporter()), "file", "--runs")


OWN_LOSSES = """
import torch
from lossbench import losses

CALLS = 0

@losses.register("own", task="binary", summary="softplus of the wrong side")
class Own(torch.nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()

    def forward(self, input, target):
        return torch.nn.functional.softplus(input * (1 - 2 * target))

class Unregistered(Own):
    def forward(self, input, target):
        assert input.dim() == 1
        return super().forward(input, target).mean()

@losses.register("averaging", task="binary")
class Averaging(Own):
    def forward(self, input, target):
        return super().forward(input, target).mean()

@losses.register("failing", task="binary")
class Failing(Own):
    def forward(self, input, target):
        global CALLS
        CALLS += len(input) > 4
        if CALLS > 1:
            raise RuntimeError("not\\nagain")
        return super().forward(input, target)

@losses.register("diverging", task="binary")
class Diverging(Own):
    def forward(self, input, target):
        return input * (float("nan") if len(input) > 4 else 1)
"""


@pytest.fixture
def own_losses(tmp_path, monkeypatch) -> None:
    """Provide a module of user losses, own_losses, in the working directory."""
    (tmp_path / "own_losses.py").write_text(OWN_LOSSES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.delitem(sys.modules, "own_losses", raising=False)


@pytest.mark.usefixtures("own_losses")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_losses:CALLS", "cannot be called"),
        ("own_losses:Unregistered=multiclass", "state it"),
        ("own_losses:Nothing", "has no 'Nothing'"),
        ("own_losses:Averaging", "reduction='none'"),
        ("nowhere:Own", "nowhere"),
    ],
)
def test_a_user_loss_that_does_not_fit_is_refused(name: str, words: str, config, refusal) -> None:
    bad = dataclasses.replace(config, losses=(name,))
    refusal(lambda: compare(bad, "", Reporter()), f"--losses {name}", words)


@pytest.mark.usefixtures("own_losses", "no_report")
def test_a_loss_that_is_not_registered_is_trained_and_resumed(config, capsys) -> None:
    names = ("bce-with-logits", "own_losses:Unregistered", "torch.nn:SoftMarginLoss")
    own = dataclasses.replace(config, losses=names, seeds=1, learning_rate=0.1)
    status = compare(own, "", Reporter())
    about = read_description(status.directory)
    assert about["own_losses"] == [
        "own_losses:Unregistered=binary,logits,probability",
        "torch.nn:SoftMarginLoss=binary,logits,sign",
    ]
    assert f"{about['own_losses'][0]}, found by trying it" in capsys.readouterr().err
    # One function in three spellings: the other two are multiples of the first.
    assert {key: (of["of"], of["factor"]) for key, of in about["identities"].items()} == {
        "own_losses.unregistered": ("bce-with-logits", 1),
        "torch.nn.softmarginloss": ("bce-with-logits", 1),
    }
    finals = [(d / "results.csv").read_text() for d in status.directory.glob("*/seed0")]
    assert len(finals) == status.finished == 3
    # Another process finds it again.
    registry._entries.pop("own_losses.unregistered")
    shutil.rmtree(status.directory / "own_losses.unregistered")
    assert resume(status.directory, "", Reporter()).finished == 3


@pytest.mark.usefixtures("own_losses")
def test_a_failed_run_stops_no_other_and_is_tried_again(config, capsys) -> None:
    names = tuple(f"own_losses:{name}" for name in ("Failing", "Diverging", "Own"))
    own = dataclasses.replace(config, losses=names, seeds=1)
    status = compare(own, "", Reporter())
    assert (status.planned, status.finished) == (3, 2)
    assert status.failed == [
        "failing seed 0: RuntimeError: not again",
        "diverging seed 0: its network has diverged",
    ]
    assert "failing seed 0 failed: RuntimeError: not again" in capsys.readouterr().err
    failure = (status.directory / "failing" / "seed0" / "failure.txt").read_text()
    assert failure.startswith("RuntimeError: not again\n\nTraceback")
    assert "own_losses.py" in failure
    summary = json.loads((status.directory / "summary.json").read_text())
    (run,) = summary["unfinished_runs"]
    assert (run["loss"], run["failure"]) == ("failing", "RuntimeError: not again")
    assert set(summary["losses"]) >= {"own"}
    assert "RuntimeError: not again" in (status.directory / "report.html").read_text()
    # Fixed, it is trained again.
    sys.modules["own_losses"].CALLS = -(10**6)
    again = resume(status.directory, "", Reporter())
    assert again.finished == 3
    assert not (status.directory / "failing" / "seed0" / "failure.txt").exists()
    # Without a finished run there is no report.
    sys.modules["own_losses"].CALLS = 1
    only = dataclasses.replace(own, losses=names[:1], name="only")
    status = compare(only, "", Reporter())
    assert (status.finished, len(status.failed)) == (0, 1)


@pytest.mark.usefixtures("no_report")
def test_memory_that_is_short_fails_one_run(config: CompareConfig, monkeypatch) -> None:
    real, calls = recorder.Trainer, itertools.count()

    def short(*arguments):
        if next(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*arguments)

    monkeypatch.setattr(recorder, "Trainer", short)
    status = compare(config, "", Reporter())
    assert status.finished == 3
    assert status.failed == ["mse seed 0: OutOfMemoryError: CUDA out of memory"]


@pytest.mark.usefixtures("no_report")
def test_runs_side_by_side_write_what_they_write_one_by_one(config: CompareConfig) -> None:
    longer = dataclasses.replace(config, epochs=8, log_every=1)
    one, other = (
        compare(
            dataclasses.replace(longer, name=f"{limit}"),
            "",
            Reporter(),
            partial(run_locally, limit=limit),
        )
        for limit in (1, 4)
    )
    assert (one.finished, other.finished) == (4, 4)
    equal_but_for_time(one.directory, other.directory)
    assert_same_weights(one.directory, other.directory)


@pytest.mark.usefixtures("no_report")
def test_deterministic_algorithms_are_switched_on(config: CompareConfig) -> None:
    try:
        compare(dataclasses.replace(config, deterministic=True, seeds=1), "", Reporter())
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("no_report")
def test_runs_leave_no_files_open_and_no_threads(config: CompareConfig) -> None:
    def resources() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    def train(name: str, seeds: int) -> None:
        named = dataclasses.replace(config, name=name, seeds=seeds)
        assert compare(named, "", Reporter()).finished == 2 * seeds

    train("first", 1)
    before = resources()
    train("second", 6)
    assert resources() == before
