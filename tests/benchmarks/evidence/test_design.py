"""What a claim fixes beforehand, and how its quantities are tested."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.design import Design, Expected, Quantity
from lossbench.benchmarks.stats.sequential import LOOKS, nominal_level
from lossbench.benchmarks.stats.sequential_calibration import STREAMS, error_rates

CONFIG = RunConfig("mse", 0, 0.1)
VALUES = (2.0, 1.5, 3.2, 1.1, 2.4)


def design(*expects, **changes):
    return Design(**{"question": "?", "expects": expects, "cells": {"a": CONFIG}} | changes)


def verdicts(tests):
    return [test.measure.verdict for test in tests]


@pytest.mark.parametrize(
    "change",
    [
        {"question": "??"},
        {"expects": (Expected("x", "above", 2.0),)},
        {"expects": (Expected("x", "below", 1.0),)},
        {"expects": (Expected("x", "above", 1.0, "times"),)},
        {"cells": {"a": replace(CONFIG, epochs=3)}},
        {"cells": {"a": CONFIG, "b": CONFIG}},
        {"searches": {"a": CONFIG}},
        {"rates": (0.1, 1.0)},
        {"search_seeds": 3},
        {"looks": (5, 8)},
        {"error": 0.01},
    ],
)
def test_the_hash_is_that_of_everything(change):
    first = design(Expected("x", "above", 1.0))
    assert first.hash == design(Expected("x", "above", 1.0)).hash
    assert replace(first, **change).hash != first.hash


def test_a_hash_says_nothing_of_settings_that_are_the_default():
    """A setting that comes later changes no hash, and where images lie is in none of them."""
    assert design(cells={"a": replace(CONFIG, epochs=2)}).hash == design().hash


@pytest.mark.parametrize(
    ("expected", "wanted", "range_"),
    [
        (Expected("x", "above", 2.0), "above +2 points", (2.0, math.inf)),
        (Expected("x", "below", -0.5, "decades"), "below −0.5 decades", (-math.inf, -0.5)),
        (Expected("x", "within", 3.0), "within ±3 points", (-3.0, 3.0)),
        (Expected("x", "above", 2.0, "times"), "above 2 times", (math.log(2), math.inf)),
        (
            Expected("x", "within", 2.0, "times"),
            "within 1/2 to 2 times",
            (-math.log(2), math.log(2)),
        ),
        (Expected("x", "above", 0.95, ""), "above +0.95", (0.95, math.inf)),
    ],
)
def test_expectations_in_words(expected, wanted, range_):
    assert (expected.wanted, expected.range) == (wanted, pytest.approx(range_))
    assert expected.name == {"times": "x, ratio", "": "x"}.get(expected.unit, f"x, {expected.unit}")


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-5, 5), min_size=5, max_size=5, unique=True),
    limit=st.floats(0.5, 4),
    direction=st.sampled_from(("above", "below", "within")),
)
def test_a_verdict_is_that_of_t_tests_at_the_level_of_a_look(values, limit, direction):
    (found,) = design(Expected("x", direction, limit)).test([Quantity(tuple(values))])
    if direction == "within":
        level = nominal_level(LOOKS, 0.05, 1)
        low, high = (
            stats.ttest_1samp(values, end, alternative=side).pvalue
            for end, side in ((-limit, "greater"), (limit, "less"))
        )
        holds = max(low, high) < level
        refuted = min(1 - low, 1 - high) < level
    else:
        p = stats.ttest_1samp(values, limit).pvalue
        decided = p < nominal_level(LOOKS, 0.05, 2)
        holds = decided and (np.mean(values) > limit) == (direction == "above")
        refuted = decided and not holds
    expected = "holds" if holds else "does not hold" if refuted else "undecided"
    assert found.measure.verdict == expected


def test_one_of_many_must_be_clearer_to_refute_and_not_to_hold():
    """Holm's correction is for 'does not hold if any', and not for 'holds if all'."""
    quantity = Quantity((2.0, 1.5, 2.7, 1.6, 2.4))
    above, below = Expected("x", "above", 0.9), Expected("x", "below", 0.9)
    p = stats.ttest_1samp(quantity.values, 0.9).pvalue
    assert nominal_level(LOOKS, 0.05 / 4) < p < nominal_level(LOOKS, 0.05)
    assert verdicts(design(*[above] * 4).test([quantity] * 4)) == ["holds"] * 4
    assert verdicts(design(below).test([quantity])) == ["does not hold"]
    assert verdicts(design(*[below] * 4).test([quantity] * 4)) == ["undecided"] * 4
    # Step down: what is clear makes room for the next.
    clear = Quantity(tuple(9 + value for value in quantity.values))
    found = design(*[below] * 4).test([clear, clear, clear, quantity])
    assert verdicts(found) == ["does not hold"] * 4


