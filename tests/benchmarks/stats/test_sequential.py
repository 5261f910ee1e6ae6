import math

import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.stats import sequential
from lossbench.benchmarks.stats.sequential import (
    ERROR,
    LOOKS,
    crossing_probability,
    nominal_level,
)


@pytest.mark.parametrize(("looks", "z"), [(2, 2.178), (3, 2.289), (5, 2.413)])
def test_many_seeds_have_the_level_of_pococks_table(looks: int, z: float) -> None:
    # Jennison and Turnbull (1999), table 2.1, for a known variance.
    level = nominal_level(tuple(2000 * (k + 1) for k in range(looks)))
    assert stats.norm.isf(level / 2) == pytest.approx(z, abs=1e-3)


def simulated(looks: tuple[int, ...], level: float, sides: int, streams: int = 50_000) -> float:
    """Return the share of normal streams with p < level at any look."""
    values = np.random.default_rng(0).normal(size=(streams, looks[-1]))
    crossed = np.zeros(streams, dtype=bool)
    for n in looks:
        t, p = stats.ttest_1samp(values[:, :n], 0, axis=1)
        crossed |= p < level if sides == 2 else (p / 2 < level) & (t > 0)
    return float(crossed.mean())


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize(
    ("looks", "level"), [((2,), 0.05), ((2, 4), 0.1), ((3, 5, 9, 30), 0.02), (LOOKS, 0.0119)]
)
def test_the_probability_is_that_of_simulated_streams(looks, level: float, sides) -> None:
    expected = simulated(looks, level, sides)
    found = crossing_probability(looks, level, sides)
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected / 50_000))


def test_naive_looking_is_wrong_in_more_than_a_sixth_of_the_cases() -> None:
    assert crossing_probability(LOOKS, 0.05) == pytest.approx(0.177, abs=5e-4)


@pytest.mark.parametrize("sides", [1, 2])
def test_the_level_gives_the_error_back(sides) -> None:
    level = nominal_level(sides=sides)
    assert crossing_probability(LOOKS, level, sides) == pytest.approx(ERROR, abs=1e-7)
    assert ERROR / len(LOOKS) < level < ERROR
    assert nominal_level((7,), 0.03, sides) == 0.03


@pytest.mark.parametrize("sides", [1, 2])
def test_more_nodes_change_nothing(sides, monkeypatch) -> None:
    few = crossing_probability(LOOKS, 0.0119, sides)
    monkeypatch.setattr(sequential, "_NODES", 48)
    assert crossing_probability(LOOKS, 0.0119, sides) == pytest.approx(few, abs=3e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nominal_level((5, 6)), "2 differences more"),
        (lambda: nominal_level((1,)), "2 differences more"),
        (lambda: nominal_level(()), "2 differences more"),
        (lambda: nominal_level((8, 5)), "2 differences more"),
        (lambda: nominal_level(LOOKS, 0.0), "error"),
        (lambda: nominal_level(LOOKS, math.nan), "error"),
        (lambda: nominal_level(LOOKS, 0.05, 3), "1 or 2 sides"),
        (lambda: crossing_probability(LOOKS, 1.0), "level"),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
