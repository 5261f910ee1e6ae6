"""The C++ source of a loss's kernel."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

from ..closed_form import Differentiable, Formula
from ..tracing.evaluate import traced
from ..tracing.graph import Node, same, topological
from ..tracing.trace import Placeholder
from .cpp import Constants, Source, elements_source, struct_text
from .cpp_rows import RowPrinter, is_saved
from .cpp_tiles import TilePrinter
from .program import First, Loop, Softmax, Step, finds_largest, program, roots
from .switches import NoKernelsError

OfRightClass = tuple[Node | None, Node | None]


class Request(NamedTuple):
    """The key of a compiled kernel.

    Attributes:
        loss: the loss.
        inputs: names of its tensors, as in `tracing.evaluate.traced`.
        settings: its settings.
        float64: whether it computes in float64.
    """

    loss: Differentiable
    inputs: tuple[str, ...]
    settings: tuple[float, ...]
    float64: bool = False


@lru_cache(maxsize=4096)
def source(request: Request) -> Source:
    """Print the kernel of a loss.

    Raises NoKernelsError for formulas that cannot be traced.
    """
    forms = request.loss.forms.given(request.inputs)
    formulas = forms.pair or (forms.value, forms.gradient)
    inputs = ("z", "t") if forms.pair else request.inputs
    dtype, scalar = (torch.float64, "double") if request.float64 else (torch.float32, "float")
    try:
        value, gradient = (
            traced(formula, inputs, request.settings, dtype).result for formula in formulas
        )
    except (NotImplementedError, AttributeError, TypeError) as error:
        raise NoKernelsError(f"{forms.name} cannot be traced: {error}") from error
    if forms.rows and not forms.pair:
        return _rows_source(value, gradient, inputs, scalar)
    driver = "lists" if forms.pair else "elements"
    of_right_class: OfRightClass = (None, None)
    if not forms.pair:
        of_right_class = _of_right_class(formulas, inputs, request.settings, dtype)
    return elements_source(value, gradient, inputs, scalar, driver, of_right_class)


def _of_right_class(
    formulas: tuple[Formula, ...],
    inputs: tuple[str, ...],
    settings: tuple[float, ...],
    dtype: torch.dtype,
) -> OfRightClass:
    """Return value and gradient of the target 1, each if that of the target 0 is the same of -z."""
    if inputs != ("z", "t"):
        return None, None
    (value, gradient), (value_of_0, gradient_of_0) = (
        [traced(formula, (z, t), settings, dtype).result for formula in formulas]
        for z, t in (("z", "1"), ("-z", "0"))
    )
    return _if_same(value, value_of_0), _if_same(gradient, -gradient_of_0)


def _if_same(a: Placeholder, b: Placeholder) -> Node | None:
    return a.base if same(a.base, b.base) and a.base.value is None else None


def _rows_source(
    value: Placeholder, gradient: Placeholder, inputs: tuple[str, ...], scalar: str
) -> Source:
    """Print the value and gradient of a loss of rows as C++.

    Args:
        value, gradient: the traced formulas.
        inputs: names of their tensors.
        scalar: C++ type of the numbers.
    """
    constants = Constants()
    programs = program(value.base, None, {}), program(None, gradient.base, gradient.at)
    saves = all(any(map(_of_logits, each.steps)) for each in programs)
    functions = [
        printer(each, constants, saves).function()
        for each in programs
        for printer in (RowPrinter, TilePrinter)
    ]
    rooms = [len(each.memory) for each in programs]
    whole = any(_of_all_classes(step) for each in programs for step in each.steps)
    facts = f"  static constexpr int value_room = {rooms[0]}, gradient_room = {rooms[1]};\n"
    facts += f"  static constexpr bool whole_rows = {str(whole).lower()};\n"
    read = any(x.args == ("z",) for x in topological(roots(programs[1].steps, None)))
    facts += f"  static constexpr bool gradient_reads_logits = {str(read).lower()};\n"
    text = struct_text("rows", scalar, constants, facts + "\n".join(functions), len(inputs))
    exact = any(map(finds_largest, programs))
    # Part of the text, because the name of the library is made of it.
    text = "// Without fused operations.\n" * exact + text
    return Source(text, tuple(constants.values), saves, exact)


def _of_all_classes(step: Step) -> bool:
    """Return whether a step reads all classes; a gradient that is 0 in general does not."""
    if isinstance(step, Loop):
        return any(x.value != 0 for x in step.roots)
    return isinstance(step, Softmax | First)


def _of_logits(step: object) -> bool:
    return isinstance(step, Softmax) and is_saved(step.memory)
