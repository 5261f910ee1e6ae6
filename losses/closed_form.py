"""The autograd mechanism of every loss: value, gradient and Hessian-vector product in closed form.

Each of the three formulas becomes one `torch.autograd.Function`, and the derivative of each with
respect to the logits is the next one: value L(z, t), gradient dL/dz, Hessian-vector product H v
(for a single logit L''(z) v). Derivatives with respect to any other tensor (a target, a weight),
and those of the Hessian-vector product, are `torch.func.vjp` of the formula itself. So derivatives
of every order and with respect to every tensor exist.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .numerics import applied, computed_in_float64, times
from .tracing.evaluate import evaluate

Formula = Callable[..., Tensor]


class ClosedForms(NamedTuple):
    """The three formulas of a loss, made of torch operations.

    Attributes:
        name: the name of the autograd functions.
        value: `value(z, *rest)`, the loss.
        gradient: `gradient(z, *rest)`, dL/dz, of z's shape.
        hvp: `hvp(z, v, *rest)`, the Hessian-vector product H v, for v of z's shape.
        rows: False: every element of z is an example, and all three return z's shape. True: the
            last dimension of z holds the classes of an example, and `value` returns z's shape
            without it.
        indices: whether the loss of a row also takes a class index in the place of the row of
            targets. The formulas are then written for rows only. They are traced, and the traced
            formula computes for one class what only the right class needs.
        weighted_mean: whether the 'mean' over class indices divides by the sum of their weights,
            or by their number.
        pair: for a loss whose target lists classes, padded with -1: value(z_c, z_l, *settings) of
            a listed class l and an unlisted class c, and its gradient by z_c. The loss of a row is
            the sum over all such pairs, divided by the number of classes. None: another loss.
        by_target: `by_target(z, t, *rest)`, dL/dt, where autograd of `value` meets inf - inf beside
            an infinite logit. None: dL/dt is autograd's.
        of_index: the forms of the same loss of a class index, where they are simpler than those of
            its one-hot row. None: they are not.
        float64_hvp: whether the Hessian-vector product of float32 is computed in float64, because
            its terms can cancel. No kernel computes it.

    `rest` are tensors (targets, weights), followed by Python numbers (settings), which have no
    derivative. A loss of rows takes its target first, then numbers per class.
    """

    name: str
    value: Formula
    gradient: Formula
    hvp: Formula
    rows: bool = False
    indices: bool = True
    weighted_mean: bool = True
    pair: tuple[Formula, Formula] | None = None
    by_target: Formula | None = None
    float64_hvp: bool = False
    of_index: ClosedForms | None = None

    def given(self, names: tuple[str, ...]) -> ClosedForms:
        """Return the forms for inputs of these names, of which 'y' is a class index."""
        return self.of_index if self.of_index and "y" in names else self


def summed(name: str, forms: ClosedForms) -> ClosedForms:
    """Return the forms of the sum over a row of a loss of single logits (a diagonal Hessian)."""

    def value(z: Tensor, t: Tensor, *rest: Any) -> Tensor:
        return forms.value(z, t, *rest).sum(-1)

    return ClosedForms(name, value, forms.gradient, forms.hvp, rows=True)


class Differentiable:
    """The loss per example, a function (z, *rest) whose derivatives are its closed forms.

    Attributes:
        forms: the closed forms.
        kernels: kernels of the loss that have been in use, by what they depend on.
    """

    __slots__ = ("_apply", "forms", "kernels")

    def __init__(self, forms: ClosedForms, apply: Formula) -> None:
        self.forms, self._apply = forms, apply
        self.kernels: dict[Any, Any] = {}

    def __call__(self, *inputs: Any) -> Tensor:
        return self._apply(*inputs)


def differentiable(forms: ClosedForms) -> Differentiable:
    """Return the loss per example as a function (z, *rest) whose derivatives are the closed forms.

    It is differentiable any number of times in reverse mode and once in forward mode, over or under
    reverse mode. `torch.func.vmap` and `torch.compile` work on it. Only its inputs are saved for
    the backward pass, and none is modified in place.

    Forward mode inside forward mode raises RuntimeError, because torch.autograd.Function would drop
    the outer tangent silently.

    >>> cosh = differentiable(
    ...     ClosedForms(
    ...         "log_cosh",
    ...         value=lambda z, t: torch.log(torch.cosh(z - t)),
    ...         gradient=lambda z, t: torch.tanh(z - t),
    ...         hvp=lambda z, v, t: v / torch.cosh(z - t) ** 2,
    ...     )
    ... )
    >>> torch.func.hessian(cosh)(torch.tensor(1.0), torch.tensor(0.0))
    tensor(0.4200)
    """

    def hvp_along(v: Tensor, z: Tensor, _v: Tensor, *rest: Any) -> Tensor:
        return hvp(z, v, *rest)

    value, gradient_of, hvp_of = (_of_indices(forms, k) for k in range(3))
    if forms.float64_hvp:
        hvp_of = computed_in_float64(hvp_of)
    # The Hessian is symmetric: both products with the Jacobian of H v are H again.
    hvp = _autograd_function(f"{forms.name}_hvp", hvp_of, {1: (hvp_along, hvp_along)})

    def gradient_along(v: Tensor, z: Tensor, *rest: Any) -> Tensor:
        return hvp(z, v, *rest)

    along = {0: (gradient_along, gradient_along)}
    gradient = _autograd_function(f"{forms.name}_gradient", gradient_of, along)
    products = {
        0: _products(forms.rows, gradient),
        1: _products(forms.rows, forms.by_target or partial(_target_gradient, value)),
    }
    return Differentiable(forms, _autograd_function(forms.name, value, products))


def _products(rows: bool, gradient: Formula) -> tuple[Formula, Formula]:
    """Return the products of a loss per example with its `gradient`: from the left, from the right.

    Where one factor is 0 and the other infinite, the product is 0: along a tangent that does not
    change an infinite logit, and for the losses that torch.func.jacrev leaves out. An ordinary
    backward pass multiplies as torch does.
    """

    def vjp(upstream: Tensor, *inputs: Any) -> Tensor:
        factor = upstream.unsqueeze(-1) if rows else upstream
        found = gradient(*inputs)
        return times(factor, found) if _transforms() else factor * found

    def jvp(tangent: Tensor, *inputs: Any) -> Tensor:
        product = times(tangent, gradient(*inputs))
        return product.sum(-1) if rows else product

    return vjp, jvp


def _target_gradient(value: Formula, z: Tensor, t: Tensor, *rest: Any) -> Tensor:
    """Return dL/dt of the loss per example, by autograd of its formula."""
    # Autograd adds up what a target that is broadcast gets from its examples.
    z, t = torch.broadcast_tensors(z, t)  # type: ignore[no-untyped-call]
    found, product = torch.func.vjp(lambda x: value(z, x, *rest), t)  # type: ignore[misc]
    return product(torch.ones_like(found))[0]  # type: ignore[no-any-return]


def _of_indices(forms: ClosedForms, order: int) -> Formula:
    """Return value, gradient or Hessian-vector product, which also takes class indices."""
    formula = _formulas(forms)[order]
    if not forms.rows or not forms.indices:
        return formula
    at = 2 if order == 2 else 1

    def computed(*inputs: Any) -> Tensor:
        if len(inputs) <= at or inputs[at].is_floating_point():
            return formula(*inputs)
        tensors = tuple(x for x in inputs if isinstance(x, Tensor))
        names = (("z", "v", "y", "w") if order == 2 else ("z", "y", "w"))[: len(tensors)]
        of_index = _formulas(forms.given(names))[order]
        # Under torch.compile a setting may be symbolic. The cached graph must hold plain numbers.
        settings = tuple(
            float(x) if isinstance(x, torch.SymFloat) else x for x in inputs[len(tensors) :]
        )
        return evaluate(of_index, names, tensors, settings, per_row=order == 0)

    return computed


def _formulas(forms: ClosedForms) -> tuple[Formula, Formula, Formula]:
    return forms.value, forms.gradient, forms.hvp


def _autograd_function(
    name: str, formula: Formula, products: dict[int, tuple[Formula, Formula]]
) -> Formula:
    """Return `formula` as an autograd function.

    Args:
        products: index of an argument -> `vjp(u, *inputs)` and `jvp(v, *inputs)`, the
            vector-Jacobian and the Jacobian-vector product for that argument.

    For any other tensor the products are those of the formula itself.
    """

    def products_of(at: int) -> tuple[Formula, Formula]:
        return products.get(at) or (_vjp_of(formula, at), _jvp_of(formula, at))

    def forward(*inputs: Any) -> Tensor:
        return formula(*inputs)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.settings = inputs[len(tensors) :]

    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        inputs = (*ctx.saved_tensors, *ctx.settings)
        return tuple(
            products_of(at)[0](upstream, *inputs) if needed else None
            for at, needed in enumerate(ctx.needs_input_grad)
        )

    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        _refuse_nested_forward_mode(name)
        inputs = (*ctx.saved_tensors, *ctx.settings)
        changes = [
            products_of(at)[1](tangent, *inputs)
            for at, tangent in enumerate(tangents)
            if tangent is not None
        ]
        return sum(changes[1:], start=changes[0])

    members = {
        "forward": staticmethod(forward),
        "setup_context": staticmethod(setup_context),
        "backward": staticmethod(backward),
        "jvp": staticmethod(jvp),
        "generate_vmap_rule": True,
        "__module__": __name__,
    }
    function = type(name, (torch.autograd.Function,), members)
    return _application(function, formula)


def _application(function: Any, formula: Formula) -> Formula:
    """Return the call of an autograd function that computes `formula`, also under a compiler."""

    def allow_in_graph() -> None:
        torch.compiler.allow_in_graph(function)  # type: ignore[no-untyped-call]

    # As torch.compiler.assume_constant_result: the compiler runs this while it traces.
    allow_in_graph._dynamo_marked_constant = True  # type: ignore[attr-defined]

    def apply(*inputs: Any) -> Tensor:
        # Without this a jvp is a graph break, or is silently dropped under a compiled func.jvp.
        # Not at import, because it imports the compiler, which takes seconds.
        if torch.compiler.is_compiling():
            allow_in_graph()
        return applied(function.apply, formula, *inputs)

    return apply


def _transforms() -> list[Any]:
    """Return the transformations of torch.func that are in progress."""
    return torch._C._functorch.get_interpreter_stack() or []


def _refuse_nested_forward_mode(name: str) -> None:
    """Raise RuntimeError inside of two jvps: torch would drop the outer tangent silently."""
    if sum(each.key() == torch._C._functorch.TransformType.Jvp for each in _transforms()) > 1:
        raise RuntimeError(
            f"{name}: forward mode inside forward mode is not supported by torch.autograd.Function:"
            " use jacfwd of jacrev in place of jacfwd of jacfwd, as torch.func.hessian does"
        )


def _vjp_of(formula: Formula, position: int) -> Formula:
    """Return the vector-Jacobian product of a formula for the argument at `position`."""

    def vjp(upstream: Tensor, *inputs: Any) -> Tensor:
        def of_argument(x: Tensor) -> Tensor:
            return formula(*inputs[:position], x, *inputs[position + 1 :])

        return torch.func.vjp(of_argument, inputs[position])[1](upstream)[0]  # type: ignore[no-any-return]

    return vjp


def _jvp_of(formula: Formula, position: int) -> Formula:
    """Return the Jacobian-vector product of a formula for the argument at `position`.

    It is reverse mode twice, because forward mode does not nest in itself.
    """
    vjp = _vjp_of(formula, position)

    def jvp(tangent: Tensor, *inputs: Any) -> Tensor:
        zero = torch.zeros_like(formula(*inputs))
        return torch.func.vjp(lambda u: vjp(u, *inputs), zero)[1](tangent)[0]  # type: ignore[no-any-return]

    return jvp
