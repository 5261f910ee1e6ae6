import json

import numpy as np
import pytest

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.report.differences import minus_cross_entropy, what_would_decide
from lossbench.benchmarks.report.summary import summarise
from lossbench.benchmarks.stats.crossed import accuracy_difference
from lossbench.benchmarks.stats.sample_size import seeds_needed

from ..written_experiments import write_predictions


def correct(accuracy, count=1000):
    """Return which of `count` predictions are correct, the easiest first."""
    return np.arange(count) < round(accuracy * count)


@pytest.fixture
def predicted(tmp_path):
    """Write the predictions of losses with these accuracies by seed; return the differences."""

    def build(accuracies):
        for loss, by_seed in accuracies.items():
            for seed, accuracy in enumerate(by_seed):
                write_predictions(tmp_path, loss, seed, correct(accuracy))
        return minus_cross_entropy(
            tmp_path, {loss: dict(enumerate(by_seed)) for loss, by_seed in accuracies.items()}
        )

    return build


ENTROPY = [0.700, 0.710, 0.720, 0.705]


def test_the_numbers_are_those_of_the_crossed_interval(tmp_path):
    random = np.random.default_rng(0)
    ours, theirs = random.random((2, 4, 300)) < [[[0.8]], [[0.7]]]
    for loss, arrays in (("mse", ours), ("cross-entropy", theirs)):
        for seed, right in enumerate(arrays):
            write_predictions(tmp_path, loss, seed, right)
    accuracies = {
        loss: dict(enumerate(arrays.mean(1).tolist()))
        for loss, arrays in (("cross-entropy", theirs), ("mse", ours))
    }
    found = minus_cross_entropy(tmp_path, accuracies)
    assert list(found) == ["mse"]
    found, crossed = found["mse"], accuracy_difference(ours, theirs)
    assert found["mean"] == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert (found["n"], found["images"]) == (4, 300)
    for level, suffix in ((0.95, ""), (0.9, "_90")):
        ends = crossed.interval(level)
        assert (found[f"low{suffix}"], found[f"high{suffix}"]) == (ends.low, ends.high)
    assert found["p"] == found["p_holm"] == crossed.pvalue() < 0.05
    assert found["verdict"] == "better"
    assert found["seeds_needed"] is None


def test_verdicts(predicted):
    noise = [0.001, -0.001, 0.002, 0]
    shifts = {"better": 0.08, "worse": -0.08, "equivalent": 0.003}
    accuracies = {"cross-entropy": ENTROPY} | {
        name: [a + shift + n for a, n in zip(ENTROPY, noise, strict=True)]
        for name, shift in shifts.items()
    }
    accuracies["undecided"] = [a + s for a, s in zip(ENTROPY, [0.03, -0.03, 0.02, 0], strict=True)]
    found = predicted(accuracies)
    assert {name: each["verdict"] for name, each in found.items()} == {
        name: name for name in ("better", "worse", "equivalent", "undecided")
    }
    needed = found.pop("undecided")["seeds_needed"]
    arrays = ([correct(a) for a in accuracies[name]] for name in ("undecided", "cross-entropy"))
    assert needed == seeds_needed(accuracy_difference(*map(np.stack, arrays)), 0.02, 0.05 / 4)
    assert all(each["seeds_needed"] is None for each in found.values())


def test_a_proved_difference_within_the_margin_is_equivalent(predicted):
    found = predicted({"cross-entropy": ENTROPY, "mse": [a + 0.01 for a in ENTROPY]})["mse"]
    assert found["p_holm"] < 0.05
    assert found["high_90"] < 0.02
    assert found["verdict"] == "equivalent"


def test_what_one_comparison_decides_many_may_not(predicted):
    mse = [a + d for a, d in zip(ENTROPY, [0.02, 0.04, 0.012, 0.036], strict=True)]
    alone = {"cross-entropy": ENTROPY, "mse": mse}
    noise = np.random.default_rng(0).normal(0, 0.01, (9, 4)).round(3)
    crowd = {
        f"loss {i}": [a + n for a, n in zip(ENTROPY, row, strict=True)]
        for i, row in enumerate(noise)
    }
    found = predicted({**alone, **crowd})
    assert found["mse"]["p"] < 0.05 < found["mse"]["p_holm"]
    assert found["mse"]["p_holm"] == pytest.approx(10 * found["mse"]["p"])
    assert found["mse"]["verdict"] == "undecided"


