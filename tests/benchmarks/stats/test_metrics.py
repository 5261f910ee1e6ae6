import numpy as np
import pytest

from lossbench.benchmarks.stats.metrics import (
    area_under_curve,
    brier,
    debiased_calibration_error,
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


@pytest.mark.parametrize("bins", [1, 2, 15])
def test_calibration_error_bin_by_bin(bins):
    p, y = predictions()
    total = 0.0
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        inside = [i for i in range(len(y)) if low < max(p[i]) <= high]
        if len(inside) > 1:
            right = np.array([int(np.argmax(p[i])) == y[i] for i in inside], float)
            gap = right.mean() - np.mean([max(p[i]) for i in inside])
            total += len(inside) / len(y) * (gap**2 - right.var(ddof=1) / len(inside))
    expected = np.sqrt(max(total, 0))
    assert debiased_calibration_error(p, y, bins) == pytest.approx(expected, abs=1e-12)


def calibrated(count, seed, factor=1.0):
    """Probabilities of log-odds times `factor`, with labels drawn from the log-odds themselves."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1.5, count)
    f = 1 / (1 + np.exp(-factor * z))
    labels = (random.random(count) < 1 / (1 + np.exp(-z))).astype(int)
    return np.stack([1 - f, f], 1), labels


def test_right_probabilities_have_a_debiased_square_of_0():
    """The mean over test sets of what is below the root, which a plain square is not."""
    found, plain = [], []
    for seed in range(300):
        p, y = calibrated(400, seed)
        confidence, accuracy, count = reliability(p, y)
        weights = np.where(count > 1, count, 0)[count > 0] / len(y)
        gap = (accuracy - confidence)[count > 0] ** 2
        chance = (accuracy * (1 - accuracy) / np.maximum(count - 1, 1))[count > 0]
        found.append(weights @ (gap - chance))
        plain.append(weights @ gap)
        root = float(debiased_calibration_error(p, y))
        assert root == pytest.approx(np.sqrt(max(found[-1], 0)), abs=1e-9)
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert np.mean(plain) > 10 * np.std(plain) / np.sqrt(len(plain))


def test_weights_are_repeated_examples():
    p, y = calibrated(60, 1, factor=3.0)
    weights = np.random.default_rng(2).integers(0, 4, (5, 60))
    found = debiased_calibration_error(p, y, weights=weights)
    for each, w in zip(found, weights, strict=True):
        rows = np.repeat(np.arange(60), w)
        assert each == pytest.approx(float(debiased_calibration_error(p[rows], y[rows])))


@pytest.mark.parametrize("digits", [0, 1, 9])
def test_area_under_the_curve_is_the_probability_of_a_higher_score(digits):
    random = np.random.default_rng(3)
    y = random.integers(0, 2, 200)
    z = np.round(random.normal(y, 1.0), digits)  # with ties
    ones, zeros = z[y == 1][:, None], z[y == 0][None, :]
    expected = np.mean((ones > zeros) + 0.5 * (ones == zeros))
    assert area_under_curve(z, y) == pytest.approx(expected)
    assert area_under_curve(-z, y) == pytest.approx(1 - expected)


def test_area_under_the_curve_of_bad_arguments():
    with pytest.raises(ValueError, match="both classes"):
        area_under_curve(np.zeros(3), np.ones(3, int))
    with pytest.raises(ValueError, match="finite"):
        area_under_curve(np.array([np.nan, 1.0]), np.array([0, 1]))
    with pytest.raises(ValueError, match="one shape"):
        area_under_curve(np.zeros(3), np.array([0, 1]))


def test_brier_expanded():
    # sum (p - t)² = sum p² - 2 p_right + 1.
    p, y = predictions()
    expected = np.mean([sum(row**2) - 2 * row[k] + 1 for row, k in zip(p, y, strict=True)])
    assert brier(p, y) == pytest.approx(expected)
    assert brier(np.eye(2), np.array([1, 0])) == 2
    assert brier(np.eye(2), np.array([0, 1])) == 0


@pytest.mark.parametrize("measure", [debiased_calibration_error, brier, reliability])
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
