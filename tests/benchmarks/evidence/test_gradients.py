import math

import numpy as np
import pytest
import torch
from scipy.stats import linregress

from lossbench.benchmarks.config import ARTICLE_LOSSES, RunConfig
from lossbench.benchmarks.evidence.gradients import (
    FORMULAS,
    RecordedExamples,
    concatenate,
    deviation,
    error,
    fit,
    formula_curve,
    recorded,
    sigmoid,
    slope,
)

from .worlds import TORCH, result


@pytest.mark.parametrize("loss", FORMULAS)
def test_formulas_are_the_gradients_of_torch(loss):
    z = torch.linspace(-12, 12, 241, dtype=torch.float64).repeat(2).requires_grad_()
    t = torch.arange(2).repeat_interleave(241).double()
    (g,) = torch.autograd.grad(TORCH[loss](z, t).sum(), z)
    odds = ((2 * t - 1) * z).detach().numpy()
    # torch's own bce loses what 1 - f has lost.
    found = FORMULAS[loss].magnitude(odds)
    np.testing.assert_allclose(found, g.abs().numpy(), rtol=1e-6, atol=1e-12)
    if factor := FORMULAS[loss].factor:
        np.testing.assert_allclose(found, factor * error(odds))


def test_the_formulas_are_those_of_the_article():
    assert set(FORMULAS) == set(ARTICLE_LOSSES)


@pytest.mark.parametrize("loss", [loss for loss in FORMULAS if loss != "zero-one"])
def test_texts_are_the_formulas(loss):
    e = np.array([0.02, 0.3, 0.5, 0.8, 0.97])
    text = FORMULAS[loss].formula
    for old, new in (
        ("2 |", "2 * |"), ("|ln", "abs(ln"), ("1|", "1)"), ("e²", "e * e"), (" (", " * ("),
        ("4 e", "4 * e"), ("2 e", "2 * e"), ("ln *", "ln"),
    ):  # fmt: skip
        text = text.replace(old, new)
    value = eval(text, {"e": e, "ln": np.log, "abs": np.abs})
    np.testing.assert_allclose(value, FORMULAS[loss].magnitude(-np.log(e / (1 - e))))


def test_recorded_examples_by_hand():
    rows = np.array([[0, 2.0, 0, 0.3], [1, 2.0, 1, -0.1]], dtype=np.float32)
    config = RunConfig("mse", 0, 0.1)
    found = recorded([result(config, examples=rows), result(config, examples=rows[:1])])
    np.testing.assert_allclose(found.odds, [-2, 2, -2])
    np.testing.assert_allclose(found.magnitude, [0.3, 0.1, 0.3], rtol=1e-6)


def test_parts_of_examples():
    one = RecordedExamples(np.array([-9.0, 0.0, 9.0, np.nan]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert one.sure_wrong.tolist() == [1.0]
    assert one.sure_right.tolist() == [3.0]
    assert one.finite.magnitude.tolist() == [1.0, 2.0, 3.0]
    assert concatenate([one, one]).magnitude.tolist() == [1.0, 2.0, 3.0, 4.0] * 2
    np.testing.assert_allclose(one.p[:3], [1 / (1 + math.e**9), 0.5, 1 / (1 + math.e**-9)])


def test_slope_and_deviation_against_scipy():
    odds = np.random.default_rng(0).normal(0, 4, 400)
    for loss in ("probability-sum", "cross-entropy"):
        predicted = FORMULAS[loss].magnitude(odds)
        noisy = RecordedExamples(odds, predicted * (1 + 0.1 * np.sin(odds)))
        assert slope(loss, noisy) == pytest.approx(
            linregress(predicted, noisy.magnitude).slope, rel=1e-9
        )
    three = RecordedExamples(np.zeros(3), np.array([0.25, 0.3, 0.24]))
    assert deviation("probability-sum", three) == pytest.approx(0.2)
    assert math.isnan(slope("probability-sum", three))
    # A diverged network does not count as one without deviations.
    diverged = RecordedExamples(np.array([0.0, math.nan]), np.array([0.25, 0.25]))
    assert math.isnan(deviation("probability-sum", diverged))
    # Predictions that float32 has not are not compared.
    assert deviation("probability-sum", RecordedExamples(np.array([200.0]), np.zeros(1))) == 0


@pytest.mark.parametrize("loss", ["cross-entropy", "sigmoid-mse", "mse", "bernoulli-sum"])
def test_fit_is_least_squares_through_0(loss):
    odds = np.random.default_rng(3).normal(-1, 3, 500)
    examples = RecordedExamples(odds, FORMULAS[loss].magnitude(odds))
    e = error(odds)
    (k,), (rest,), *_ = np.linalg.lstsq(e[:, None], examples.magnitude, rcond=None)
    found = fit(loss, examples)
    rest = 0.0 if FORMULAS[loss].factor else rest
    assert found.slope == pytest.approx(k)
    assert found.r2 == pytest.approx(1 - rest / (500 * examples.magnitude.var()), abs=1e-12)
    off = np.abs(examples.magnitude - (FORMULAS[loss].factor or k) * e).max()
    assert found.residual == pytest.approx(off, abs=1e-12)


def test_fit_of_no_gradient_and_of_a_diverged_network():
    found = fit("zero-one", RecordedExamples(np.linspace(-3, 3, 50), np.zeros(50)))
    assert (found.slope, found.residual) == (0, 0)
    assert math.isnan(found.r2)
    assert all(map(math.isnan, fit("mse", RecordedExamples(np.array([np.nan]), np.ones(1)))))
    assert all(map(math.isnan, fit("mse", RecordedExamples(np.ones(0), np.ones(0)))))


@pytest.mark.parametrize("limit", [10.0, -10.0])
def test_curves_of_formulas_run_over_both_log_odds(limit):
    odds = np.linspace(-8, 8, 81)
    examples = RecordedExamples(odds, sigmoid(-odds))
    curve = formula_curve("cross-entropy", examples, "label", limit, 10, 2)
    assert (curve.x[0], curve.x[-1]) == (-10, 10)
    np.testing.assert_allclose(curve.y, sigmoid(-np.sign(limit) * curve.x))
    x, y = curve.points
    np.testing.assert_allclose(y, sigmoid(-np.sign(limit) * x))
    assert 10 <= len(x) <= 20
