import math

import numpy as np
import pytest

from lossbench.benchmarks.evidence.learning_rate import LOSSES, OTHER, RATES, REFERENCE
from lossbench.benchmarks.records.claim import verdict_of

from .worlds import BEST_RATES, learning_rate_world


@pytest.mark.parametrize(
    "change",
    [
        {"best": BEST_RATES | {OTHER: 0.05}},
        {"other": 0.80},
        {"other": 0.60},
        {"width": 0.4},
    ],
)
def test_refuted(analyse, change):
    assert verdict_of(analyse("learning-rate", **change)[0].measures()) == "does not hold"


def test_the_order_must_reverse_and_not_only_differ(analyse):
    best = BEST_RATES | {OTHER: 0.01, REFERENCE: 1.0}
    measures = analyse("learning-rate", best=best)[0].measures()
    assert [m.verdict for m in measures[:2]] == ["does not hold"] * 2


def test_a_range_that_goes_on_beyond_the_rates_tried_is_a_bound(analyse):
    # That of sigmoid-mse is as wide as the other's, and its upper half is not seen.
    analysis, _ = analyse("learning-rate", best=BEST_RATES | {OTHER: 25.0})
    measure = analysis.measures()[-1]
    assert measure.low > -0.5
    assert measure.verdict == "undecided"
    assert "at most that" in measure.name
    assert OTHER in analysis.notes()[-1]


def test_runs(analyse):
    _, trainer = analyse("learning-rate")
    swept = [config for config in trainer.trained if not config.test]
    tested = [config for config in trainer.trained if config.test]
    assert {(c.loss, c.learning_rate) for c in swept} == {
        (loss, rate) for loss in LOSSES for rate in RATES
    }
    # The rate of each loss is chosen on other networks than it is judged by.
    assert all(config.seed >= 1000 for config in trainer.searched)
    nearest = {
        loss: min(RATES, key=lambda rate: abs(math.log(rate / best)))
        for loss, best in BEST_RATES.items()
    }
    assert {config.loss: config.learning_rate for config in tested} == nearest


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("learning-rate")
    swept = {c for c in trainer.trained if not c.test}

    def at(loss, rate):
        return np.mean(
            [
                100 * learning_rate_world(config).validation.accuracy
                for config in swept
                if (config.loss, config.learning_rate) == (loss, rate)
            ]
        )

    differences = [at(OTHER, rate) - at(REFERENCE, rate) for rate in (0.01, 3.0)]
    assert [m.value for m in analysis.measures()[:2]] == pytest.approx(differences)
    finding = examine("learning-rate")
    assert f"gains +{differences[1] - differences[0]:.1f} (+" in finding.sentence
    _, best, rates = finding.tables
    assert [row[:2] for row in best.rows] == [(REFERENCE, "0.03"), (OTHER, "0.3")]
    by_loss = {row[0]: row[1:] for row in rates.rows}
    expected = [at(OTHER, rate) for rate in RATES]
    assert list(map(float, by_loss[OTHER])) == pytest.approx(expected, abs=0.06)
