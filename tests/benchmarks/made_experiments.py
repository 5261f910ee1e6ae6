"""An experiment as `lossbench compare` leaves it, made of arithmetic instead of training."""

import json
from pathlib import Path

import numpy as np
import torch

from lossbench.benchmarks.records.events import EventFile
from lossbench.benchmarks.records.gradient_stats import FLOOR
from lossbench.benchmarks.records.results import Evaluation, append_row
from lossbench.benchmarks.stats.intervals import mean_interval

from .rows import rows_of
from .samples import gradient_stats

LOSSES = ("cross-entropy", "sigmoid-mse", "zero-one")
PER_EPOCH, STEPS = 40, 80
LABELS = np.arange(40) % 2


def make_experiment(directory: Path, seeds: int = 3) -> Path:
    """Write the experiment: experiment.json, results.csv, the summary, a directory per run."""
    directory.mkdir(parents=True)
    config = {"model": "convnet", "epochs": 2, "batch_size": 64, "start": "normal", "seeds": seeds}
    rates = {"learning_rate": 0.1, "learning_rates": {"sigmoid-mse": 0.5}}
    about = {
        "config": config | rates | {"losses": LOSSES},
        "data": {"name": "synthetic", "classes": ["dog", "fox"]},
    }
    (directory / "experiment.json").write_text(json.dumps(about))
    table = "| loss | test accuracy |\n| --- | --- |\n| cross-entropy | 74.1 ± 1.4 |"
    (directory / "summary.md").write_text(
        f"# made\n\n![chart](comparison.png)\n\n## Numbers\n\n{table}\n"
    )
    for seed in range(seeds):
        for number, loss in enumerate(LOSSES):
            make_run(directory, loss, seed, number)
    write_summary(directory)
    return directory


def write_summary(directory: Path) -> None:
    """Write summary.json, as far as TensorBoard's table needs it."""
    last = [row for row in rows_of(directory) if row["test_accuracy"] != "nan"]
    found = {}
    for loss in LOSSES:
        accuracies = [float(row["test_accuracy"]) for row in last if row["loss"] == loss]
        found[loss] = {
            "test_accuracy": mean_interval(accuracies).as_dict(),
            "minus_cross_entropy": None if loss == "cross-entropy" else {"mean": -0.01},
            "gradient": {"vanished_fraction": {"first": 0.0, "last": 0.5}},
        }
    (directory / "summary.json").write_text(json.dumps({"losses": found}))


def make_run(directory: Path, loss: str, seed: int, number: int) -> None:
    """Write the events, rows and predictions of a run."""
    rng = np.random.default_rng(100 * number + seed)
    learns = loss != "zero-one"
    path = directory / loss / f"seed{seed}"
    path.mkdir(parents=True)
    with EventFile(path) as events:
        for step in range(0, STEPS + 1, 5):
            done, last = step / STEPS, step == STEPS
            push = learns * (0.5 - 0.2 * done) / (number + 1)
            accuracy = 0.5 + learns * (0.3 - 0.02 * number) * done**0.5 + rng.normal(0, 0.01)
            stats = gradient_stats(
                loss=0.7 - 0.3 * learns * done + rng.normal(0, 0.01),
                accuracy=accuracy,
                logit_mean_abs=push * rng.uniform(0.9, 1.1),
                logit_when_wrong=push * rng.uniform(1.3, 1.5) if step else float("nan"),
                vanished_fraction=float(not learns),
                parameter_norm=2 * push * rng.uniform(0.9, 1.1),
                layers={"body.weight": push / 2, "body.bias": push / 4, "head.weight": push},
                logit_log10=torch.tensor(rng.normal(np.log10(max(push, FLOOR)), 0.2, 64)),
            )
            events.training(min(step, STEPS - 1), stats)
            if step % (PER_EPOCH // 4) and not last:
                continue
            events.evaluation(step, 1 - accuracy, accuracy)
            test = (1.1 - accuracy, accuracy - 0.01) if last else (float("nan"), float("nan"))
            events.test(step, *test)
            row = Evaluation(
                loss=loss,
                seed=seed,
                epoch=step / PER_EPOCH,
                step=step,
                validation_loss=1 - accuracy,
                validation_accuracy=accuracy,
                test_loss=test[0],
                test_accuracy=test[1],
            )
            append_row(directory / "results.csv", row)
    probabilities = rng.dirichlet([1, 1], len(LABELS)).astype(np.float32)
    np.savez(path / "predictions.npz", probabilities=probabilities, labels=LABELS)
