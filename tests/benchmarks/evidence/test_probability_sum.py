import math

import numpy as np
import pytest
import torch
from scipy.stats import linregress

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence import probability_sum
from lossbench.benchmarks.evidence.measures.gradient_formulas import GRADIENT_FORMULAS, sigmoid
from lossbench.benchmarks.evidence.measures.logit_gradients import (
    REFERENCE,
    SUM,
    LogitGradients,
    concatenate,
    deviation,
    logit_gradients,
    slope,
)
from lossbench.benchmarks.evidence.probability_sum import CELLS, CLAIM, SIZES, Size
from lossbench.benchmarks.records.claim import verdict_of

from .invented import InventedLab, check, outcome, point, right_in


def true_pairs(trial, count=400):
    """Pairs with the gradient that torch has for them in float32."""
    draw = torch.Generator().manual_seed(trial.seed)
    z = 5 * torch.randn(count, generator=draw)
    t = torch.randint(0, 2, (count,), generator=draw).float()
    z.requires_grad_()
    right = torch.sigmoid((2 * t - 1) * z)
    loss = 1 - right if trial.loss == SUM else -torch.nn.functional.logsigmoid((2 * t - 1) * z)
    (g,) = torch.autograd.grad(loss.sum(), z)
    # float32 sigmoid rounds to 1 and loses what is left of it.
    g = torch.where(g == 0, torch.tensor(1e-30), g)
    return torch.stack([torch.zeros(count), z.detach(), t, g], 1).numpy()


def exact_pairs(trial, count=400):
    """Pairs with a gradient exact to float32."""
    rows = true_pairs(trial, count)
    odds = (2 * rows[:, 2] - 1) * rows[:, 1].astype(np.float64)
    rows[:, 3] = GRADIENT_FORMULAS[trial.loss].magnitude(odds) * np.where(rows[:, 2] == 1, -1, 1)
    return rows


def world(trained=0.7, bend=lambda _, rows: rows):
    def invent(trial):
        share = trained if trial.loss == SUM else 0.74
        share = (
            0.5 if trial.loss == SUM and trial.initial_probability else share
        ) + 0.005 * trial.seed
        rows = bend(trial, exact_pairs(trial)) if trial.record_examples else None
        return outcome(
            trial,
            evaluations=(point(0, 0.5, 0.25), point(100, share, 0.1)),
            validation=right_in(share),
            test=right_in(share),
            examples=rows,
        )

    return invent


def measured(invent, budget="quick"):
    found = {}
    for cell in CELLS:
        trials = [
            RunConfig(cell.loss, seed, 0.1, initial_probability=cell.start, record_examples=True)
            for seed in range(SIZES[budget].seeds)
        ]
        found[cell] = [invent(trial) for trial in trials]
    return probability_sum.measures_of(found)


def test_holds_where_it_trains_and_dies():
    lab = InventedLab("quick", world())
    finding = CLAIM.examine(lab)
    assert finding.verdict == "holds", finding.measures
    check(CLAIM, finding)
    assert all(trial.record_examples and trial.test for trial in lab.asked)
    assert {trial.initial_probability for trial in lab.asked} == {None, 0.0003}
    assert "70.5" in finding.sentence


def replaced(loss, gradient):
    """Another gradient (of the log-odds of the right class) for one loss."""

    def bend(trial, rows):
        if trial.loss == loss:
            rows = rows.copy()
            odds = (2 * rows[:, 2] - 1) * rows[:, 1]
            rows[:, 3] = gradient(odds)
        return rows

    return bend


@pytest.mark.parametrize(
    ("change", "which"),
    [
        ({"trained": 0.45}, {0}),
        # The sum's gradient is that of cross-entropy: neither p (1 - p) nor dead when wrong.
        ({"bend": replaced(SUM, lambda s: sigmoid(-s))}, {1, 2, 3}),
        # A thousandth too large.
        ({"bend": replaced(SUM, lambda s: 1.001 * sigmoid(s) * sigmoid(-s))}, {1, 2}),
        # Alive where the model is right.
        ({"bend": replaced(SUM, sigmoid)}, {1, 2, 4}),
        # Cross-entropy dies as well.
        ({"bend": replaced(REFERENCE, lambda s: sigmoid(s) * sigmoid(-s))}, {5}),
        ({"bend": replaced(SUM, lambda s: np.full_like(s, np.nan))}, {2}),
    ],
)
def test_does_not_hold_where_it_is_otherwise(change, which):
    measures = measured(world(**change))
    assert verdict_of(measures) == "does not hold"
    assert {i for i, m in enumerate(measures) if m.verdict == "does not hold"} == which


