"""Small experiments whose every number is made up and known."""

import csv
import json

import pytest

from benchmarks.report.reading import COLUMNS


@pytest.fixture(scope="session")
def describe():
    """experiment.json as a dictionary; keywords replace what stands at its top or in config."""

    def build(name="tiny", *, synthetic=False, **config):
        return {
            "name": name,
            "command": "lossbench compare --seeds 2",
            "date": "2020-01-01T00:00:00+00:00",
            "synthetic": synthetic,
            "config": {"losses": [], "epochs": 2, "seeds": [0, 1], "start": "normal", **config},
            "data": {
                "name": "made-up",
                "description": "no images at all",
                "fingerprint": "f1n9e5",
                "train": 30,
                "test": 20,
                "train_cats": 15,
                "test_cats": 8,
                "skipped": [],
            },
            "model": {"name": "convnet", "parameters": 1234},
            "versions": {"torch": "0.0"},
            "hardware": {"processor": "abacus", "cores": 2, "threads": 2, "gpu": None},
            "git": None,
        }

    return build


@pytest.fixture(scope="session")
def evaluations():
    """The rows of one run: start, epoch 1 and epoch 2, with the given test accuracies."""

    def build(loss, seed, accuracies, **columns):
        rows = []
        for epoch, accuracy in enumerate(accuracies):
            row = dict.fromkeys(COLUMNS, "")
            row |= {"loss": loss, "seed": seed, "epoch": epoch, "step": 10 * epoch}
            row |= {"test_accuracy": accuracy, "seconds": 1.5 * epoch}
            row |= {name: values[epoch] for name, values in columns.items()}
            rows.append(row)
        return rows

    return build


@pytest.fixture(scope="session")
def write_experiment():
    """Writes both files into a directory, and returns it."""

    def write(directory, about, rows):
        directory.mkdir(exist_ok=True)
        (directory / "experiment.json").write_text(json.dumps(about), encoding="utf-8")
        with (directory / "results.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return directory

    return write


@pytest.fixture
def experiment(tmp_path, describe, evaluations, write_experiment):
    """Two losses, two seeds, two epochs, all finished; best accuracies are not the final ones."""
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
