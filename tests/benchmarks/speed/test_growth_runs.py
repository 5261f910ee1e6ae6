"""Runs that are recorded without having been trained are runs like others."""

import csv
import json
from types import SimpleNamespace

import pytest

from benchmarks.config import ARTICLE
from benchmarks.report.summary import summarise
from benchmarks.speed import growth_runs
from benchmarks.speed.growth_runs import COMPARED, WARM, Recorded, until_read


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return Recorded(tmp_path_factory.mktemp("runs"), seeds=2)


def test_every_run_is_recorded_whole(experiment) -> None:
    directory = experiment.plan.directory
    assert len(experiment.plan.trials) == len(experiment.seconds) == 2 * len(ARTICLE)
    for path in experiment.plan.paths:
        for name in ("config.json", "results.csv", "predictions.npz", "checkpoint.pt"):
            assert (path / name).stat().st_size > 0
        assert len(list(path.glob("events.out.*"))) == 1
    with (directory / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["loss"], int(row["seed"])) for row in rows} == {
        (trial.loss, trial.seed) for trial in experiment.plan.trials
    }
    config = json.loads((experiment.plan.paths[-1] / "config.json").read_text())
    assert (config["loss"], config["seed"]) == (ARTICLE[-1], 1)


def test_they_make_other_mistakes_each(experiment) -> None:
    summary = summarise(experiment.plan.directory)
    assert summary["finished_runs"] == 20
    accuracies = {
        value
        for loss in summary["losses"].values()
        for value in loss["test_accuracy"]["per_seed"].values()
    }
    assert len(accuracies) > 5


def test_the_last_runs_are_compared_with_the_first(monkeypatch) -> None:
    seconds = [9.0] * WARM + [2.0] * COMPARED + [5.0] * 100 + [3.0] * COMPARED
    monkeypatch.setattr(growth_runs, "recorded", lambda: SimpleNamespace(seconds=seconds))
    found = growth_runs.cost_of_a_run(0)
    assert (found.lower, found.median, found.upper, found.pairs) == (1.5, 1.5, 1.5, COMPARED)


def test_a_tensorboard_is_waited_for_until_it_has_all_runs(experiment, monkeypatch) -> None:
    assert until_read(experiment.plan.directory, 20) > 0
    monkeypatch.setattr(growth_runs, "PATIENCE", 5.0)
    with pytest.raises(TimeoutError, match="of 21 runs"):
        until_read(experiment.plan.directory, 21)
