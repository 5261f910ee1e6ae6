import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lossbench.benchmarks.evidence.multiclass import LOSSES, OTHERS, REFERENCE, algebra, left_over
from lossbench.benchmarks.training.result import Predictions

from .worlds import multiclass_world


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"bce-with-logits": 0.66}, "does not hold"),
        ({"bernoulli-sum": 0.66}, "does not hold"),
        # A lead smaller than the margin.
        ({"bernoulli-sum": 0.598}, "holds"),
    ],
)
def test_verdict_follows_the_lead(verdict, change, expected):
    assert verdict("multiclass", change=change) == expected


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("multiclass")
    finding = examine("multiclass")
    points = {
        loss: 100 * np.mean([run.test.accuracy for run in analysis.runs[loss]]) for loss in LOSSES
    }
    expected = [points[loss] - points[REFERENCE] for loss in OTHERS]
    assert [measure.value for measure in finding.measures[:3]] == pytest.approx(expected)
    assert finding.tables[1].rows[0][3] == "reference"
    assert "chance 10" in finding.figures[0].alt
    assert {c.epochs for c in trainer.searched} == {c.epochs for c in trainer.trained}


def of(z, y):
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return Predictions(z.astype(np.float32), p.astype(np.float32), z.argmax(1), y)


def test_the_algebra_by_torch():
    draw = np.random.default_rng(0)
    z, y = draw.normal(0, 2, (40, 5)), draw.integers(0, 5, 40)
    found = algebra(of(z, y))
    assert found.from_logarithm < 1e-12
    assert found.from_twice < 1e-12
    logits = torch.tensor(z.astype(np.float32)).double().requires_grad_()
    target = F.one_hot(torch.tensor(y), 5).double()
    p = logits.softmax(1)
    (gradient,) = torch.autograd.grad(F.binary_cross_entropy(p, target, reduction="sum"), logits)
    error = (p - target).detach().numpy()
    assert found.left_over == pytest.approx(left_over(gradient.numpy(), error), rel=1e-6)
    assert found.left_over > 0.05


def test_nothing_is_left_over_of_a_multiple():
    error = np.random.default_rng(1).normal(size=(30, 4))
    assert left_over(3 * error, error) < 1e-12
    # Half of this gradient is at a right angle.
    assert left_over(np.array([[1.0, 1.0]]), np.array([[2.0, 0.0]])) == pytest.approx(2**-0.5)


def test_two_classes_have_one_loss():
    z, y = np.random.default_rng(2).normal(0, 2, (40, 2)), np.arange(40) % 2
    assert algebra(of(z, y)).left_over < 1e-9


def test_refuted_where_the_bernoullis_are_a_multiple(examine):
    def world(config):
        found = multiclass_world(config)
        if found.test is not None:
            # All wrong classes alike: the gradients then have one direction.
            z = np.zeros_like(found.test.outputs)
            z[np.arange(len(z)), found.test.labels] = 1 + 0.1 * (config.seed % 3)
            found.test.outputs[:] = z
        return found

    finding = examine("multiclass", world=world)
    assert finding.measures[3].verdict == "does not hold"
