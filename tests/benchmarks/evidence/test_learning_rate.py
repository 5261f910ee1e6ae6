import math
from dataclasses import replace

import numpy as np
import pytest

from lossbench.benchmarks.config import ARTICLE_LOSSES, LEARNING_RATES
from lossbench.benchmarks.evidence.learning_rate import OTHER, PAIR, REFERENCE
from lossbench.benchmarks.records.claim import verdict_of

from .worlds import BEST_RATES, learning_rate_world


@pytest.mark.parametrize(
    ("change", "verdicts"),
    [
        ({"best": BEST_RATES | {OTHER: 0.05}}, {"does not hold", "undecided"}),
        ({"other": 0.80}, {"does not hold"}),
        ({"other": 0.60}, {"does not hold"}),
        ({"width": 0.4}, {"does not hold"}),
    ],
)
def test_refuted(analyse, change, verdicts):
    assert verdict_of(analyse("learning-rate", **change)[0].measures()) in verdicts


def test_the_order_must_reverse_and_not_only_differ(analyse):
    best = BEST_RATES | {OTHER: 0.01, REFERENCE: 1.0}
    measures = analyse("learning-rate", best=best)[0].measures()
    assert [m.verdict for m in measures[:2]] == ["does not hold"] * 2


def test_a_range_that_goes_on_beyond_the_rates_tried_is_a_bound(analyse):
    # That of sigmoid-mse is as wide as the other's, and its upper half is not seen.
    analysis, _ = analyse("learning-rate", best=BEST_RATES | {OTHER: 2.5})
    measure = analysis.measures()[-1]
    assert measure.low > -0.5
    assert measure.verdict == "undecided"
    assert f"decades for {REFERENCE} and at least" in analysis.sentence()
    assert OTHER in analysis.notes()[-1]


def test_runs(analyse):
    _, trainer = analyse("learning-rate", jitter=0)
    swept = [config for config in trainer.trained if not config.test]
    tested = [config for config in trainer.trained if config.test]
    # Rates are chosen and evaluated with different seeds.
    assert not {config.seed for config in swept} & {config.seed for config in tested}
    assert {(c.loss, c.learning_rate) for c in swept} == {
        (loss, rate) for loss in ARTICLE_LOSSES for rate in LEARNING_RATES
    }
    for loss in ARTICLE_LOSSES:
        seeds = {config.seed for config in tested if config.loss == loss}
        assert len(seeds) == (5 if loss in PAIR else 3)
        tried = {c.seed - 1000 for c in swept if c.loss == loss}
        assert tried == (seeds if loss in PAIR else {0})
    nearest = {
        loss: min(LEARNING_RATES, key=lambda rate: abs(math.log(rate / best)))
        for loss, best in BEST_RATES.items()
        if loss != "zero-one"
    }
    chosen = {config.loss: config.learning_rate for config in tested}
    assert {loss: chosen[loss] for loss in nearest} == nearest


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("learning-rate", jitter=0)
    first = next(config for config in trainer.trained if not config.test)

    def at(loss, rate):
        config = replace(first, loss=loss, learning_rate=rate)
        return 100 * learning_rate_world(config, jitter=0).validation.accuracy

    differences = [at(OTHER, rate) - at(REFERENCE, rate) for rate in (0.01, 3.0)]
    assert [m.value for m in analysis.measures()[:2]] == pytest.approx(differences)
    ranks, rates = examine("learning-rate", jitter=0).tables
    rows = {row[0]: row for row in ranks.rows}
    assert rows["zero-one"][1:3] == ("any", "–")
    assert rows[REFERENCE][1:5:3] == ("0.03", "reference")
    assert rows[OTHER][7:] == ("5", "0.5", "0.15")
    assert rows["mse"][2].startswith("≤ 0.003 to ")
    accuracies = [float(row[3].split()[0]) for row in ranks.rows]
    assert accuracies == sorted(accuracies, reverse=True)
    by_loss = {row[0]: row[1:] for row in rates.rows}
    assert by_loss[OTHER] == tuple(f"{at(OTHER, rate):.1f}" for rate in LEARNING_RATES)
    assert "0.5" not in {np.isnan(a) for a in accuracies}
