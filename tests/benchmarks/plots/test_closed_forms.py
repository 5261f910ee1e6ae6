from functools import cache

import numpy as np
import pytest
import torch

from lossbench.benchmarks.plots.closed_forms import (
    closed_form_panels,
    draw_closed_forms,
    evaluate_at_logits,
)
from lossbench.benchmarks.training.objective import Objective
from lossbench.losses import registry
from lossbench.losses.kernels.switches import this_thread

from ..samples import opened

Z = np.array([-8.0, -1.0, 0.5, 8.0])
P = 1 / (1 + np.exp(-Z))

# Value and gradient for t = 1, from the textbook.
EXPECTED = {
    "probability-sum": (1 - P, -P * (1 - P)),
    "bce": (-np.log(P), P - 1),
    "bce-with-logits": (-np.log(P), P - 1),
    "cross-entropy": (-np.log(P), P - 1),
    "nll": (-np.log(P), P - 1),
    "sigmoid-mse": ((P - 1) ** 2 / 2, (P - 1) * P * (1 - P)),
    "zero-one": ([1, 1, 0, 0], [0, 0, 0, 0]),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_curves_are_the_formulas(name):
    value, gradient = evaluate_at_logits(registry.entry(name), torch.tensor(Z))
    np.testing.assert_allclose(value, EXPECTED[name][0], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(gradient, EXPECTED[name][1], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("name", registry.names())
def test_the_curve_is_what_a_network_of_two_classes_is_given(name: str, label: int) -> None:
    z = torch.linspace(-6, 6, 50, dtype=torch.float64)
    outputs = z[:, None].clone().requires_grad_()
    values = Objective(name, kernels=False)(outputs, torch.full((50,), label))
    (gradients,) = torch.autograd.grad(values.sum(), outputs)
    drawn = evaluate_at_logits(registry.entry(name), z, label)
    assert torch.equal(drawn[0], values.detach())
    assert torch.equal(drawn[1], gradients[:, 0])


def test_curves_are_computed_without_kernels(monkeypatch) -> None:
    depths, per_example_loss = [], registry.Entry.per_example_loss

    def noted(*arguments) -> torch.Tensor:
        depths.append(this_thread.closed_forms_only)
        return per_example_loss(*arguments)

    monkeypatch.setattr(registry.Entry, "per_example_loss", noted)
    evaluate_at_logits(registry.entry("nll"), torch.zeros(2))
    assert depths == [1]


@cache
def drawn(*losses: str, synthetic: bool = False, classes: tuple[str, ...] = ("dog", "cat")):
    return draw_closed_forms(closed_form_panels(losses, classes), synthetic=synthetic)


@pytest.mark.slow
def test_every_registered_loss_is_drawn_in_a_small_file():
    data = drawn(*registry.names())
    assert len(data) <= 250_000
    assert opened(data).width == 1600


def test_a_loss_of_another_machine_is_left_out():
    assert drawn("mse", "not here") == drawn("mse")
    assert drawn("not here") is None


@pytest.mark.parametrize("classes", [(), ("eel", "owl"), ("a", "b", "c")])
def test_any_classes_can_be_drawn(classes):
    named, cats = drawn("mse", classes=classes), drawn("mse")
    assert opened(named).size == opened(cats).size
    assert named != cats


def test_synthetic_is_stamped_and_described():
    image, plain = opened(drawn("mse", synthetic=True)), opened(drawn("mse"))
    assert "SYNTHETIC" in image.text["Description"]
    difference = np.asarray(image.convert("L"), int) - np.asarray(plain.convert("L"), int)
    assert (np.abs(difference) > 20).mean() > 0.01
