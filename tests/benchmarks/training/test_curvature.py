import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lossbench.benchmarks.training.curvature import measure_curvature
from lossbench.benchmarks.training.objective import Objective

TEXTBOOK = {
    "cross-entropy": F.binary_cross_entropy_with_logits,
    "sigmoid-mse": lambda z, t: ((torch.sigmoid(z) - t) ** 2 / 2).mean(),
}


@pytest.fixture
def batches():
    draw = torch.Generator().manual_seed(3)
    return [
        (torch.randn(5, 2, 2, 2, generator=draw), torch.arange(5) % 2 * (k > 0)) for k in range(4)
    ]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)
    )


@pytest.mark.parametrize("loss", TEXTBOOK)
def test_gradient_noise_and_curvature_are_those_of_float64(loss, model, batches):
    """The whole Hessian by torch.func, from the textbook formula."""
    measured = measure_curvature(model, Objective(loss), batches)
    wide = model.double()
    names, shapes = zip(*((n, p.shape) for n, p in wide.named_parameters()), strict=True)
    flat = torch.cat([p.detach().flatten() for p in wide.parameters()])

    def loss_of(flat, pixels, labels):
        parts = torch.split(flat, [shape.numel() for shape in shapes])
        named = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        z = torch.func.functional_call(wide, named, (pixels.double(),))[:, 0]
        return TEXTBOOK[loss](z, labels.double())

    def mean_loss(flat):
        return torch.stack([loss_of(flat, *batch) for batch in batches]).mean()

    g = torch.autograd.functional.jacobian(mean_loss, flat)
    h = torch.autograd.functional.hessian(mean_loss, flat)
    each = torch.stack(
        [torch.autograd.functional.jacobian(lambda x, b=b: loss_of(x, *b), flat) for b in batches]
    )
    noise = math.sqrt(sum(float(((e - g) ** 2).sum()) for e in each) / (len(batches) - 1))
    assert measured.norm == pytest.approx(float(g.norm()), rel=1e-4)
    assert measured.signal_to_noise == pytest.approx(float(g.norm()) / noise, rel=1e-4)
    assert measured.along == pytest.approx(float(g @ h @ g / (g @ g)), rel=1e-3)
    # A step along -g changes the length of the gradient by that.
    step = 1e-6 * g / g.norm()
    moved = torch.autograd.functional.jacobian(mean_loss, flat - step)
    change = float(moved.norm() / g.norm() - 1) / 1e-6
    assert measured.growth == pytest.approx(change, rel=1e-2)


def test_the_model_stays_as_it_is(model, batches):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_curvature(model.eval(), Objective("cross-entropy"), batches)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training
    assert all(p.grad is None for p in model.parameters())


def test_no_gradient_has_no_growth_and_one_batch_no_noise(model, batches):
    assert math.isnan(measure_curvature(model, Objective("zero-one"), batches).growth)
    one = measure_curvature(model, Objective("cross-entropy"), batches[:1])
    assert math.isnan(one.signal_to_noise)
