import numpy as np
import pytest

from lossbench.benchmarks.stats.metrics import (
    balanced_accuracy,
    brier,
    expected_calibration_error,
    reliability,
)


def predictions(count=500, classes=4, seed=0):
    random = np.random.default_rng(seed)
    return random.dirichlet([0.5] * classes, count), random.integers(0, classes, count)


def test_reliability_by_hand():
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.3, 0.7], [0.25, 0.75]])
    y = np.array([0, 0, 1, 1, 1])
    confidence, accuracy, count = reliability(p, y, bins=4)
    # Of (0, 1/4], (1/4, 1/2], (1/2, 3/4], (3/4, 1]: 0.75 belongs to the third.
    assert count.tolist() == [0, 0, 3, 2]
    assert np.isnan(confidence[:2]).all()
    assert np.isnan(accuracy[:2]).all()
    assert confidence[2:] == pytest.approx([2 / 3, 0.85])
    assert accuracy[2:] == pytest.approx([1, 0.5])
    expected = 3 / 5 * (1 - 2 / 3) + 2 / 5 * (0.85 - 0.5)
    assert expected_calibration_error(p, y, bins=4) == pytest.approx(expected)


@pytest.mark.parametrize("bins", [1, 2, 15])
def test_calibration_error_bin_by_bin(bins):
    p, y = predictions()
    total = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = [i for i in range(len(y)) if low < max(p[i]) <= high]
        right = sum(int(np.argmax(p[i])) == y[i] for i in inside)
        total += abs(right - sum(max(p[i]) for i in inside)) / len(y)
    assert expected_calibration_error(p, y, bins) == pytest.approx(total)


def test_brier_expanded():
    # sum (p - t)² = sum p² - 2 p_right + 1.
    p, y = predictions()
    expected = np.mean([sum(row**2) - 2 * row[k] + 1 for row, k in zip(p, y, strict=True)])
    assert brier(p, y) == pytest.approx(expected)
    assert brier(np.eye(2), np.array([1, 0])) == 2
    assert brier(np.eye(2), np.array([0, 1])) == 0


def test_balanced_accuracy_by_hand():
    labels = np.array([0] * 8 + [1] * 2)
    assert balanced_accuracy(np.zeros(10, int), labels) == 0.5
    assert balanced_accuracy(np.array([0] * 6 + [1] * 3 + [0]), labels) == 0.625
    assert balanced_accuracy(labels, labels) == 1
    # A class that is guessed and never there counts as wrong answers and not as a class.
    assert balanced_accuracy(np.array([2, 1]), np.array([0, 1])) == 0.5


@pytest.mark.parametrize("measure", [expected_calibration_error, brier, reliability])
def test_bad_arguments(measure):
    half = np.full((2, 2), 0.5)
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(3,\)"):
        measure(half, np.array([0, 1, 1]))
    with pytest.raises(ValueError, match="labels must be integers from 0 to 1"):
        measure(half, np.array([0, 2]))
    with pytest.raises(ValueError, match="labels must be integers"):
        measure(half, np.array([0.0, 1.0]))
    for bad in (np.nan, -0.5, 1.5, 0.7):
        with pytest.raises(ValueError, match="sum to 1"):
            measure(np.array([[bad, 0.5], [0.5, 0.5]]), np.array([0, 1]))
    with pytest.raises(ValueError, match="need probabilities"):
        measure(np.empty((0, 2)), np.empty(0, int))


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="bins"):
        reliability(np.eye(2), np.array([0, 1]), bins=0)
    with pytest.raises(ValueError, match="one shape"):
        balanced_accuracy([0, 1], [0])
    with pytest.raises(ValueError, match="one shape"):
        balanced_accuracy([], [])
