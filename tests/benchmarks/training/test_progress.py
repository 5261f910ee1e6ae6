import dataclasses
import io
import math
from types import SimpleNamespace

import pytest
from rich.console import Console

from lossbench.benchmarks.commands.plan import create_plan
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.training.executors.local import run_locally
from lossbench.benchmarks.training.interruption import Interruption
from lossbench.benchmarks.training.progress import ExperimentStatus, Progress, train_runs


@pytest.fixture
def reporter() -> Reporter:
    return Reporter(Console(file=io.StringIO()))


@pytest.fixture
def plan(config, reporter):
    return create_plan(config, "", reporter)


def test_a_status_counts_runs_and_notes_failures(tmp_path) -> None:
    status, run = ExperimentStatus(tmp_path, 3), SimpleNamespace(loss="mse", seed=1)
    status.add_finished(run, 0.5)
    status.add_finished(run, math.nan)
    status.add_failed(run, "no")
    assert status.finished == 2
    assert status.failed == ["mse seed 1: its network has diverged", "mse seed 1: no"]


def test_progress_stops_on_a_signal_or_an_error(plan, reporter) -> None:
    interruption = Interruption()
    shown = []
    table = SimpleNamespace(
        update=lambda *a: shown.append(("update", *a)),
        finished=lambda *a: shown.append(("finished", *a)),
    )
    progress = Progress(plan, table, interruption, reporter)
    assert (progress.status.directory, progress.status.planned) == (plan.directory, 4)
    assert not progress.should_stop()
    progress.error = OSError()
    assert progress.should_stop()
    progress.error, interruption.signal = None, 2
    assert progress.should_stop()
    run = plan.runs[1]
    progress.update(run, 0.25, SimpleNamespace(accuracy=0.5, logit_mean_abs=0.1))
    progress.finished(run, 0.75, 2.0)
    progress.failed(run, "no")
    assert shown == [("update", "mse", 0, 0.25, 0.5, 0.1), ("finished", "mse", 0, 0.75, 2.0)]
    assert reporter.console.file.getvalue().endswith("mse seed 0 failed: no\n")
    assert progress.status.failed == ["mse seed 0: no"]


def test_only_unfinished_runs_are_trained(plan, reporter) -> None:
    assert train_runs(plan, reporter, run_locally).finished == 4
    # A process was killed after the last row, and another before it.
    left = plan.run_directories[0] / "resume.pt"
    left.write_bytes(b"left")
    rows = plan.run_directories[2] / "results.csv"
    rows.write_text(rows.read_text().partition("\n")[0] + "\n")
    trained = []

    def executor(plan, configs, progress) -> None:
        trained.extend(configs)
        run_locally(plan, configs, progress)

    status = train_runs(dataclasses.replace(plan), reporter, executor)  # with its own dataset
    assert trained == [plan.runs[2]]
    assert (status.finished, status.interrupted) == (4, None)
    assert not left.exists()
