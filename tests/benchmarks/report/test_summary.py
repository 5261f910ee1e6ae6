import json
import math
import re

import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.records.results import GradientWarning
from lossbench.benchmarks.report import table
from lossbench.benchmarks.report.identities import identities_table
from lossbench.benchmarks.report.summary import summarise, warning_lines

from ..written_experiments import describe, evaluations, write_experiment


def warning(loss, seed, kind, layer, step, text) -> GradientWarning:
    return GradientWarning(loss, seed, kind, layer, step, 0.0, text)


def test_the_numbers(experiment):
    summary = summarise(experiment)
    assert summary["experiment"] == "tiny"
    assert summary["synthetic"] is False
    assert summary["note"] is None
    assert summary["start"] == "normal"
    assert summary["chance"] == 0.6  # 12 dogs among 20
    assert summary["test_images"] == 20
    assert summary["seeds"] == [0, 1]
    assert summary["finished_runs"] == 4
    assert summary["unfinished_runs"] == []
    assert list(summary["losses"]) == ["cross-entropy", "mse"]
    entropy = summary["losses"]["cross-entropy"]
    low, high = stats.ttest_1samp([0.7, 0.8], 0).confidence_interval(0.95)
    assert entropy["test_accuracy"] == {
        "mean": pytest.approx(0.75),  # of the final epoch; the best was 0.9
        "low": pytest.approx(low),
        "high": pytest.approx(high),
        "n": 2,
        "per_seed": {"0": 0.7, "1": 0.8},
        "diverged": [],
    }
    assert entropy["gradient"] == {
        "logit_mean_abs": {"first": 0.5, "last": pytest.approx(0.3)},
        "logit_when_wrong": {"first": 0.6, "last": None},
        "vanished_fraction": {"first": 0, "last": 0.25},
        "parameter_norm": {"first": 2, "last": 0.5},
    }
    assert entropy["minus_cross_entropy"] is None
    assert entropy["validation_accuracy"] == pytest.approx(0.75)
    assert summary["classes"] == ["dog", "cat"]
    assert summary["tuned"] is False
    assert summary["curve"] == "validation_accuracy"
    assert summary["warnings"] == []
    assert entropy["seconds"] == 3
    assert entropy["images_per_second"] == 200


def test_a_mean_skips_the_seed_without_a_value(experiment):
    # Seed 1 starts at 1 and ends with a nan.
    measured = summarise(experiment)["losses"]["mse"]["gradient"]["logit_mean_abs"]
    assert measured == {"first": 0.75, "last": pytest.approx(0.3)}


def test_an_interrupted_experiment(tmp_path):
    rows = [
        *evaluations("cross-entropy", 0, [0.5, 0.6, 0.7]),
        *evaluations("cross-entropy", 1, [0.5, 0.99]),
        *evaluations("mse", 0, [0.5, 0.6, 0.8]),
        *evaluations("mse", 1, [0.5, 0.6, 0.4]),
    ]
    about = describe(losses=["cross-entropy", "mse", "nll"])
    summary = summarise(write_experiment(tmp_path / "e", about, rows))
    assert summary["finished_runs"] == 3
    assert summary["unfinished_runs"] == [
        {"loss": "cross-entropy", "seed": 1, "epoch": 1, "failure": None},
        {"loss": "nll", "seed": 0, "epoch": None, "failure": None},
        {"loss": "nll", "seed": 1, "epoch": None, "failure": None},
    ]
    assert list(summary["losses"]) == ["cross-entropy", "mse"]
    assert summary["losses"]["cross-entropy"]["test_accuracy"]["mean"] == 0.7
    difference = summary["losses"]["mse"]["minus_cross_entropy"]
    assert difference["mean"] == pytest.approx(0.1)  # seed 0 alone is in both
    assert (difference["low"], difference["high"], difference["n"]) == (None, None, 1)


def test_one_loss_one_seed_without_cross_entropy(tmp_path):
    directory = write_experiment(
        tmp_path / "e", describe(seeds=[3]), evaluations("mse", 3, [0.5, 0.6, "nan"])
    )
    summary = summarise(directory)
    assert summary["seeds"] == [3]
    loss = summary["losses"]["mse"]
    assert loss["minus_cross_entropy"] is None
    accuracy = {"mean": 0.6, "low": None, "high": None, "n": 1, "per_seed": {"3": 0.6}}
    assert loss["test_accuracy"] == accuracy | {"diverged": [3]}


