import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lossbench.benchmarks.config import CompareConfig, RunConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.records.results import run_directory
from lossbench.benchmarks.training.evaluate import evaluate
from lossbench.benchmarks.training.network import build_model
from lossbench.benchmarks.training.objective import Objective
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.recorder import RunFailedError, train_recorded
from lossbench.benchmarks.training.result import RunResult

from .. import rows
from ..samples import read_events

CPU = torch.device("cpu")
SCALARS = {
    "loss/train",
    "loss/validation",
    "loss/test",
    "accuracy/train",
    "accuracy/validation",
    "accuracy/test",
    "gradient/logit_mean_abs",
    "gradient/logit_when_wrong",
    "gradient/vanished_fraction",
    "gradient/parameter_norm",
    "speed/images_per_second",
}
TAGS = {
    "validation_loss": "loss/validation",
    "validation_accuracy": "accuracy/validation",
    "test_loss": "loss/test",
    "test_accuracy": "accuracy/test",
}


class Monitor:
    """Monitor that keeps what it is told."""

    def __init__(self) -> None:
        self.fractions, self.lines, self.stopping = [], [], False

    def should_stop(self) -> bool:
        return self.stopping

    def update(self, _config, fraction: float, _stats) -> None:
        self.fractions.append(fraction)

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def recorded(images, tmp_path: Path):
    """Record a run of two epochs of four steps each; return its result and monitor."""

    def run(loss: str = "cross-entropy", log_every: int = 2, **settings):
        fields = {"seed": 0, "learning_rate": 0.02, "width": 4, "batch_size": 16}
        fields |= {"evaluations": 1, "validation": 0.25, "test": True} | settings
        config, monitor = RunConfig(loss, **fields), Monitor()
        settings = CompareConfig(validation=config.validation, log_every=log_every)
        plan = Plan(tmp_path, settings, images, CPU, (config,))
        return train_recorded(plan, config, monitor), monitor

    return run


def rows_of(directory: Path, loss: str = "cross-entropy") -> list[dict[str, str]]:
    return rows.rows_of(run_directory(directory, loss, 0))


def events_of(directory: Path, result: RunResult) -> EventAccumulator:
    return read_events(run_directory(directory, result.config.loss, result.config.seed))


@pytest.mark.parametrize("loss", ["cross-entropy", "bce-with-logits", "zero-one"])
def test_a_run_leaves_its_files_tags_and_rows(loss: str, recorded, tmp_path: Path) -> None:
    result, monitor = recorded(loss)
    path = run_directory(tmp_path, loss, 0)
    assert {p.name for p in path.iterdir() if "tfevents" not in p.name and p.name != ".lock"} == {
        "config.json",
        "checkpoint.pt",
        "predictions.npz",
        "results.csv",
    } | ({"warnings.csv"} if "zero-one" in loss else set())
    config = json.loads((path / "config.json").read_text())
    assert (config["loss"], config["seed"], config["width"]) == (loss, 0, 4)
    assert config["images"] == "SYNTHETIC"

    found = rows_of(tmp_path, loss)
    assert [(float(r["epoch"]), int(r["step"])) for r in found] == [(0, 0), (1, 4), (2, 8)]
    assert {r["images"] for r in found} == {"SYNTHETIC"}

    events = events_of(tmp_path, result)
    tags = set(events.Tags()["scalars"])
    layers = {t for t in tags if t.startswith("gradient/layer/")}
    assert tags - layers == SCALARS
    assert "gradient/layer/head.weight" in layers
    assert len(layers) == 11
    assert events.Tags()["histograms"] == ["gradient/logit_log10"]
    assert any(tag.startswith("images") for tag in events.Tags()["tensors"])
    assert [e.step for e in events.Scalars("gradient/logit_mean_abs")] == [0, 2, 4, 6, 7]
    assert [e.step for e in events.Scalars("accuracy/validation")] == [0, 4, 8]
    assert monitor.fractions == [0, 0.25, 0.5, 0.75, 7 / 8]


def test_only_the_last_row_has_test_results(recorded, tmp_path: Path) -> None:
    result, _ = recorded()
    *early, last = rows_of(tmp_path)
    assert all(r["test_loss"] == r["test_accuracy"] == "nan" for r in early)
    assert float(last["test_accuracy"]) == pytest.approx(result.test.accuracy)
    assert float(last["test_loss"]) == pytest.approx(result.test_loss, rel=1e-6)
    events = events_of(tmp_path, result)
    assert [e.step for e in events.Scalars("accuracy/test")] == [int(last["step"])]
    assert [e.step for e in events.Scalars("loss/test")] == [int(last["step"])]


def test_results_and_events_agree_value_by_value(recorded, tmp_path: Path) -> None:
    # With every step logged, a row has to be the mean of the events since the row before.
    result, _ = recorded(log_every=1)
    events = events_of(tmp_path, result)
    since = -1
    for row in rows_of(tmp_path):
        step = int(row["step"])
        for column, tag in TAGS.items():
            values = [e.value for e in events.Scalars(tag) if e.step == step]
            if math.isnan(float(row[column])):
                assert not values
            else:
                assert values == [pytest.approx(float(row[column]), rel=1e-6)]
        for column, tag in {
            "train_loss": "loss/train",
            "train_accuracy": "accuracy/train",
            "logit_mean_abs": "gradient/logit_mean_abs",
            "parameter_norm": "gradient/parameter_norm",
        }.items():
            values = [e.value for e in events.Scalars(tag) if since < e.step <= step]
            assert sum(values) / len(values) == pytest.approx(float(row[column]), rel=1e-5)
        since = step


def test_the_predictions_are_those_of_the_result(recorded, tmp_path: Path) -> None:
    result, _ = recorded()
    with np.load(run_directory(tmp_path, "cross-entropy", 0) / "predictions.npz") as file:
        assert set(file) == {"outputs", "probabilities", "predicted", "labels"}
        assert all(np.array_equal(file[name], getattr(result.test, name)) for name in file)


def test_the_checkpoint_is_the_evaluated_model(recorded, images, tmp_path: Path) -> None:
    result, _ = recorded()
    path = run_directory(tmp_path, "cross-entropy", 0) / "checkpoint.pt"
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["images"] == "SYNTHETIC"
    objective = Objective("cross-entropy")
    model = build_model(RunConfig("cross-entropy", 99, 1.0, width=4), objective, 32)
    model.load_state_dict(checkpoint["model"])
    dataset = prepare(images, CPU, validation=0.25)
    loss, predictions = evaluate(model, objective, dataset.test.once("again"), dataset.normalise)
    assert loss == pytest.approx(result.test_loss)
    assert np.array_equal(predictions.outputs, result.test.outputs)


def test_a_vanished_gradient_is_warned_of(recorded, tmp_path: Path) -> None:
    result, monitor = recorded("zero-one")
    assert monitor.lines
    assert all(line.startswith("warning: zero-one") for line in monitor.lines)
    written = (run_directory(tmp_path, "zero-one", 0) / "warnings.csv").read_text()
    assert monitor.lines[0].removeprefix("warning: ") in written
    assert any("warnings" in tag for tag in events_of(tmp_path, result).Tags()["tensors"])


def test_a_healthy_gradient_is_not_warned_of(recorded, tmp_path: Path) -> None:
    assert not recorded()[1].lines
    assert not list(tmp_path.rglob("warnings.csv"))


def test_without_test_images_a_run_cannot_be_finished(recorded) -> None:
    with pytest.raises(RunFailedError, match="test images"):
        recorded(test=False)
