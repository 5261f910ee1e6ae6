import math

import numpy as np
import pytest

from lossbench.benchmarks.evidence.saturation import (
    CONFIDENCES,
    FIRST_SEED,
    OTHER,
    RATES,
    REFERENCE,
)
from lossbench.benchmarks.records.claim import verdict_of

from .worlds import saturation_world, steps_needed

HIGHEST = RATES[-1]


def jitter(config):
    return 1 + 0.02 * (config.seed % 3)


def odds_of(config):
    return (1 - config.initial_probability) / config.initial_probability


def high_rate_helps(config):
    if config.loss == OTHER and config.learning_rate == HIGHEST:
        return (40 + 10 * math.log(odds_of(config))) * jitter(config)
    return steps_needed(config)


def highest_is_fastest(config):
    if config.loss == OTHER and config.learning_rate == HIGHEST:
        return 330 * jitter(config)
    return steps_needed(config)


def highest_is_fastest_for_cross_entropy(config):
    if config.loss == REFERENCE and config.learning_rate == HIGHEST:
        return 30 + config.seed % 3
    return steps_needed(config)


def slow_cross_entropy(config):
    factor = 0.03 if config.loss == REFERENCE else 0.06
    return 20 + factor * odds_of(config) + config.seed % 3


def always_slow(config):
    return steps_needed(config) * (3 if config.loss == OTHER else 1)


@pytest.mark.parametrize("needed", [high_rate_helps, slow_cross_entropy, always_slow])
def test_refuted_by_steps(analyse, needed):
    measures = analyse("saturation", needed=needed)[0].measures()
    assert verdict_of(measures) == "does not hold"
    if needed is high_rate_helps:
        assert [m.verdict for m in measures[1:3]] == ["holds", "does not hold"]


@pytest.mark.parametrize(
    ("needed", "index", "bound"),
    [(highest_is_fastest, 2, "at most"), (highest_is_fastest_for_cross_entropy, 3, "at least")],
)
def test_undecided_where_a_higher_rate_may_be_faster(analyse, needed, index, bound):
    measure = analyse("saturation", needed=needed)[0].measures()[index]
    assert measure.low > 2 or index == 3
    assert f"{bound} that" in measure.name
    assert measure.verdict == "undecided"


def test_undecided_if_no_run_reaches_the_accuracy(analyse):
    measures = analyse("saturation", needed=lambda _: 10**9)[0].measures()
    assert {m.verdict for m in measures if "ratio" in m.name} == {"undecided"}


@pytest.mark.parametrize("loss", [REFERENCE, OTHER])
def test_one_gradient_refutes(analyse, loss):
    def world(config):
        def change(_, magnitude):
            factors = np.where(np.arange(len(magnitude)) == 7, 1.0001, 1.0)
            return magnitude * (factors if config.loss == loss else 1)

        return saturation_world(config, change=change)

    measures = analyse("saturation", world=world)[0].measures()
    assert [m.verdict for m in measures] == ["holds"] * 4 + ["does not hold"]


def lucky(config):
    if config.learning_rate == HIGHEST:
        return 10 if config.seed == FIRST_SEED else 10**9
    return steps_needed(config)


@pytest.mark.parametrize(
    ("needed", "confidence", "rate"), [(high_rate_helps, 0.9999, HIGHEST), (lucky, 0.5, 0.1)]
)
def test_the_fastest_rate_is_that_of_most_networks(analyse, needed, confidence, rate):
    rates = analyse("saturation", needed=needed)[0].rates
    assert {rates[REFERENCE, c] for c in (CONFIDENCES[0], CONFIDENCES[-1])} == {0.1}
    assert rates[OTHER, confidence] == rate


def test_runs_and_numbers(examine, analyse):
    analysis, trainer = analyse("saturation")
    assert {c.initial_probability for c in trainer.trained} == {1 - c for c in CONFIDENCES}
    assert not any(config.test for config in trainer.trained)
    finding = examine("saturation")
    steps, gradients = finding.tables
    best = analysis.best[REFERENCE, 0.5]
    assert steps.rows[0][:3] == ("0.5", str(best), "0.1")
    assert steps.rows[-1][7].split()[0] == f"{analysis.common[REFERENCE, 0.9999].mean:.0f}"
    assert steps.rows[-1][8] == "0 of 4 in 420"
    assert steps.rows[-1][5].startswith("≥ ")
    examples = 300 * sum(config.loss == OTHER for config in trainer.trained)
    assert gradients.rows[1][:3] == (OTHER, "e² (1 - e)", f"{examples:,}")
    assert "420 steps without reaching it in 4 of 4 runs" in finding.sentence
    assert "sigmoid-mse at fastest 420, not reached by all" in finding.figures[0].alt
