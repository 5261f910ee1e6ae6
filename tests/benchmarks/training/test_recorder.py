import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.records.results import run_directory
from lossbench.benchmarks.training.evaluate import evaluate
from lossbench.benchmarks.training.objective import Objective
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.recorder import Recorder
from lossbench.benchmarks.training.result import RunConfig, RunResult
from lossbench.benchmarks.training.train import build_model, train
from lossbench.losses import registry

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


@pytest.fixture
def recorded(images, tmp_path: Path):
    """Records a run of two epochs of four steps each; the outcome and what was told meanwhile."""

    def run(loss: str = "cross-entropy", log_every: int = 2, **settings):
        fields = {"seed": 0, "learning_rate": 0.02, "width": 4, "batch_size": 16}
        fields |= {"evaluations": 1, "validation": 0.25, "test": True} | settings
        trial, told = RunConfig(loss, **fields), []
        config = CompareConfig(validation=trial.validation)
        plan = Plan(tmp_path, config, images, CPU, (trial,))
        recorder = Recorder(
            plan,
            trial,
            stop=lambda: False,
            moved=lambda _, share, __: told.append(share),
            say=told.append,
        )
        with recorder:
            outcome, model = train(trial, plan.material, recorder, log_every)
            assert recorder.finish(outcome, model) is not None
        return outcome, told

    return run


def rows_of(directory: Path, loss: str = "cross-entropy") -> list[dict[str, str]]:
    with (run_directory(directory, loss, 0) / "results.csv").open() as file:
        return list(csv.DictReader(file))


def events_of(directory: Path, outcome: RunResult) -> EventAccumulator:
    path = run_directory(directory, outcome.trial.loss, outcome.trial.seed)
    return EventAccumulator(str(path), size_guidance={"scalars": 0, "histograms": 0}).Reload()


@pytest.mark.parametrize("loss", registry.names())
def test_a_run_leaves_its_files_tags_and_rows(loss: str, recorded, tmp_path: Path) -> None:
    outcome, told = recorded(loss)
    path = run_directory(tmp_path, loss, 0)
    assert {p.name for p in path.iterdir() if "tfevents" not in p.name} == {
        "config.json",
        "checkpoint.pt",
        "predictions.npz",
        "results.csv",
    } | ({"warnings.csv"} if "zero-one" in loss else set())
    config = json.loads((path / "config.json").read_text())
    assert (config["loss"], config["seed"], config["width"]) == (loss, 0, 4)
    assert config["images"] == "SYNTHETIC"

    rows = rows_of(tmp_path, loss)
    assert [(float(r["epoch"]), int(r["step"])) for r in rows] == [(0, 0), (1, 4), (2, 8)]
    assert {r["images"] for r in rows} == {"SYNTHETIC"}

    events = events_of(tmp_path, outcome)
    tags = set(events.Tags()["scalars"])
    layers = {t for t in tags if t.startswith("gradient/layer/")}
    assert tags - layers == SCALARS
    assert "gradient/layer/head.weight" in layers
    assert len(layers) == 11
    assert events.Tags()["histograms"] == ["gradient/logit_log10"]
    assert [e.step for e in events.Scalars("gradient/logit_mean_abs")] == [0, 2, 4, 6, 7]
    assert [e.step for e in events.Scalars("accuracy/validation")] == [0, 4, 8]
    shares = [share for share in told if isinstance(share, float)]
    assert shares == [0, 0.25, 0.5, 0.75, 7 / 8]


def test_only_the_last_row_knows_of_the_test_images(recorded, tmp_path: Path) -> None:
    outcome, _ = recorded()
    *early, last = rows_of(tmp_path)
    assert all(r["test_loss"] == r["test_accuracy"] == "nan" for r in early)
    assert float(last["test_accuracy"]) == pytest.approx(outcome.test.accuracy)
    assert float(last["test_loss"]) == pytest.approx(outcome.test_loss, rel=1e-6)
    events = events_of(tmp_path, outcome)
    assert [e.step for e in events.Scalars("accuracy/test")] == [int(last["step"])]
    assert [e.step for e in events.Scalars("loss/test")] == [int(last["step"])]


def test_results_and_events_agree_value_by_value(recorded, tmp_path: Path) -> None:
    # With every step logged, a row has to be the mean of the events since the row before.
    outcome, _ = recorded(log_every=1)
    events = events_of(tmp_path, outcome)
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


def test_the_predictions_are_those_of_the_outcome(recorded, tmp_path: Path) -> None:
    outcome, _ = recorded()
    with np.load(run_directory(tmp_path, "cross-entropy", 0) / "predictions.npz") as file:
        assert set(file) == {"outputs", "probabilities", "predicted", "labels"}
        assert all(np.array_equal(file[name], getattr(outcome.test, name)) for name in file)


def test_the_checkpoint_is_the_evaluated_model(recorded, images, tmp_path: Path) -> None:
    outcome, _ = recorded()
    path = run_directory(tmp_path, "cross-entropy", 0) / "checkpoint.pt"
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["images"] == "SYNTHETIC"
    objective = Objective("cross-entropy")
    model = build_model(RunConfig("cross-entropy", 99, 1.0, width=4), objective)
    model.load_state_dict(checkpoint["model"])
    material = prepare(images, CPU, validation=0.25)
    loss, said = evaluate(model, objective, material.test.once("again"), material.normalise)
    assert loss == pytest.approx(outcome.test_loss)
    assert np.array_equal(said.outputs, outcome.test.outputs)


def test_a_gradient_that_is_not_there_is_told(recorded, tmp_path: Path) -> None:
    outcome, told = recorded("zero-one")
    alarms = [line for line in told if isinstance(line, str)]
    assert alarms
    assert all(line.startswith("warning: zero-one") for line in alarms)
    rows = (run_directory(tmp_path, "zero-one", 0) / "warnings.csv").read_text()
    assert alarms[0].removeprefix("warning: ") in rows
    assert any("warnings" in tag for tag in events_of(tmp_path, outcome).Tags()["tensors"])


def test_a_gradient_that_is_there_is_not(recorded, tmp_path: Path) -> None:
    _, told = recorded()
    assert all(isinstance(share, float) for share in told)
    assert not list(tmp_path.rglob("warnings.csv"))


def test_without_test_images_a_run_cannot_be_finished(recorded) -> None:
    with pytest.raises(ValueError, match="test images"):
        recorded(test=False)
