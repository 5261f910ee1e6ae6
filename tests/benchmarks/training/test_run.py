import csv
import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import models
from benchmarks.config import CONFIDENTLY_WRONG, Comparison
from benchmarks.data.batches import evaluation_batches, measure, on_device, prepare
from benchmarks.training.objective import Objective
from benchmarks.training.run import Run, build, evaluate, one_cycle, train
from losses import registry

CPU = torch.device("cpu")
SMALL = Comparison(width=4, epochs=2, batch_size=16, learning_rate=0.02, log_every=2, evaluations=1)
SCALARS = {
    "loss/train",
    "loss/test",
    "accuracy/train",
    "accuracy/test",
    "gradient/logit_mean_abs",
    "gradient/logit_when_wrong",
    "gradient/vanished_fraction",
    "gradient/parameter_norm",
    "speed/images_per_second",
}


def trained(directory: Path, images, loss: str = "cross-entropy", **settings):
    run = Run(loss, settings.pop("seed", 0), directory)
    config = dataclasses.replace(SMALL, **settings)
    notes: list[tuple[int, int, str]] = []
    last = train(run, config, prepare(images, CPU), "SYNTHETIC", lambda *now: notes.append(now))
    return run, last, notes


def rows_of(directory: Path) -> list[dict[str, str]]:
    with (directory / "results.csv").open() as file:
        return list(csv.DictReader(file))


def events_of(run: Run) -> EventAccumulator:
    return EventAccumulator(str(run.path), size_guidance={"scalars": 0, "histograms": 0}).Reload()


@pytest.mark.parametrize("loss", registry.names())
def test_the_runs_of_a_seed_begin_as_the_same_function(loss: str, images) -> None:
    for start in ("normal", "confidently-wrong"):
        config = dataclasses.replace(SMALL, start=start)
        probabilities = []
        for name in ("bce-with-logits", loss):
            objective = Objective(name)
            model = build(config, 7, objective).eval()
            ((pixels, _),) = evaluation_batches(
                on_device(images.test, CPU), measure(images.train, CPU)
            )
            z = objective.logits(model(pixels))
            probabilities.append(torch.sigmoid(z if z.dim() == 1 else z[:, 1] - z[:, 0]))
        torch.testing.assert_close(*probabilities)
        if start == "confidently-wrong":
            assert probabilities[0].max() < 10 * CONFIDENTLY_WRONG


@pytest.mark.parametrize("loss", registry.names())
def test_a_run_leaves_its_files_tags_and_rows(loss: str, images, tmp_path: Path) -> None:
    run, last, notes = trained(tmp_path, images, loss)
    steps, per_epoch = 12, 6
    assert {p.name for p in run.path.iterdir() if "tfevents" not in p.name} == {
        "config.json",
        "checkpoint.pt",
    }
    config = json.loads((run.path / "config.json").read_text())
    assert (config["loss"], config["seed"], config["width"]) == (loss, 0, 4)
    assert config["images"] == "SYNTHETIC"

    rows = rows_of(tmp_path)
    assert [(float(r["epoch"]), int(r["step"])) for r in rows] == [(0, 0), (1, 6), (2, 12)]
    assert {r["images"] for r in rows} == {"SYNTHETIC"}
    assert float(rows[-1]["test_accuracy"]) == pytest.approx(last.test_accuracy, abs=1e-6)

    events = events_of(run)
    tags = set(events.Tags()["scalars"])
    layers = {t for t in tags if t.startswith("gradient/layer/")}
    assert tags - layers == SCALARS
    assert "gradient/layer/head.weight" in layers
    assert len(layers) == 11
    assert events.Tags()["histograms"] == ["gradient/logit_log10"]
    logged = [e.step for e in events.Scalars("gradient/logit_mean_abs")]
    assert logged == [0, 2, 4, 6, 8, 10, 11]
    assert [e.step for e in events.Scalars("accuracy/test")] == [0, per_epoch, steps]
    assert notes[0][0] == 0
    assert all(n[1] == steps for n in notes)


def test_results_and_events_agree_value_by_value(images, tmp_path: Path) -> None:
    # With every step logged, a row has to be the mean of the events since the row before.
    run, _, _ = trained(tmp_path, images, log_every=1)
    events = events_of(run)
    since = -1
    for row in rows_of(tmp_path):
        step = int(row["step"])
        for column, tag in {"test_loss": "loss/test", "test_accuracy": "accuracy/test"}.items():
            (value,) = [e.value for e in events.Scalars(tag) if e.step == step]
            assert value == pytest.approx(float(row[column]), rel=1e-6)
        for column, tag in {
            "train_loss": "loss/train",
            "train_accuracy": "accuracy/train",
            "logit_mean_abs": "gradient/logit_mean_abs",
            "parameter_norm": "gradient/parameter_norm",
        }.items():
            values = [e.value for e in events.Scalars(tag) if since < e.step <= step]
            assert sum(values) / len(values) == pytest.approx(float(row[column]), rel=1e-5)
        since = step


