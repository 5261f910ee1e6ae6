import dataclasses
from datetime import UTC, datetime

import pytest

from lossbench.benchmarks.commands import compare as comparison
from lossbench.benchmarks.commands import plan as plan_module
from lossbench.benchmarks.commands.plan import collect, create_plan, experiment_name, run_one
from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.records.files import write_json
from lossbench.benchmarks.records.reading import read_description
from lossbench.benchmarks.records.results import gather_tables
from lossbench.benchmarks.training import checks
from lossbench.benchmarks.training.objective import Objective
from lossbench.benchmarks.training.plan import load_plan

from ..comparisons import compare, resume
from ..rows import assert_same_weights, equal_but_for_time

NOW = datetime(2026, 11, 22, 10, 30, 5, tzinfo=UTC)


def write_tables(plan, _status) -> None:
    """Write tables only: a report takes longer than the runs."""
    gather_tables(plan.directory, plan.run_directories)


def test_runs_trained_one_by_one_are_the_comparison(config, refusal, monkeypatch) -> None:
    monkeypatch.setattr(comparison, "write_results", write_tables)
    complete = compare(dataclasses.replace(config, name="complete"), "", Reporter()).directory
    plan = create_plan(config, "lossbench plan", Reporter())
    directory = plan.directory
    assert read_description(directory)["own_losses"] == []
    assert [(run.loss, run.seed) for run in plan.runs] == [
        ("cross-entropy", 0),
        ("mse", 0),
        ("cross-entropy", 1),
        ("mse", 1),
    ]
    refusal(lambda: run_one(directory, 4, Reporter()), "runs 0 to 3")
    for number in (3, 0):
        status = run_one(directory, number, Reporter())
        assert (status.planned, status.finished, status.failed) == (1, 1, [])
    failure = plan.run_directories[1] / "failure.txt"
    failure.parent.mkdir(parents=True)
    failure.write_text("ValueError: no\n\nTraceback")
    status = collect(directory, Reporter())
    assert (status.planned, status.finished) == (4, 2)
    assert status.failed == ["mse seed 0: ValueError: no"]
    assert (directory / "report.html").exists()
    monkeypatch.setattr(plan_module, "write_results", write_tables)
    for number in (1, 2):
        run_one(directory, number, Reporter())
    assert not failure.exists()
    assert collect(directory, Reporter()).finished == 4
    equal_but_for_time(complete, directory)
    assert_same_weights(complete, directory)


def test_tables_are_collected_without_building_kernels(config, monkeypatch) -> None:
    directory = create_plan(dataclasses.replace(config, kernels=True), "", Reporter()).directory
    built = []
    monkeypatch.setattr(checks.kernels, "ensure", built.append)
    monkeypatch.setattr(plan_module, "write_results", write_tables)
    uses = []
    monkeypatch.setattr(checks, "Objective", lambda *a, **k: uses.append(k) or Objective(*a, **k))
    collect(directory, Reporter())
    assert not built
    assert uses
    assert not any(each["kernels"] for each in uses)
    load_plan(directory, Reporter())
    assert len(built) == 1


@pytest.mark.parametrize("field", ["schedule", "augmentation", "precision"])
def test_a_plan_with_an_unknown_choice_is_refused(config, field: str, refusal) -> None:
    directory = create_plan(config, "", Reporter()).directory
    description = read_description(directory)
    description["config"][field] = "linear"
    write_json(directory / "experiment.json", description)
    refusal(lambda: load_plan(directory, Reporter()), field, "'linear'", "should be")


def test_tables_whose_runs_are_gone_are_not_overwritten(config, refusal) -> None:
    """As of a comparison in git, which keeps no files of single runs."""
    directory = create_plan(config, "", Reporter()).directory
    (directory / "results.csv").write_text("loss,seed\nmse,0\n")
    before = {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    for command in (
        lambda: resume(directory, "", Reporter()),
        lambda: collect(directory, Reporter()),
        lambda: run_one(directory, 0, Reporter()),
    ):
        refusal(command, "none of its runs", str(directory))
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize("runs", ["", "mse,0\n"])
def test_a_plan_without_rows_has_none_to_lose(config, runs: str) -> None:
    directory = create_plan(config, "", Reporter()).directory
    (directory / "results.csv").write_text("loss,seed\n")
    if runs:
        (directory / "mse" / "seed0").mkdir(parents=True)
        (directory / "mse" / "seed0" / "results.csv").write_text("")
    assert run_one(directory, 0, Reporter()).finished == 1


@pytest.mark.parametrize(
    ("synthetic", "settings", "expected"),
    [
        (False, {}, "noise-convnet-normal-20261122-103005"),
        (False, {"name": "mine"}, "mine"),
        (True, {}, "SYNTHETIC-convnet-normal-20261122-103005"),
        (True, {"name": "mine"}, "SYNTHETIC-mine"),
        (False, {"model": "my.package:Net"}, "noise-Net-normal-20261122-103005"),
    ],
)
def test_the_name_of_an_experiment(images, synthetic, settings, expected) -> None:
    images = dataclasses.replace(images, synthetic=synthetic)
    config = CompareConfig(**settings)
    assert experiment_name(config, images, NOW, "normal") == expected
    assert experiment_name(config, images, NOW, None) == expected.replace("-normal", "")
