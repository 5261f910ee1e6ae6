"""What the cross-entropy of a linear layer keeps between forward and backward."""

import pytest
import torch
from torch import Tensor

from lossbench.losses import functional

from .cases import each_reduction
from .linear_cases import (
    WEIGHT,
    B,
    T,
    W,
    X,
    Y,
    check,
    derivatives,
    parts,
    textbook,
)

linear_cross_entropy = functional.linear_cross_entropy


def leaves() -> tuple[Tensor, Tensor, Tensor]:
    x, w, b = (a.clone().requires_grad_() for a in (X, W, B))
    return x, w, b


@parts
@each_reduction
def test_a_retained_graph_gives_the_same_gradients_again(reduction: str) -> None:
    x, w, b = leaves()
    loss = linear_cross_entropy(x, w, Y, linear_bias=b, reduction=reduction)
    first, second, other, last = (
        torch.autograd.grad(loss, (x, w, b), torch.full_like(loss, factor), retain_graph=keep)
        for factor, keep in ((3.0, True), (3.0, True), (1.0, True), (3.0, False))
    )
    for a, b1, c, d in zip(first, second, other, last, strict=True):
        assert torch.equal(a, b1)
        assert torch.equal(a, d)
        torch.testing.assert_close(3 * c, a)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, x, torch.ones_like(loss))


@parts
def test_gradients_that_are_accumulated_are_nobody_else_s() -> None:
    x, w, b = leaves()
    loss = linear_cross_entropy(x, w, Y, linear_bias=b)
    loss.backward(retain_graph=True)
    assert w.grad is not None
    w.grad.zero_()
    loss.backward()
    check([w.grad], derivatives(textbook, Y)[2:3])


@parts
@each_reduction
@pytest.mark.parametrize("which", ["input", "linear_weight", "linear_bias", "target", "weight"])
def test_a_tensor_that_has_been_modified_is_an_error(which: str, reduction: str) -> None:
    x, w, b = (a * 1 for a in leaves())
    tensors = {"input": x, "linear_weight": w, "linear_bias": b}
    tensors |= {"target": T.clone(), "weight": WEIGHT.clone()}
    loss = linear_cross_entropy(**tensors, reduction=reduction)
    with torch.no_grad():
        tensors[which].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.sum().backward()


@parts
@each_reduction
def test_all_that_is_kept_passes_the_hooks_of_saved_tensors(reduction: str) -> None:
    x, w, b = leaves()
    packed: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        packed.append(tensor)
        return tensor.clone()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor.clone()):
        loss = linear_cross_entropy(x, w, Y, linear_bias=b, reduction=reduction)
    assert len(packed) == (4 if reduction == "none" else 7)
    node = loss.grad_fn
    assert not [v for v in vars(node).values() if isinstance(v, Tensor)]
    found = torch.autograd.grad(loss.sum(), (x, w, b))
    expected = torch.autograd.grad(
        textbook(x, w, Y, linear_bias=b, reduction=reduction).sum(), (x, w, b)
    )
    check(list(found), list(expected))


@parts
@each_reduction
def test_checkpoint(reduction: str) -> None:
    from torch.utils.checkpoint import checkpoint

    x, w, b = leaves()

    def loss(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return linear_cross_entropy(x, w, Y, linear_bias=b, reduction=reduction).sum()

    checkpoint(loss, x, w, b, use_reentrant=False).backward()
    expected = torch.autograd.grad(loss(x, w, b), (x, w, b))
    for tensor, gradient in zip((x, w, b), expected, strict=True):
        assert tensor.grad is not None
        torch.testing.assert_close(tensor.grad, gradient)
