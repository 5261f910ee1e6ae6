"""The one autograd mechanism: a loss is a ladder of closed forms.

Rung 0 is the value L(z, t), rung 1 its gradient dL/dz, rung 2 its curvature, given as the
product H v of the Hessian with a vector (for a single logit: L''(z) v). Each rung is one
`torch.autograd.Function`, and the derivative of a rung with respect to the logits is the next
rung: adding a loss is writing three formulas. The derivative with respect to any other tensor (a
target, a weight), and that of the last rung, is `torch.func.vjp` of the rung's own formula, so
derivatives of every order and with respect to every tensor exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

Formula = Callable[..., Tensor]


class ClosedForms(NamedTuple):
    """The three formulas of a loss, made of plain torch operations on tensors.

    `value(z, *rest)` is the loss, `gradient(z, *rest)` is dL/dz and `curvature(z, v, *rest)` the
    Hessian-vector product H v; z and v have one shape. `rest` are the targets and whatever other
    tensors the formula takes, and after them its settings, which are Python numbers and have no
    derivative. If `rows` is false every element of z is an example of its own and all three
    return z's shape. If it is true the last dimension of z holds the classes of one example, and
    `value` returns z's shape without it.
    """

    name: str
    value: Formula
    gradient: Formula
    curvature: Formula
    rows: bool = False


def differentiable(forms: ClosedForms) -> Formula:
    """Return (z, *rest) -> loss per example, whose derivatives are the closed forms.

    It can be differentiated any number of times in reverse mode and once in forward mode over or
    under that, batched by `torch.func.vmap` and compiled by `torch.compile`. Forward mode inside
    forward mode gives zeros: torch.autograd.Function drops the outer tangent without a word. Its
    inputs and nothing else are saved for the backward pass, and none of them is written to.

    >>> cosh = differentiable(
    ...     ClosedForms(
    ...         "log_cosh",
    ...         value=lambda z, t: torch.log(torch.cosh(z - t)),
    ...         gradient=lambda z, t: torch.tanh(z - t),
    ...         curvature=lambda z, v, t: v / torch.cosh(z - t) ** 2,
    ...     )
    ... )
    >>> torch.func.hessian(cosh)(torch.tensor(1.0), torch.tensor(0.0))
    tensor(0.4200)
    """

    def curvature_along(v: Tensor, z: Tensor, _v: Tensor, *rest: Any) -> Tensor:
        return curvature(z, v, *rest)

    # The Hessian is symmetric: pulling back through H v and pushing along it are both H again.
    name = f"{forms.name}_curvature"
    curvature = _rung(name, forms.curvature, 1, curvature_along, curvature_along)

    def gradient_along(v: Tensor, z: Tensor, *rest: Any) -> Tensor:
        return curvature(z, v, *rest)

    gradient = _rung(f"{forms.name}_gradient", forms.gradient, 0, gradient_along, gradient_along)

    def pull(upstream: Tensor, z: Tensor, *rest: Any) -> Tensor:
        return (upstream.unsqueeze(-1) if forms.rows else upstream) * gradient(z, *rest)

    def push(dz: Tensor, z: Tensor, *rest: Any) -> Tensor:
        change = dz * gradient(z, *rest)
        return change.sum(-1) if forms.rows else change

    return _rung(forms.name, forms.value, 0, pull, push)


def _rung(name: str, formula: Formula, position: int, pull: Formula, push: Formula) -> Formula:
    """Make `formula` an autograd function. For the argument at `position`, `pull(u, *inputs)` is
    its vector-Jacobian and `push(v, *inputs)` its Jacobian-vector product; for any other tensor
    they come from the formula itself."""

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
            (pull if at == position else _formula_pull(formula, at))(upstream, *inputs)
            if needed
            else None
            for at, needed in enumerate(ctx.needs_input_grad)
        )

    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        inputs = (*ctx.saved_tensors, *ctx.settings)
        changes = [
            (push if at == position else _formula_push(formula, at))(tangent, *inputs)
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
    function: Any = type(name, (torch.autograd.Function,), members)

    def allow_in_graph() -> None:
        torch.compiler.allow_in_graph(function)  # type: ignore[no-untyped-call]

    # What torch.compiler.assume_constant_result sets: the compiler runs this while it traces.
    allow_in_graph._dynamo_marked_constant = True  # type: ignore[attr-defined]

    def apply(*inputs: Any) -> Tensor:
        # Without this a jvp is a graph break, or is dropped without a word under a compiled
        # func.jvp. It is not done above, because it imports the compiler, which takes seconds.
        if torch.compiler.is_compiling():
            allow_in_graph()
        return function.apply(*inputs)  # type: ignore[no-any-return]

    return apply


def _formula_pull(formula: Formula, at: int) -> Formula:
    def pull(upstream: Tensor, *inputs: Any) -> Tensor:
        def of_one(x: Tensor) -> Tensor:
            return formula(*inputs[:at], x, *inputs[at + 1 :])

        return torch.func.vjp(of_one, inputs[at])[1](upstream)[0]  # type: ignore[no-any-return]

    return pull


def _formula_push(formula: Formula, at: int) -> Formula:
    # Reverse mode twice instead of torch.func.jvp, because forward mode does not nest in itself.
    def push(tangent: Tensor, *inputs: Any) -> Tensor:
        pull = _formula_pull(formula, at)
        zero = torch.zeros_like(formula(*inputs))
        return torch.func.vjp(lambda u: pull(u, *inputs), zero)[1](tangent)[0]  # type: ignore[no-any-return]

    return push
