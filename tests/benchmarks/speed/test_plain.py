"""Plain expressions: every loss has one, and each is the same function as ours."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lossbench.benchmarks.speed.cases import CONDITIONS, Condition, loss_inputs, usable
from lossbench.benchmarks.speed.plain import in_torch, spellings
from lossbench.losses import registry

CASES = [(name, kind) for name in registry.names() for kind in registry.entry(name).targets]
DOUBLE = Condition("double", 1, 1, dtype=torch.float64)
SHAPES = {"binary": [(9,)], "multiclass": [(9, 5), (2, 5, 3, 2)], "multilabel": [(9, 5)]}


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_loss_has_plain_expressions_of_the_same_function(name: str, kind: str) -> None:
    entry = registry.entry(name)
    plain = spellings(name, kind)
    assert 1 <= len(plain) <= 3
    for shape in SHAPES[entry.task]:
        if len(shape) > 2 and not entry.images:
            continue
        input, target = loss_inputs(entry, shape, DOUBLE, kind)
        input.requires_grad_()
        expected = entry.build()(input, target)
        gradient = torch.autograd.grad(expected, input)[0]
        for each in plain:
            found = each(input, target)
            torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-8)
            (by_autograd,) = torch.autograd.grad(found, input)
            torch.testing.assert_close(by_autograd, gradient, rtol=1e-7, atol=1e-8)


def test_what_torch_has_is_timed_beside_torch() -> None:
    of_torch = {
        name
        for name in registry.names()
        if registry.entry(name).source.startswith(("torch.nn.", "torchvision."))
    }
    assert of_torch < set(filter(in_torch, registry.names()))
    assert spellings("cross-entropy", "index") == (torch.nn.functional.cross_entropy,)


@pytest.mark.parametrize("name", ["float16", "float64 targets"])
def test_what_torch_has_for_no_such_dtype_is_cast(name: str) -> None:
    (condition,) = (each for each in CONDITIONS if each.name == name)
    for loss in registry.names():
        entry = registry.entry(loss)
        kind = condition.target_type(entry)
        if kind is not None:
            shape = SHAPES[entry.task][0]
            input, target = loss_inputs(entry, shape, condition, kind)
            for each in usable(spellings(loss, kind), input, target):
                assert each(input, target).dim() == 0


@pytest.mark.parametrize("textbook", [None, lambda x, t: (x - t).abs()])
def test_a_loss_of_a_user_is_its_textbook_formula(
    monkeypatch: pytest.MonkeyPatch, textbook: Callable[..., Tensor] | None
) -> None:
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.register("mine", task="binary", textbook=textbook)(torch.nn.L1Loss)
    found = [each(torch.tensor([3.0]), torch.tensor([1.0])) for each in spellings("mine", "sign")]
    assert found == ([] if textbook is None else [2.0])
