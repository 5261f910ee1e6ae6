"""Growth with the number of runs, on an experiment of ten of them."""

import pytest

from lossbench.benchmarks.config import ARTICLE_LOSSES
from lossbench.benchmarks.records.results import RESULTS
from lossbench.benchmarks.speed import growth_runs
from lossbench.benchmarks.speed.growth_runs import (
    finished_experiment,
    plan_experiment,
    run_timer,
    tensorboard_seconds,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def experiment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growth_runs, "MANY_SEEDS", 2)
        patch.setattr(growth_runs, "FEW_SEEDS", 1)
        patch.setattr(growth_runs, "COMPARED_RUNS", 4)
        yield finished_experiment.__wrapped__()


def test_all_runs_are_trained(experiment) -> None:
    # Two seeds, but one for a loss that is a multiple of another.
    assert len(ARTICLE_LOSSES) < len(experiment.plan.runs) < 2 * len(ARTICLE_LOSSES)
    for path in experiment.plan.run_directories:
        for name in ("config.json", RESULTS, "predictions.npz", "checkpoint.pt"):
            assert (path / name).stat().st_size > 0
    assert experiment.cost.pairs == 4
    assert experiment.cost.median > 0


def test_report_and_tensorboard_are_measured(experiment, monkeypatch) -> None:
    monkeypatch.setattr(growth_runs, "finished_experiment", lambda: experiment)
    assert growth_runs.report_seconds(0).median > 0
    assert 0.1 < growth_runs.report_megabytes(0).median < 10
    runs = len(experiment.plan.runs)
    assert tensorboard_seconds(experiment.plan.directory, runs) > 0
    monkeypatch.setattr(growth_runs, "TIMEOUT", 5.0)
    with pytest.raises(TimeoutError, match=f"of {runs + 1} runs"):
        tensorboard_seconds(experiment.plan.directory, runs + 1)


def test_an_interruption_ends_the_measurement(tmp_path, monkeypatch) -> None:
    plan = plan_experiment(tmp_path, 1)
    with run_timer(plan) as train_next:
        assert train_next() > 0

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("lossbench.benchmarks.training.train.Trainer.step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_next()
    assert sum((path / "predictions.npz").exists() for path in plan.run_directories) == 1