def test_one_example_off_refutes():
    def bend(trial, rows):
        if (trial.loss, trial.seed, trial.initial_probability) == (SUM, 1, None):
            rows = rows.copy()
            rows[7, 3] *= 1.01
        return rows

    measures = measured(world(bend=bend))
    assert measures[2].verdict == "does not hold"
    assert measures[2].value == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_decide_nothing(monkeypatch, seeds):
    monkeypatch.setitem(SIZES, "quick", Size(1, seeds))
    for change in ({}, {"trained": 0.4}):
        measures = measured(world(**change))
        assert {measure.verdict for measure in measures} == {"undecided"}
    check(CLAIM, CLAIM.examine(InventedLab("quick", world())))


def test_without_confidently_wrong_examples_it_is_undecided():
    def bend(_, rows):
        return rows[(2 * rows[:, 2] - 1) * rows[:, 1] > -1]

    measures = measured(world(bend=bend))
    assert measures[3].verdict == measures[5].verdict == "undecided"
    assert measures[3].value is None
    check(CLAIM, CLAIM.examine(InventedLab("quick", world(bend=bend))))


@pytest.mark.parametrize("loss", [SUM, REFERENCE])
def test_the_prediction_is_the_derivative(loss):
    rows = torch.tensor(true_pairs(RunConfig(loss, 0, 0.1)), dtype=torch.float64)
    z, t = rows[:, 1].clone().requires_grad_(), rows[:, 2]
    right = (2 * t - 1) * z
    value = 1 - torch.sigmoid(right) if loss == SUM else -torch.nn.functional.logsigmoid(right)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    np.testing.assert_allclose(
        GRADIENT_FORMULAS[loss].magnitude(right.detach().numpy()),
        gradient.abs().numpy(),
        rtol=1e-9,
        atol=1e-16,
    )


def test_slope_and_deviation_against_scipy():
    seen = logit_gradients(
        [outcome(RunConfig(SUM, 0, 0.1), examples=true_pairs(RunConfig(SUM, 0, 0.1)))]
    )
    noisy = LogitGradients(seen.odds, seen.magnitude * (1 + 0.1 * np.sin(seen.odds)))
    fit = linregress(GRADIENT_FORMULAS[SUM].magnitude(noisy.odds), noisy.magnitude)
    assert slope(SUM, noisy) == pytest.approx(fit.slope, rel=1e-9)
    assert slope(REFERENCE, noisy) == pytest.approx(
        linregress(sigmoid(-noisy.odds), noisy.magnitude).slope, rel=1e-9
    )
    assert deviation(
        SUM, LogitGradients(np.zeros(3), np.array([0.25, 0.3, 0.24]))
    ) == pytest.approx(0.2)
    assert math.isnan(slope(SUM, LogitGradients(np.zeros(3), np.ones(3))))
    # A network that has diverged is not left out as one that has nothing to be compared with.
    assert math.isnan(
        deviation(SUM, LogitGradients(np.array([0.0, math.nan]), np.array([0.25, 0.25])))
    )


def test_sides_and_sums_of_pushes():
    one = LogitGradients(np.array([-9.0, 0.0, 9.0]), np.array([1.0, 2.0, 3.0]))
    assert one.wrong.tolist() == [1.0]
    assert one.right.tolist() == [3.0]
    assert concatenate([one, one]).magnitude.tolist() == [1.0, 2.0, 3.0] * 2
    np.testing.assert_allclose(one.p, [1 / (1 + math.e**9), 0.5, 1 / (1 + math.e**-9)])
    rows = np.array([[0, 2.0, 0, 0.3], [1, 2.0, 1, -0.1]], dtype=np.float32)
    seen = logit_gradients([outcome(RunConfig(SUM, 0, 0.1), examples=rows)])
    np.testing.assert_allclose(seen.odds, [-2, 2])
    np.testing.assert_allclose(seen.magnitude, [0.3, 0.1], rtol=1e-6)