def test_seeds_that_agree_do_not_decide_what_the_test_images_leave_open(tmp_path):
    # The same 29 images are right and the same 16 wrong in every seed: sure over seeds alone.
    place = np.arange(1000)
    for seed, accuracy in enumerate(ENTROPY):
        right = correct(accuracy)
        write_predictions(tmp_path, "cross-entropy", seed, right)
        write_predictions(tmp_path, "mse", seed, (right | (place > 970)) & (place > 15))
    accuracies = {loss: dict(enumerate(ENTROPY)) for loss in ("cross-entropy", "mse")}
    found = minus_cross_entropy(tmp_path, accuracies)["mse"]
    assert found["mean"] == pytest.approx(0.013)
    assert found["image_share"] > 0.99
    # The binomial standard error of 45 images that differ.
    assert found["high"] - found["mean"] == pytest.approx(1.96 * np.sqrt(45) / 1000, rel=0.02)
    assert found["verdict"] == "undecided"
    assert found["seeds_needed"] is None
    assert found["images_needed"] > 1000
    assert what_would_decide(found).endswith("00 test images")


def test_networks_that_agree_on_few_images_are_not_certain(tmp_path):
    for loss in ("cross-entropy", "mse"):
        for seed in range(3):
            write_predictions(tmp_path, loss, seed, correct(0.5, 20))
    same = dict.fromkeys(range(3), 0.5)
    found = minus_cross_entropy(tmp_path, {"cross-entropy": same, "mse": same})["mse"]
    assert (found["mean"], found["p"], found["verdict"]) == (0, 1, "undecided")
    assert found["low"] < -0.02 < 0.02 < found["high"]


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"verdict": "worse"}, "–"),
        ({"n": 2}, "3 seeds or more"),
        ({"images": None}, "predictions.npz"),
        ({"seeds_needed": 1000}, "1,000 seeds"),
        ({"images_needed": 12_345}, "12,000 test images"),
        ({}, "more seeds and more test images"),
    ],
)
def test_what_would_decide(known, text):
    difference = {"verdict": "undecided", "n": 3, "images": 100}
    difference |= {"seeds_needed": None, "images_needed": None}
    assert what_would_decide(difference | known) == text


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_decide_nothing(predicted, seeds):
    found = predicted({"cross-entropy": ENTROPY[:seeds], "mse": [0.9, 0.912][:seeds]})
    assert found["mse"]["verdict"] == "undecided"
    assert (found["mse"]["p"] is None) is (seeds == 1)
    assert what_would_decide(found["mse"]) == "3 seeds or more"


def test_without_predictions_nothing_is_decided(tmp_path):
    accuracies = {"cross-entropy": dict(enumerate(ENTROPY)), "mse": dict(enumerate([0.9] * 4))}
    found = minus_cross_entropy(tmp_path, accuracies)["mse"]
    assert found["mean"] == pytest.approx(0.9 - np.mean(ENTROPY))
    assert (found["low"], found["p"], found["images"]) == (None, None, None)
    assert found["verdict"] == "undecided"
    assert what_would_decide(found) == "predictions.npz"


def test_only_shared_seeds_count(tmp_path):
    accuracies = {"cross-entropy": {0: 0.7, 1: 0.8}, "mse": {1: 0.9, 2: 0.1}, "bce": {7: 0.5}}
    found = minus_cross_entropy(tmp_path, accuracies)
    assert list(found) == ["mse"]
    assert (found["mse"]["mean"], found["mse"]["n"]) == (pytest.approx(0.1), 1)
    assert minus_cross_entropy(tmp_path, {"mse": {0: 0.5}}) == {}


def test_predictions_of_other_images_are_refused(tmp_path):
    for loss, count in (("cross-entropy", 10), ("mse", 11)):
        write_predictions(tmp_path, loss, 0, correct(0.5, count))
    with pytest.raises(UserError, match="different test images"):
        minus_cross_entropy(tmp_path, {"cross-entropy": {0: 0.5}, "mse": {0: 0.5}})


def test_the_summary_holds_the_verdict(experiment):
    for loss in ("cross-entropy", "mse"):
        for seed in (0, 1):
            write_predictions(experiment, loss, seed, correct(0.6 if loss == "mse" else 0.8))
    found = json.loads(json.dumps(summarise(experiment)))["losses"]["mse"]["minus_cross_entropy"]
    assert found["mean"] == pytest.approx(-0.2)
    assert found["images"] == 1000
