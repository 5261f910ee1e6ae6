"""The programs of a loss: of its value, of its gradient, and of both with what they share."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch

from ...tracing.graph import Node, topological
from ...tracing.trace import Placeholder, Setting, Tracer
from ..source import Request
from .assemble import assemble
from .bounded import BOUND, BoundedGraph
from .program import Program

SHARED_AT_LEAST = 10
"""Cost of shared steps above which the gradient is computed with the value, and kept."""
_COSTS = {
    "exponential": 0,
    "softmax": 0,
    "others": 10,
    "pow": 10,
    "tanh": 10,
    "where": 3,
    "argmax": 6,
}
_COSTS |= dict.fromkeys(("exp", "expm1", "log", "log1p", "log1p_exp_neg_abs"), 6)


class Programs(NamedTuple):
    """Programs of a loss for inputs within the bound, or for any.

    Attributes:
        value, gradient, both: what they compute.
        shares: whether value and gradient have expensive steps in common.
    """

    value: Program
    gradient: Program
    both: Program
    shares: bool


@lru_cache(maxsize=4096)
def programs(request: Request, classes: int, bounded: bool) -> Programs | None:
    """Return the programs of a loss of rows of so many classes; None if it cannot be traced."""
    dtype = torch.float64 if request.float64 else torch.float32
    graph = BoundedGraph(bound=BOUND if bounded else None, classes=classes)
    try:
        value, gradient = _recorded(graph, request, dtype)
    except (NotImplementedError, AttributeError, TypeError):
        return None
    parts = (
        assemble(graph, value.base, None, {}, dtype),
        assemble(graph, None, gradient.base, gradient.at, dtype),
        assemble(graph, value.base, gradient.base, gradient.at, dtype),
    )
    of_value = _cost([value.base])
    of_gradient = _cost([gradient.base, *gradient.at, *gradient.at.values()])
    both = _cost([value.base, gradient.base, *gradient.at, *gradient.at.values()])
    return Programs(*parts, of_value + of_gradient - both >= SHARED_AT_LEAST)


def _recorded(
    graph: BoundedGraph, request: Request, dtype: torch.dtype
) -> tuple[Placeholder, Placeholder]:
    """Trace value and gradient in one graph."""
    forms = request.loss.forms
    tracer = Tracer(dtype)
    tracer.graph = graph
    names = ("z", "t") if forms.pair else request.inputs
    inputs = [tracer.input(name) for name in names]
    settings = [Setting(x) if isinstance(x, float) else x for x in request.settings]
    # A subclass of Tensor switches off __torch_function__, by which placeholders record.
    with torch._C._EnableTorchFunction():
        found: Any = [f(*inputs, *settings) for f in forms.pair or (forms.value, forms.gradient)]
    value, gradient = found
    if not (isinstance(value, Placeholder) and isinstance(gradient, Placeholder)):
        raise TypeError(f"{forms.name} returns no tensor")
    return value, gradient


def _cost(roots: list[Node]) -> int:
    """Return about how often the steps of the nodes per class pass over a tile."""
    nodes = [x for x in topological(roots) if x.per == "class" or x.op in ("others", "argmax")]
    return sum(_COSTS.get(x.op, 1) * (1 + (x.sort == "float64")) for x in nodes if x.op != "input")
