"""The truth is itself checked: against its formula in float64, and against known values."""

import math

import pytest
import torch

from lossbench.benchmarks.curves import tails
from lossbench.benchmarks.curves.exact import sensitivity, truth
from lossbench.benchmarks.curves.multiprecision import Precise, m
from lossbench.losses.bi_tempered import _tempered_softmax
from lossbench.losses.registry import ENTRIES

INF = math.inf


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_160_digits_are_those_of_float64_where_that_is_exact(entry) -> None:
    # Numbers of spread 1 and float64 leave the plain formula twelve digits and more.
    for batch in tails.batches(entry, 1.0, 20, seed=1):
        for target in batch.targets:
            input = batch.input.double().requires_grad_()
            wide = target.double() if target.is_floating_point() else target
            value = entry.reference(input, wide, reduction="none")
            (gradient,) = torch.autograd.grad(value.sum(), input)
            value = value.sum(-1) if value.shape == input.shape and input.dim() > 1 else value
            exists = ~batch.gradient.isnan()
            close = {"rtol": 1e-9, "atol": 1e-12}
            torch.testing.assert_close(value.detach(), batch.value.squeeze(-1), **close)
            gradient = gradient.reshape(batch.gradient.shape)[exists]
            torch.testing.assert_close(gradient, batch.gradient[exists], **close)


@pytest.mark.parametrize("t2", ["1.05", "1.2", "4", "10"])
@pytest.mark.parametrize("far", [1e-3, 1.0, 50.0, 1e6])
def test_newtons_steps_normalise_a_tempered_softmax(far: float, t2: str) -> None:
    rows = Precise([[m.mpf(far), *[m.mpf(0)] * 20], [m.mpf(x * far) for x in range(21)]])
    total = _tempered_softmax(rows, m.mpf(t2)).sum(-1)
    assert max(abs(x - 1) for x in total.numbers) < m.mpf(10) ** -150


def test_an_operation_that_is_not_there_is_named() -> None:
    with pytest.raises(NotImplementedError, match="multiprecision has no erf of torch: add it"):
        torch.erf(Precise([1]))
    with pytest.raises(AttributeError, match="multiprecision has no cumsum of torch"):
        Precise([1]).cumsum(-1)


def test_cross_entropy_keeps_digits_that_float64_has_not() -> None:
    value, (of_right, of_wrong) = truth("cross-entropy", [100, 0], [1, 0])
    assert float(value) == pytest.approx(math.exp(-100), rel=1e-14)
    assert float(of_wrong) == pytest.approx(math.exp(-100), rel=1e-14)
    assert float(of_right + of_wrong) == pytest.approx(0, abs=1e-90)


@pytest.mark.parametrize(
    ("name", "x", "t", "value", "gradient"),
    [
        ("bce-with-logits", [-INF], [1], INF, [-1]),
        ("bce-with-logits", [INF], [1], 0, [0]),
        ("sigmoid-mse", [-INF], [1], 0.5, [0]),
        ("mse", [INF], [1], INF, [INF]),
        ("bce", [0.0], [1], 100, [-1e12]),
        ("cross-entropy", [-INF, 0, 0], [0, 1, 0], math.log(2), [0, -0.5, 0.5]),
        ("bernoulli-sum", [0, INF, 0], [1, 0, 0], INF, [-1.5, 2, -0.5]),
    ],
)
def test_infinity_is_a_limit(name, x, t, value, gradient) -> None:
    found = truth(name, x, t)
    assert float(found.value) == pytest.approx(value)
    assert [float(g) for g in found.gradient] == pytest.approx(gradient)


def test_there_is_no_derivative_at_a_kink() -> None:
    assert truth("hinge", [1], [1]).gradient == (None,)
    assert truth("zero-one", [0], [1]).gradient == (None,)
    assert float(truth("squared-hinge", [1], [1]).gradient[0]) == pytest.approx(0, abs=1e-50)
    assert float(truth("hinge", [1 - 2**-24], [1]).gradient[0]) == pytest.approx(-1)


def test_a_zero_crossing_is_as_sensitive_as_its_terms() -> None:
    # p = t: the gradient is 1/2 - 1/2 in both classes, the value 2 (1/2 ln 2).
    gradient = truth("cross-entropy", [0, 0], [0.5, 0.5]).gradient
    assert [float(x) for x in gradient] == pytest.approx([0, 0], abs=1e-90)
    size, steepness = sensitivity("cross-entropy", (0, 0), (0.5, 0.5))
    assert float(size) == pytest.approx(math.log(2))
    # Each target 1/4, and a tenth of 1/4 for each logit.
    assert float(steepness) == pytest.approx(0.5 + 0.05)


def test_a_tail_is_not_taken_for_a_zero_crossing() -> None:
    for name in ("cross-entropy", "softmax-mse", "squared-log"):
        value, gradient = truth(name, [0, 30, -2], [0, 1, 0])
        size, steepness = sensitivity(name, (0, 30, -2), (0, 1, 0))
        assert size < value
        assert steepness < max(map(abs, gradient))
