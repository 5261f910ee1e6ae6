import json

import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.report.differences import minus_cross_entropy
from lossbench.benchmarks.report.summary import summarise
from lossbench.benchmarks.stats.intervals import bootstrap_difference

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


def test_the_numbers_are_those_of_scipy_and_the_bootstrap(predicted):
    mse = [0.712, 0.718, 0.735, 0.714]
    found = predicted({"cross-entropy": ENTROPY, "mse": mse})
    assert list(found) == ["mse"]
    test = stats.ttest_rel(mse, ENTROPY)
    low, high = test.confidence_interval(0.95)
    assert found["mse"]["mean"] == pytest.approx(np.mean(mse) - np.mean(ENTROPY))
    assert (found["mse"]["low"], found["mse"]["high"]) == pytest.approx((low, high))
    assert found["mse"]["p"] == found["mse"]["p_holm"] == pytest.approx(test.pvalue)
    ours, theirs = (np.stack([correct(a) for a in each]) for each in (mse, ENTROPY))
    assert found["mse"]["examples"] == bootstrap_difference(ours, theirs).as_dict()


def test_verdicts(predicted):
    shifts = {"better": 0.03, "worse": -0.03}
    noise = [0.001, -0.001, 0.002, 0]
    accuracies = {"cross-entropy": ENTROPY} | {
        name: [a + shift + n for a, n in zip(ENTROPY, noise, strict=True)]
        for name, shift in shifts.items()
    }
    accuracies["undecided"] = [a + s for a, s in zip(ENTROPY, [0.03, -0.03, 0.02, 0], strict=True)]
    found = predicted(accuracies)
    assert {name: each["verdict"] for name, each in found.items()} == {
        name: name for name in ("better", "worse", "undecided")
    }


def test_what_one_comparison_decides_many_may_not(predicted):
    mse = [a + d for a, d in zip(ENTROPY, [0.02, 0.03, 0.012, 0.03], strict=True)]
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
    # The same image of a thousand more in every seed: sure over seeds, and chance over images.
    for seed, accuracy in enumerate(ENTROPY):
        right = correct(accuracy)
        write_predictions(tmp_path, "cross-entropy", seed, right)
        write_predictions(tmp_path, "mse", seed, right | (np.arange(1000) == 999))
    accuracies = {"cross-entropy": ENTROPY, "mse": [a + 0.001 for a in ENTROPY]}
    found = minus_cross_entropy(
        tmp_path, {loss: dict(enumerate(each)) for loss, each in accuracies.items()}
    )
    assert found["mse"]["p_holm"] < 1e-9
    assert found["mse"]["examples"]["low"] == 0
    assert found["mse"]["verdict"] == "undecided"


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_decide_nothing(predicted, seeds):
    found = predicted({"cross-entropy": ENTROPY[:seeds], "mse": [0.9, 0.912][:seeds]})
    assert found["mse"]["verdict"] == "undecided"
    assert (found["mse"]["p"] is None) is (seeds == 1)


def test_without_predictions_nothing_is_decided(tmp_path):
    accuracies = {"cross-entropy": dict(enumerate(ENTROPY)), "mse": dict(enumerate([0.9] * 4))}
    found = minus_cross_entropy(tmp_path, accuracies)["mse"]
    assert found["p_holm"] < 0.001
    assert found["examples"] is None
    assert found["verdict"] == "undecided"


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
    assert found["examples"]["mean"] == pytest.approx(-0.2)
    assert found["examples"]["n"] == 1000
