"""The likelihood and its slips are those of arithmetic with 40 digits, derivatives included."""

import numpy as np
import pytest
from mpmath import mp

from lossbench.benchmarks.stats.likelihood import (
    log_of_sum,
    log_sigmoid,
    minus_log_product,
    slip,
    slip_gradient,
)

Z = np.array([-800.0, -40.0, -4.0, -1.0, 0.0, 2.0, 30.0])
T = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0])


def sigmoid(z):
    return 1 / (1 + mp.exp(-mp.mpf(z)))


def exact_slip(z, t):
    log = mp.log(sigmoid(z))
    return -(t * log + (1 - t) * mp.log(1 - log))


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(40):
        yield


def test_of_the_right_classes():
    right = [sigmoid(z if t else -z) for z, t in zip(Z, T, strict=True)]
    assert minus_log_product(Z, T) == pytest.approx(float(-mp.log(mp.fprod(right)) / len(Z)))
    assert log_of_sum(Z, T) == pytest.approx(float(mp.log(mp.fsum(right))), rel=1e-14)
    exact = [float(mp.log(sigmoid(z))) for z in Z]
    np.testing.assert_allclose(log_sigmoid(Z), exact, rtol=1e-14)


@pytest.mark.parametrize("t", [0.0, 1.0, 0.3])
def test_the_slip_and_its_derivative(t):
    targets = np.full_like(Z, t)
    np.testing.assert_allclose(slip(Z, targets), [float(exact_slip(z, t)) for z in Z], rtol=1e-13)
    exact = [float(mp.diff(lambda x: exact_slip(x, t), mp.mpf(z))) for z in Z]
    np.testing.assert_allclose(slip_gradient(Z, targets), exact, rtol=1e-12)
