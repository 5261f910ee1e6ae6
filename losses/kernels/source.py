"""The C++ source of a loss's kernel."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

from ..closed_form import Differentiable
from ..tracing.evaluate import traced
from .cpp import Source, elements_source
from .cpp_rows import rows_source
from .switches import NoKernelsError


class Request(NamedTuple):
    """The key of a compiled kernel.

    Attributes:
        loss: the loss.
        inputs: names of its tensors, as in `tracing.evaluate.traced`.
        settings: its settings.
        wide: whether it computes in float64.
    """

    loss: Differentiable
    inputs: tuple[str, ...]
    settings: tuple[float, ...]
    wide: bool = False


@lru_cache(maxsize=4096)
def source(request: Request) -> Source:
    """Print the kernel of a loss.

    Raises NoKernelsError for formulas that cannot be traced.
    """
    forms = request.loss.forms
    formulas = forms.pair or (forms.value, forms.gradient)
    inputs = ("z", "t") if forms.pair else request.inputs
    dtype, scalar = (torch.float64, "double") if request.wide else (torch.float32, "float")
    try:
        value, gradient = (
            traced(formula, inputs, request.settings, dtype).result for formula in formulas
        )
    except (NotImplementedError, AttributeError, TypeError) as error:
        raise NoKernelsError(f"{forms.name} cannot be traced: {error}") from error
    if forms.rows and not forms.pair:
        return rows_source(value, gradient, inputs, scalar)
    driver = "lists" if forms.pair else "elements"
    return elements_source(value, gradient, inputs, scalar, driver)
