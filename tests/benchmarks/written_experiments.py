"""Small experiments whose every number is made up and known."""

import csv
import json

import numpy as np
import pytest

from lossbench.benchmarks.records.reading import COLUMNS

CLASSES = ("dog", "cat")


def describe(name="tiny", **config):
    """Return experiment.json as a dictionary; keywords replace what stands in its config."""
    return {
        "name": name,
        "command": "lossbench compare --seeds 2",
        "date": "2020-01-01T00:00:00+00:00",
        "synthetic": False,
        "config": {
            "losses": [],
            "epochs": 2,
            "seeds": [0, 1],
            "start": "normal",
            "validation": 0.1,
            "tuned": False,
            "learning_rate": 0.1,
            "learning_rates": {},
            **config,
        },
        "data": {
            "name": "made-up",
            "description": "no images at all",
            "fingerprint": "f1n9e5",
            "classes": list(CLASSES),
            "train": 30,
            "validation": 4,
            "test": 20,
            "train_counts": [15, 15],
            "validation_counts": [2, 2],
            "test_counts": [12, 8],
            "skipped": [],
        },
        "model": {"name": "convnet", "parameters": 1234},
        "versions": {"torch": "0.0"},
        "hardware": {"processor": "abacus", "cores": 2, "threads": 2, "gpu": None},
        "git": None,
    }


def evaluations(loss, seed, accuracies, **columns):
    """Return the rows of a run, one per epoch, with these accuracies on validation images.

    The last accuracy is also that on the test images.
    """
    rows = []
    for epoch, accuracy in enumerate(accuracies):
        row = dict.fromkeys(COLUMNS, "")
        row |= {"loss": loss, "seed": seed, "epoch": epoch, "step": 10 * epoch}
        row |= {"validation_accuracy": accuracy, "seconds": 1.5 * epoch}
        row |= {"test_accuracy": "nan", "test_loss": "nan"}
        row |= {name: values[epoch] for name, values in columns.items()}
        rows.append(row)
    if "test_accuracy" not in columns:
        rows[-1]["test_accuracy"] = accuracies[-1]
    return rows


def write_experiment(directory, about, rows):
    """Write both files into a directory, and return it."""
    directory.mkdir(exist_ok=True)
    (directory / "experiment.json").write_text(json.dumps(about), encoding="utf-8")
    with (directory / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return directory


@pytest.fixture
def experiment(tmp_path):
    """Return an experiment of two losses, two seeds and two epochs.

    All runs are finished; best accuracies are not the final ones.
    """
    gradient = {
        "logit_mean_abs": [0.5, 0.4, 0.3],
        "logit_when_wrong": [0.6, 0.7, ""],
        "vanished_fraction": [0, 0, 0.25],
        "parameter_norm": [2, 1, 0.5],
        "images_per_second": [7, 100, 300],
    }
    rows = [
        *evaluations("cross-entropy", 0, [0.5, 0.9, 0.7], **gradient),
        *evaluations("cross-entropy", 1, [0.5, 0.9, 0.8], **gradient),
        *evaluations("mse", 0, [0.5, 0.5, 0.6], **gradient),
        *evaluations("mse", 1, [0.5, 0.5, 0.6], **(gradient | {"logit_mean_abs": [1, 1, "nan"]})),
    ]
    about = describe(losses=["cross-entropy", "mse"])
    return write_experiment(tmp_path / "experiment", about, rows)


def write_predictions(directory, loss, seed, right):
    """Write predictions.npz of a run, given which of its answers are right; return its path."""
    labels = np.arange(len(right)) % len(CLASSES)
    predicted = np.where(right, labels, 1 - labels)
    path = directory / loss / f"seed{seed}" / "predictions.npz"
    path.parent.mkdir(parents=True)
    np.savez_compressed(
        path,
        outputs=np.zeros((len(right), 1), np.float32),
        probabilities=np.eye(2, dtype=np.float32)[predicted],
        predicted=predicted.astype(np.int64),
        labels=labels.astype(np.int64),
    )
    return path
