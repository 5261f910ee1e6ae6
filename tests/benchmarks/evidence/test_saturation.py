import math

import numpy as np
import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.saturation import (
    CONFIDENCES,
    EVEN,
    OTHER,
    RATES,
    REFERENCE,
    SUREST,
    Cell,
    Saturation,
)
from lossbench.benchmarks.records.claim import verdict_of

from .worlds import jitter, result, saturation_world, steps_needed, until


def odds_of(config):
    return (1 - config.initial_probability) / config.initial_probability


def alike(config):
    return 100 * jitter(config)


def slow_everywhere(config):
    """A loss that is slow from every start loses nothing more by a wrong one."""
    return 100 * jitter(config) * (4 if config.loss == OTHER else 1)


def a_rate_makes_up_for_it(config):
    """At a rate that is not the fastest from an even start, sigmoid-mse loses nothing."""
    if config.loss == OTHER and config.learning_rate == 3.0:
        return 80 * jitter(config)
    return steps_needed(config)


@pytest.mark.parametrize(
    ("needed", "refuted"),
    [(alike, {0, 2}), (slow_everywhere, {0, 1}), (a_rate_makes_up_for_it, {2})],
)
def test_refuted_by_steps(analyse, needed, refuted):
    measures = analyse("saturation", needed=needed)[0].measures()
    assert {i for i, m in enumerate(measures) if m.verdict == "does not hold"} == refuted


def test_the_measure_is_an_interaction(analyse):
    """(500 / 100) / (240 / 120) = 2.5, whatever the losses share."""

    def needed(config):
        hard = odds_of(config) > 5000
        steps = {REFERENCE: (100, 120), OTHER: (500, 240)}[config.loss][not hard]
        return steps * (1 + config.seed % 2)

    measures = analyse("saturation", needed=needed)[0].measures()
    assert measures[0].value == pytest.approx(2.5)
    assert measures[1].value == pytest.approx(2)


def test_a_run_that_does_not_get_there_makes_a_bound(analyse):
    def needed(config):
        return 10**9 if config.loss == OTHER and odds_of(config) > 5000 else alike(config)

    measures = analyse("saturation", needed=needed)[0].measures()
    assert "at least that" in measures[0].name
    assert measures[0].verdict == "holds"
    assert "at least" not in measures[1].name

    nothing = analyse("saturation", needed=lambda _: 10**9)[0].measures()
    assert {m.verdict for m in nothing[:3]} == {"undecided"}


@pytest.mark.parametrize("loss", [REFERENCE, OTHER])
def test_one_gradient_refutes(analyse, loss):
    def world(config):
        def change(_, magnitude):
            factors = np.where(np.arange(len(magnitude)) == 7, 1.0001, 1.0)
            return magnitude * (factors if config.loss == loss else 1)

        return saturation_world(config, change=change)

    measures = analyse("saturation", world=world)[0].measures()
    assert [m.verdict for m in measures] == ["holds"] * 3 + ["does not hold"]
    assert verdict_of(measures) == "does not hold"


def test_a_rate_is_chosen_on_other_networks_and_from_its_own_start(analyse):
    def needed(config):
        # From an even start 0.3 is the fastest, from the surest 3.
        best = 3.0 if odds_of(config) > 5000 else 0.3
        return 100 * (1 + abs(math.log10(config.learning_rate / best))) * jitter(config)

    analysis, trainer = analyse("saturation", needed=needed)
    for cell, rate in analysis.rates.items():
        assert rate == (3.0 if cell.tuned_from == SUREST else 0.3)
    assert {c.initial_probability for c in trainer.searched} == {1 - EVEN, 1 - SUREST}
    assert {c.seed for c in trainer.searched} & {c.seed for c in trainer.trained} == set()
    assert {c.learning_rate for c in trainer.searched} == set(RATES)
    assert RATES[0] < min(analysis.rates.values()) <= max(analysis.rates.values()) < RATES[-1]


def test_the_score_of_a_rate():
    """Minus the logarithm of the steps; never reached is ten times the run."""
    runs = [
        result(RunConfig("mse", 0, 0.1), evaluations=until(needed, last=100))
        for needed in (40, 80, 1000)
    ]
    scores = list(map(Saturation.score, runs))
    assert scores == pytest.approx([-math.log(40), -math.log(80), -math.log(1000)])


def test_runs_and_numbers(examine, analyse):
    analysis, trainer = analyse("saturation")
    assert {c.initial_probability for c in trainer.trained} == {1 - c for c in CONFIDENCES}
    assert {c.schedule for c in (*trainer.trained, *trainer.searched)} == {"constant"}
    assert not any(config.test for config in trainer.trained)
    finding = examine("saturation")
    steps, _, gradients, search = finding.tables
    first = analysis.steps[Cell(REFERENCE, EVEN, EVEN)]
    assert steps.rows[0][:5] == (REFERENCE, "0.5", "0.3", "0.5", str(first))
    slopes = {loss: np.mean(analysis.slope(loss)) for loss in (REFERENCE, OTHER)}
    assert f"{REFERENCE} {slopes[REFERENCE]:.2f}, {OTHER} {slopes[OTHER]:.2f}" in steps.notes[1]
    # The steps of sigmoid-mse grow with the cube root of the odds, and with their logarithm.
    assert slopes[OTHER] - slopes[REFERENCE] == pytest.approx(1 / 3, abs=0.02)
    assert len(search.rows) == 4
    examples = 300 * sum(config.loss == OTHER for config in trainer.trained)
    assert gradients.rows[1][:3] == (OTHER, "e² (1 - e)", f"{examples:,}")
    assert f"takes {finding.measures[0].value:.1f} (" in finding.sentence


def test_notes_say_where_the_search_did_not_end_inside_the_grid(analyse):
    analysis, _ = analyse("saturation")
    cell = next(iter(analysis.rates))
    others = {rate: -abs(math.log(rate / 0.3)) for rate in RATES}
    analysis.searched = dict.fromkeys(analysis.rates, others)
    analysis.rates = dict.fromkeys(analysis.rates, 0.3)
    assert not any("rates tried" in note or "no rate" in note for note in analysis.notes())
    analysis.rates[cell] = RATES[0]
    assert any(f"at {RATES[0]:g}, an end of the rates tried" in note for note in analysis.notes())
    analysis.searched[cell] = dict.fromkeys(RATES, -9.0)
    notes = analysis.notes()
    assert any(f"the lowest one, {RATES[0]:g}, was taken" in note for note in notes)
    assert not any("rates tried" in note for note in notes)