def test_a_run_that_diverges_has_no_accuracy(images, tmp_path: Path) -> None:
    _, last, _ = trained(tmp_path, images, "mse", learning_rate=1e30)
    assert math.isnan(last.test_accuracy)
    assert math.isnan(last.vanished_fraction)


class Dropping(torch.nn.Sequential):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(
            torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(3072, num_outputs)
        )


def test_what_a_model_draws_while_it_trains_is_paired_too(monkeypatch) -> None:
    monkeypatch.setattr(models, "build", lambda *_, **__: Dropping(1))
    drawn = []
    for name in ("bce-with-logits", "cross-entropy"):
        build(SMALL, 5, Objective(name))
        drawn.append(torch.rand(8))
    assert torch.equal(*drawn)


def test_the_checkpoint_is_the_evaluated_model(images, tmp_path: Path) -> None:
    run, last, _ = trained(tmp_path, images)
    checkpoint = torch.load(run.path / "checkpoint.pt", weights_only=True)
    assert checkpoint["images"] == "SYNTHETIC"
    objective = Objective("cross-entropy")
    model = build(SMALL, 99, objective)
    model.load_state_dict(checkpoint["model"])
    loss, accuracy = evaluate(model, objective, prepare(images, CPU))
    assert (loss, accuracy) == (pytest.approx(last.test_loss), last.test_accuracy)


def test_a_network_learns(images, tmp_path: Path) -> None:
    _, last, _ = trained(tmp_path, images, epochs=4)
    assert last.test_accuracy > 0.9


def test_the_count_of_errors_moves_nothing(images, tmp_path: Path) -> None:
    run, _, _ = trained(tmp_path, images, "zero-one")
    after = torch.load(run.path / "checkpoint.pt", weights_only=True)["model"]
    before = build(SMALL, 0, Objective("zero-one")).named_parameters()
    assert all(torch.equal(p, after[name]) for name, p in before)
    assert {float(r["parameter_norm"]) for r in rows_of(tmp_path)} == {0.0}


def test_one_seed_twice_gives_the_same_bits(images, tmp_path: Path) -> None:
    weights = []
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        run, _, _ = trained(tmp_path / part, images, seed=3)
        weights.append(torch.load(run.path / "checkpoint.pt", weights_only=True)["model"])
    assert all(torch.equal(a, b) for a, b in zip(*(w.values() for w in weights), strict=True))


def test_measuring_more_often_changes_nothing_but_the_log(images, tmp_path: Path) -> None:
    finals = []
    for every in (1, 100):
        (tmp_path / str(every)).mkdir()
        finals.append(trained(tmp_path / str(every), images, log_every=every)[1])
    assert finals[0].test_loss == finals[1].test_loss


def test_the_start_is_evaluated_before_any_step(images, tmp_path: Path) -> None:
    trained(tmp_path, images, "bce-with-logits", start="confidently-wrong")
    first = rows_of(tmp_path)[0]
    assert float(first["test_accuracy"]) == 0.5
    # Half the images are cats, and each of them costs about -ln 0.0003.
    assert float(first["test_loss"]) == pytest.approx(-math.log(CONFIDENTLY_WRONG) / 2, rel=0.2)
    assert float(first["logit_when_wrong"]) > 0.99


def test_evaluation_leaves_the_model_in_training_mode(images) -> None:
    objective = Objective("bce")
    model = build(SMALL, 0, objective)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    evaluate(model, objective, prepare(images, CPU))
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_evaluations_are_spread_over_the_epoch(images, tmp_path: Path) -> None:
    _, last, _ = trained(tmp_path, images, evaluations=4)
    rows = [(float(r["epoch"]), int(r["step"])) for r in rows_of(tmp_path)]
    assert [step for _, step in rows] == [0, 1, 3, 4, 6, 7, 9, 10, 12]
    assert all(epoch == pytest.approx(step / 6, rel=1e-6) for epoch, step in rows)
    assert last.epoch == 2


@pytest.mark.parametrize("often", [6, 50])
def test_every_step_can_be_evaluated(images, tmp_path: Path, often: int) -> None:
    trained(tmp_path, images, evaluations=often)
    rows = rows_of(tmp_path)
    assert [int(r["step"]) for r in rows] == list(range(13))
    assert rows[-1]["parameter_norm"] == rows[-2]["parameter_norm"] != rows[-3]["parameter_norm"]


def test_evaluating_more_often_changes_nothing_but_the_log(images, tmp_path: Path) -> None:
    finals = []
    for often in (1, 3):
        (tmp_path / str(often)).mkdir()
        finals.append(trained(tmp_path / str(often), images, evaluations=often)[1])
    assert finals[0].test_loss == finals[1].test_loss


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 312])
def test_one_cycle_rises_for_a_quarter_and_falls_to_nothing(steps: int) -> None:
    rates = [one_cycle(step, steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = max(range(steps), key=rates.__getitem__)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak <= steps / 4 + 1
