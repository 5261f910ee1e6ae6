import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbench.benchmarks.report.article.numbers import (
    EXAMPLE,
    THIRD_CLASS_LOGIT,
    Images,
    evaluate,
    steps_until_right,
)


def test_probabilities():
    f = [1 / (1 + math.exp(-z)) for z in EXAMPLE.logits]
    np.testing.assert_allclose(EXAMPLE.f, f, rtol=1e-14)
    np.testing.assert_allclose(EXAMPLE.p, [f[0], f[1], 1 - f[2]], rtol=1e-14)


def test_a_loss_of_rows_gets_two_or_three_logits():
    z, labels = torch.tensor(EXAMPLE.logits, dtype=torch.float64), torch.tensor(EXAMPLE.targets)
    two = torch.stack([-z / 2, z / 2], 1)
    value, gradient = evaluate("cross-entropy", EXAMPLE)
    np.testing.assert_allclose(value, F.cross_entropy(two, labels, reduction="none"), rtol=1e-13)
    np.testing.assert_allclose(gradient, torch.sigmoid(z) - labels, rtol=1e-13)
    three = F.pad(two, (0, 1), value=THIRD_CLASS_LOGIT)
    value, gradient = evaluate("cross-entropy", EXAMPLE, third_class=True)
    np.testing.assert_allclose(value, F.cross_entropy(three, labels, reduction="none"), rtol=1e-13)
    right = torch.softmax(three, 1).gather(1, labels[:, None])[:, 0]
    np.testing.assert_allclose(gradient, right - 1, rtol=1e-13)


@pytest.mark.parametrize("loss", ["bce-with-logits", "sigmoid-mse", "probability-sum"])
@pytest.mark.parametrize(("logit", "target"), [(-4.0, 1), (1.5, 0), (0.0, 1), (3.0, 1)])
def test_steps_until_right(loss, logit, target):
    z, steps = logit, 0
    while (z > 0) != (target == 1):
        f = 1 / (1 + math.exp(-z))
        factor = {"bce-with-logits": 1, "sigmoid-mse": f * (1 - f)}.get(loss)
        z -= (1 - 2 * target) * f * (1 - f) if factor is None else (f - target) * factor
        steps += 1
    assert steps_until_right(loss, Images(("one",), (logit,), (target,)), 0) == steps


def test_steps_without_a_gradient():
    assert steps_until_right("zero-one", EXAMPLE, 1) is None
    assert steps_until_right("zero-one", EXAMPLE, 0) == 0