def test_chance_is_the_share_of_the_largest_test_class(experiment):
    path = experiment / "experiment.json"
    about = json.loads(path.read_text())
    for counts, chance in (([5, 3, 2], 0.5), ([1, 9], 0.9), ([], None), ([0, 0], None)):
        about["data"]["test_counts"] = counts
        path.write_text(json.dumps(about))
        assert summarise(experiment)["chance"] == chance


def test_warnings_of_the_images_come_first(experiment):
    path = experiment / "experiment.json"
    about = json.loads(path.read_text())
    about["data"]["warnings"] = ["only 2 test images"]
    path.write_text(json.dumps(about))
    assert summarise(experiment)["warnings"] == ["only 2 test images"]


def test_warnings_are_one_line_per_loss_and_kind():
    warnings = [
        warning("mse", 1, "exploded", "head", 5, "mse, seed 1: head exploded"),
        GradientWarning(
            "zero-one", 0, "vanished", "logit", 10, 0.0, "zero-one, seed 0: logit vanished."
        ),
        GradientWarning(
            "zero-one", 0, "vanished", "head", 20, 0.0, "zero-one, seed 0: head vanished."
        ),
        GradientWarning(
            "zero-one", 2, "vanished", "logit", 30, 0.0, "zero-one, seed 2: logit vanished."
        ),
    ]
    assert warning_lines(warnings) == [
        "mse, seed 1: head exploded.",
        "zero-one, seed 0: logit vanished. 2 more such warnings, with seeds 0, 2.",
    ]
    assert warning_lines(warnings[1:3])[0].endswith("1 more such warning, with seed 0.")


def test_a_network_that_has_diverged_is_at_chance_in_every_table(tmp_path):
    """Outputs that are no numbers give predictions of class 0, which here is the rarer one."""
    labels = np.array([0] * 8 + [1] * 12)
    about = describe(losses=["cross-entropy", "mse"])
    about["data"]["test_counts"] = [8, 12]
    right = {"cross-entropy": [16, 18], "mse": [14, None]}
    rows = []
    for loss, counts in right.items():
        for seed, count in enumerate(counts):
            accuracy = math.nan if count is None else count / 20
            rows += evaluations(loss, seed, [0.5, 0.6, accuracy])
            predicted = np.where(np.arange(20) < (count or 0), labels, 1 - labels)
            path = tmp_path / "e" / loss / f"seed{seed}"
            path.mkdir(parents=True)
            predicted = np.zeros(20, int) if count is None else predicted
            np.savez(path / "predictions.npz", predicted=predicted, labels=labels)
    about["identities"] = {"nll": {"of": "mse", "factor": 1.0, "difference": 0.0}}
    about["config"]["losses"].append("nll")
    rows += evaluations("nll", 0, [0.5, 0.6, math.nan])
    summary = summarise(write_experiment(tmp_path / "e", about, rows))
    found = summary["losses"]["mse"]
    assert found["test_accuracy"]["mean"] == pytest.approx((0.7 + 0.6) / 2)
    assert found["test_accuracy"]["per_seed"] == {"0": 0.7, "1": 0.6}
    assert found["test_accuracy"]["diverged"] == [1]
    assert found["test_accuracy"]["n"] == found["minus_cross_entropy"]["n"] == 2
    assert found["minus_cross_entropy"]["mean"] == pytest.approx((0.7 + 0.6 - 0.8 - 0.9) / 2)
    (entropy, mse, chance) = (row[:2] for row in table.rows(summary))
    assert "diverged" not in entropy[1]
    assert re.fullmatch(r"65.0 ± 63.5 \(1 diverged\)", mse[1])
    assert chance == ("chance", "60.0")
    assert identities_table(summary).rows[0][4:] == ("60.0 (diverged)", "70.0")
    found["test_accuracy"]["diverged"] = [0, 1]
    assert table.rows(summary)[1][1].endswith("(diverged)")
