import numpy as np
import pytest

from lossbench.benchmarks.stats.crossed import CrossedMean, crossed_mean
from lossbench.benchmarks.stats.sample_size import (
    MOST_SEEDS,
    decision_probability,
    images_needed,
    seeds_needed,
)

MARGIN, SIGNIFICANCE = 2.0, 0.05 / 9


def comparison(mean, *, seed=1.0, image=0.0, rest=30.0, seeds=5, images=400):
    """A comparison with these variances, in points²."""
    by_seed, by_image = rest + images * seed, rest + seeds * image
    return CrossedMean(mean, seeds, images, by_seed, by_image, rest)


@pytest.mark.parametrize(
    ("mean", "variances"),
    [(0.0, (0.8, 0, 30)), (2.5, (1.5, 0, 30)), (1.0, (0.5, 60, 30)), (-1.5, (3, 20, 100))],
)
def test_the_probability_is_that_of_repeated_experiments(mean, variances):
    random, (seeds, images) = np.random.default_rng(0), (8, 100)
    seed, image, rest = np.sqrt(variances)
    decided, rounds = 0, 1500
    for _ in range(rounds):
        x = seed * random.standard_normal((seeds, 1)) + image * random.standard_normal(images)
        found = crossed_mean(mean + x + rest * random.standard_normal((seeds, images)))
        ends = found.interval(0.9)
        equivalent = ends.low >= -MARGIN and ends.high <= MARGIN
        decided += equivalent or found.pvalue() < SIGNIFICANCE
    seed, image, rest = variances
    true = comparison(mean, seed=seed, image=image, rest=rest, seeds=seeds, images=images)
    found = decision_probability(true, MARGIN, SIGNIFICANCE)
    assert found == pytest.approx(decided / rounds, abs=0.04)


@pytest.mark.parametrize("mean", [0.0, 1.0, -1.0, 2.5, -6.0])
def test_the_number_of_seeds_is_the_first_that_suffices(mean):
    found = comparison(mean, seed=9.0)
    needed = seeds_needed(found, MARGIN, SIGNIFICANCE)
    assert 5 < needed < MOST_SEEDS
    enough, fewer = (
        decision_probability(found.resized(n, 400), MARGIN, SIGNIFICANCE)
        for n in (needed, needed - 1)
    )
    assert enough >= 0.8
    assert fewer < 0.8 or needed == 6


def test_a_difference_between_nothing_and_the_margin_takes_most():
    needed = [
        seeds_needed(comparison(mean, seed=9.0), MARGIN, SIGNIFICANCE) for mean in (0.0, 1.0, 6.0)
    ]
    assert needed[1] > needed[0] > needed[2]


def test_where_the_images_bind_no_number_of_seeds_decides():
    # The images' part of the standard error is 1 point.
    found = comparison(1.0, seed=0.01, image=400.0)
    assert seeds_needed(found, MARGIN, SIGNIFICANCE) is None
    needed = images_needed(found, MARGIN, SIGNIFICANCE)
    assert 400 < needed < 40_000
    more = found.resized(5, needed)
    assert decision_probability(more, MARGIN, SIGNIFICANCE) >= 0.8
    # And where the seeds bind, no number of images does.
    assert images_needed(comparison(1.0, seed=9.0), MARGIN, SIGNIFICANCE) is None


def test_without_a_standard_error_nothing_is_said():
    single = crossed_mean([[1.0, 2.0]])
    assert decision_probability(single, MARGIN, SIGNIFICANCE) == 0
    assert seeds_needed(single, MARGIN, SIGNIFICANCE) is None
    assert images_needed(single, MARGIN, SIGNIFICANCE) is None
