import dataclasses

import numpy as np
import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.runs import (
    accuracies,
    accuracy_difference,
    chance_level,
    correct,
    hits,
    image_quantity,
    margins,
    tested,
    validation_accuracy,
)
from lossbench.benchmarks.stats.crossed import crossed_mean

from .worlds import correct_in, one_logit, result, with_recalls

RUNS = [
    with_recalls(RunConfig("mse", seed, 0.1, test=True), recalls)
    for seed, recalls in enumerate(([0.7, 0.6], [0.8, 0.6], [0.7, 0.5]))
]


def diverged(predictions):
    outputs = predictions.outputs.copy()
    outputs[3] = np.nan
    return dataclasses.replace(predictions, outputs=outputs)


def test_accuracies_are_percent_of_the_images():
    assert accuracies(RUNS) == pytest.approx([100 * run.test.accuracy for run in RUNS])
    assert correct(RUNS).shape == (3, 1000)
    np.testing.assert_array_equal(correct(RUNS)[1], RUNS[1].test.correct)
    assert validation_accuracy(RUNS[0]) == pytest.approx(100 * RUNS[0].validation.accuracy)
    assert len(tested(RUNS)) == 3


def test_a_network_that_diverged_is_at_chance():
    """Whatever it still predicts: here it is right in 90 % of the images."""
    run = result(RunConfig("mse", 0, 0.1, test=True), diverged(correct_in(0.9)))
    assert accuracies([run]) == [50.0]
    assert validation_accuracy(run) == 50.0
    assert hits(run.test).dtype == bool


def test_a_difference_is_paired_by_seed():
    found = accuracy_difference(RUNS, RUNS[::-1])
    ours = accuracies(RUNS)
    assert found.values == pytest.approx(np.subtract(ours, ours[::-1]))
    # Both are right on the same images of each class in about the same order.
    assert 0 <= found.image_error < 1.5


def test_a_difference_has_the_crossed_interval():
    random = np.random.default_rng(0)
    seeds, images = random.normal(0, 3, (5, 1)), random.normal(0, 60, 400)
    values = seeds + images + random.normal(0, 50, (5, 400))
    found, crossed = image_quantity(values), crossed_mean(values)
    assert crossed.image_share > 0.1
    for level in (0.9, 0.99):
        ends, expected = found.interval(level), crossed.interval(level)
        # The images' degrees of freedom, 399, count as infinitely many.
        assert (ends.low, ends.high) == pytest.approx((expected.low, expected.high), rel=0.01)


def test_margins_of_one_and_of_two_outputs():
    one = one_logit(np.array([2.0, -3.0]), np.array([1, 0]))
    two = dataclasses.replace(one, outputs=np.concatenate([-one.outputs, one.outputs], 1) / 2)
    np.testing.assert_allclose(margins(one), [2, -3])
    np.testing.assert_allclose(margins(two), [2, -3])


def test_chance_is_the_most_frequent_class():
    predictions = correct_in(0.5)
    assert chance_level(predictions) == 50
    labels = np.array([0, 2, 2, 1, 2])
    assert chance_level(dataclasses.replace(predictions, labels=labels)) == 60