@pytest.mark.parametrize("direction", ["above", "below", "within"])
def test_no_spread_is_no_certainty(direction):
    (found,) = design(Expected("x", direction, 1.0)).test([Quantity((0.0,) * 40)])
    assert found.measure.verdict == "undecided"


def test_ratios_are_compared_as_logarithms():
    (found,) = design(Expected("x", "above", 2.0, "times")).test([Quantity(VALUES)])
    logs = np.array(VALUES)
    ends = stats.ttest_1samp(logs, 0).confidence_interval(1 - nominal_level())
    assert found.measure.value == pytest.approx(stats.gmean(np.exp(logs)))
    assert (found.measure.low, found.measure.high) == pytest.approx(
        (math.exp(ends.low), math.exp(ends.high))
    )


def test_images_widen_an_interval():
    seeds = Quantity(VALUES).interval(0.95)
    both = Quantity(VALUES, image_error=0.7).interval(0.95)
    assert both.mean == seeds.mean
    assert both.low < seeds.low < seeds.high < both.high
    # Without a spread over seeds it would be the normal interval of the images.
    narrow = Quantity((1.0, 1.0, 1.0), image_error=0.7).interval(0.95)
    assert narrow.high - 1 == pytest.approx(1.959964 * 0.7, rel=1e-6)


@settings(deadline=None)
@given(
    needed=st.lists(st.floats(0, 9), min_size=5, max_size=5, unique=True),
    cap=st.floats(0.5, 8),
    bar=st.floats(0.2, 5),
    direction=st.sampled_from(("above", "below", "within")),
    side=st.sampled_from((-1, 1)),
)
def test_bounds_never_reverse_a_verdict(needed, cap, bar, direction, side):
    """A verdict from values that are cut off is not refuted by the whole ones."""
    each = design(Expected("x", direction, bar))
    cut = tuple(side * min(value, cap) for value in needed)
    is_cut = max(needed) > cap
    bounded = Quantity(cut, least=is_cut and side > 0, most=is_cut and side < 0)
    (found,) = verdicts(each.test([bounded]))
    mean = np.mean([side * value for value in needed])
    low, high = each.expects[0].range
    if found == "holds" and not bounded.least and not bounded.most:
        assert low < mean < high
    # With more than was seen on the open side, the mean can only go on in that direction.
    if found == "holds":
        assert not (bounded.least and high < math.inf)
        assert not (bounded.most and low > -math.inf)
    if found == "does not hold" and is_cut:
        assert mean >= high if side > 0 else mean <= low


def test_bounds_are_named():
    (found,) = design(Expected("x", "above", 2.0)).test([Quantity(VALUES, least=True)])
    assert found.measure.name == "x, points (at least that)"


def test_the_smallest_detectable_is_that_of_a_look():
    """By simulation, at the level of a look, and not at 5 %."""
    (found,) = design(Expected("x", "above", 1.0)).test([Quantity(VALUES)])
    spread = np.std(VALUES, ddof=1)
    draws = np.random.default_rng(0).normal(found.detectable, spread, (20_000, len(VALUES)))
    power = (stats.ttest_1samp(draws, 0, axis=1).pvalue < nominal_level()).mean()
    assert power == pytest.approx(0.8, abs=0.02)


def test_looks_in_words():
    assert "5, 8, 12, 18, 27 and at most 40 paired seeds" in design().in_words()
    assert "p < 0.0119" in design().in_words()
    assert design(looks=(3,)).in_words() == "One look, with 3 seeds; error 5 %."


@pytest.mark.parametrize("name", STREAMS)
def test_errors_are_those_of_the_calibrated_tests(name):
    """The rates that sequential_calibration reports are those of these verdicts."""
    streams, margin = 40, 1e6
    differences = STREAMS[name](np.random.default_rng(3), (streams, LOOKS[-1]))
    above, within = design(Expected("x", "above", 0.0)), design(Expected("x", "within", margin))

    def decided(each, values, *found):
        return any(
            verdicts(each.test([Quantity(tuple(map(float, values[:n])))]))[0] in found
            for n in LOOKS
        )

    rates = error_rates(STREAMS[name], streams, seed=3)
    different = [decided(above, row, "holds", "does not hold") for row in differences]
    equivalent = [decided(within, row + margin, "holds") for row in differences]
    assert rates.different == np.mean(different)
    assert rates.equivalent == np.mean(equivalent)
