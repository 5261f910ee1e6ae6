import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbench.benchmarks.evidence.likelihood_forms import FORMS, evaluate_forms

from .worlds import one_logit, ordinary_predictions


def test_forms_are_those_of_torch():
    predictions = ordinary_predictions(3)
    z, t = torch.tensor(predictions.outputs[:, 0]).double(), torch.tensor(predictions.labels)
    t = t.double()
    found = evaluate_forms(predictions)
    truth = F.binary_cross_entropy_with_logits(z, t).item()
    assert found.likelihood == pytest.approx(truth, rel=1e-14)
    assert set(found.values) == set(FORMS)
    assert list(found.values.values()) == pytest.approx([truth] * len(FORMS), rel=1e-13)
    f = torch.sigmoid(z)
    y = t * f + (1 - t) * (1 - f)
    assert found.log_of_sum == pytest.approx(-torch.log(y.sum()).item() / len(z), rel=1e-12)
    dog = z[t == 0].clone().requires_grad_()
    each = -torch.log(1 - torch.log(torch.sigmoid(dog)))
    both = torch.where(t == 1, -torch.log(f), -torch.log(1 - torch.log(f)))
    assert found.slip == pytest.approx(both.mean().item(), rel=1e-12)
    (gradient,) = torch.autograd.grad(each.sum(), dog, retain_graph=True)
    np.testing.assert_allclose(found.slip_gradient, gradient.numpy(), rtol=1e-9)
    (gradient,) = torch.autograd.grad(F.softplus(dog).sum(), dog)
    np.testing.assert_allclose(found.f, gradient.numpy(), rtol=1e-9)
    near, far = (
        -torch.log(1 - F.logsigmoid(dog.detach() - amount)).mean().item() for amount in (1e3, 1e6)
    )
    assert found.slip_fall == pytest.approx((near - far) / math.log(1000), rel=1e-12)
    assert found.slip_fall == pytest.approx(1, abs=0.01)
    assert found.bce_shifted[0] == pytest.approx(F.softplus(dog).mean().item(), rel=1e-12)
    assert (np.diff(found.bce_shifted) < 0).all()
    assert found.bce_shifted[-1] > 0
    lowered = -torch.log(1 - F.logsigmoid(dog.detach() - 20.0)).mean().item()
    assert found.slip_shifted[-1] == pytest.approx(lowered, rel=1e-12)


def test_by_hand():
    # Probabilities 3/4 and 2/3 of the right classes.
    found = evaluate_forms(one_logit(np.array([math.log(3), -math.log(2)]), np.array([1, 0])))
    assert found.likelihood == pytest.approx(-math.log(3 / 4 * 2 / 3) / 2, rel=1e-7)
    assert found.log_of_sum == pytest.approx(-math.log(3 / 4 + 2 / 3) / 2, rel=1e-7)
    assert found.slip == pytest.approx(
        -(math.log(3 / 4) + math.log(1 - math.log(1 / 3))) / 2, rel=1e-7
    )


def test_a_product_below_the_smallest_float64():
    found = evaluate_forms(ordinary_predictions(count=2400))
    assert math.exp(-found.likelihood * 2400) == 0.0
    assert found.value_error["float64"] < 1e-12


@pytest.mark.parametrize(
    "predictions",
    [
        one_logit(np.array([1.0, math.nan]), np.array([1, 0])),
        one_logit(np.array([1.0, 2.0]), np.array([1, 1])),
        dataclasses.replace(ordinary_predictions(), outputs=np.zeros((300, 2), np.float32)),
    ],
)
def test_other_predictions_are_refused(predictions):
    with pytest.raises(ValueError, match="wanted"):
        evaluate_forms(predictions)
