"""Arithmetic that more than one family needs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def times(coefficient: Tensor, x: Tensor) -> Tensor:
    """Return coefficient * x with 0 * inf = 0: a weight of 0 contributes nothing.

    The derivative by the coefficient is x, at infinity too.
    """
    if torch.is_grad_enabled() and _tracked(coefficient, x):
        return applied(_Product.apply, _product, coefficient, x)
    return _product(coefficient, x)


def sign(x: Tensor) -> Tensor:
    """Return 1, 0 or -1, and NaN of NaN, where torch's sign is 0."""
    return torch.where(x > 0, 1.0, torch.where(x < 0, -1.0, x.detach()))


def _product(a: Tensor, b: Tensor) -> Tensor:
    return torch.where((a == 0) & b.isinf(), 0.0, a * b)


def _tracked(*factors: object) -> bool:
    """Return whether the factors are tensors of which one needs a gradient."""
    return all(isinstance(x, Tensor) for x in factors) and any(
        x.requires_grad for x in factors if isinstance(x, Tensor)
    )


class _Product(torch.autograd.Function):
    """The product of `times`. By torch.where its derivative would be 0 * inf = NaN."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor) -> Tensor:
        return _product(a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], _output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx: Any, change_of_a: Tensor | None, change_of_b: Tensor | None) -> Tensor:
        a, b = ctx.saved_tensors
        if change_of_a is None or change_of_b is None:
            return times(a, change_of_b) if change_of_b is not None else times(change_of_a, b)  # type: ignore[arg-type]
        return times(change_of_a, b) + times(a, change_of_b)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        by_a, by_b = ctx.needs_input_grad
        # Nothing flows back where the loss does not use the product, or the other factor is 0.
        return (
            times(upstream, b).sum_to_size(a.shape) if by_a else None,
            times(a, upstream).sum_to_size(b.shape) if by_b else None,
        )


def applied(apply: Callable[..., Tensor], formula: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """Return `apply(*inputs)` of an autograd function, or its formula under functionalize.

    torch.func.functionalize has no rule for autograd functions; the formula's operations it knows.
    """
    try:
        return apply(*inputs)
    except RuntimeError as error:
        if "Functionalize rule" not in str(error):
            raise
        return formula(*inputs)


def in_float64(*arguments: Any) -> tuple[Any, ...]:
    """Return `arguments` with tensors of floating point in float64, except on MPS, which lacks it.

    Settings stay as they are.
    """
    return tuple(
        # Tensors, and the placeholders that stand for them while a formula is traced; not settings.
        x.double()
        if hasattr(x, "is_floating_point") and x.is_floating_point() and x.device.type != "mps"
        else x
        for x in arguments
    )


def computed_in_float64(formula: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a formula that computes in float64 and returns the dtype of its first argument."""

    def computed(z: Tensor, *rest: Any) -> Tensor:
        return formula(*in_float64(z, *rest)).to(z.dtype)

    return computed


def zero_hvp(z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """Return the Hessian-vector product of a loss without curvature, of the inputs' shape."""
    return torch.zeros_like(z * v * t)
