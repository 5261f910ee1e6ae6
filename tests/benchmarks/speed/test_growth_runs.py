"""Runs that are recorded without having been trained are runs like others."""

import csv
import json
import signal
from contextlib import contextmanager

import pytest

from lossbench.benchmarks.config import ARTICLE_LOSSES
from lossbench.benchmarks.report.summary import summarise
from lossbench.benchmarks.speed import growth_runs
from lossbench.benchmarks.speed.growth_runs import COMPARED, FEW, WARM, recorded, until_read
from lossbench.benchmarks.training.interruption import Interruption


@pytest.fixture(scope="module")
def made():
    return recorded(seeds=2)


@pytest.fixture
def experiment(made):
    return made.plan


def test_every_run_is_recorded_whole(experiment) -> None:
    directory = experiment.directory
    assert len(experiment.runs) == 2 * len(ARTICLE_LOSSES)
    for path in experiment.run_directories:
        for name in ("config.json", "results.csv", "predictions.npz", "checkpoint.pt"):
            assert (path / name).stat().st_size > 0
        assert len(list(path.glob("events.out.*"))) == 1
    with (directory / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["loss"], int(row["seed"])) for row in rows} == {
        (trial.loss, trial.seed) for trial in experiment.runs
    }
    config = json.loads((experiment.run_directories[-1] / "config.json").read_text())
    assert (config["loss"], config["seed"]) == (ARTICLE_LOSSES[-1], 1)


def test_they_make_other_mistakes_each(experiment) -> None:
    summary = summarise(experiment.directory)
    assert summary["finished_runs"] == 20
    accuracies = {
        value
        for loss in summary["losses"].values()
        for value in loss["test_accuracy"]["per_seed"].values()
    }
    assert len(accuracies) > 5


def test_the_last_runs_are_compared_with_the_first_in_turns(monkeypatch) -> None:
    recorded: list[int] = []

    @contextmanager
    def recording(plan, _):
        def record() -> float:
            recorded.append(len(plan.runs))
            # As if a run took as long as those before it are many.
            return float(recorded.count(len(plan.runs)))

        yield record

    monkeypatch.setattr(growth_runs, "recording", recording)
    few, many = FEW * len(ARTICLE_LOSSES), 4 * len(ARTICLE_LOSSES)
    cost = growth_runs.recorded.__wrapped__(seeds=4).cost
    assert recorded[: many - COMPARED + WARM] == [many] * (many - COMPARED) + [few] * WARM
    pairs = recorded[many - COMPARED + WARM :]
    assert pairs == [many, few, few, many] * (COMPARED // 2)
    assert cost.pairs == COMPARED
    # (21 / 6, 22 / 7, ..., 40 / 25)
    assert cost.median == pytest.approx((30 / 15 + 31 / 16) / 2)


def test_ctrl_c_ends_the_recording(tmp_path) -> None:
    plan = growth_runs.experiment(tmp_path, 1)
    with Interruption() as interruption, growth_runs.recording(plan, interruption) as record:
        assert record() > 0
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            record()
    assert sum((path / "predictions.npz").exists() for path in plan.run_directories) == 1


def test_a_tensorboard_is_waited_for_until_it_has_all_runs(experiment, monkeypatch) -> None:
    assert until_read(experiment.directory, 20) > 0
    monkeypatch.setattr(growth_runs, "PATIENCE", 5.0)
    with pytest.raises(TimeoutError, match="of 21 runs"):
        until_read(experiment.directory, 21)
