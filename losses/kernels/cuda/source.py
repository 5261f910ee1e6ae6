"""A loss's functions in Triton, printed from its closed forms and made a module in memory."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import linecache
from functools import cache, lru_cache
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...tracing.evaluate import traced
from ..source import Request
from ..switches import NoKernelsError
from . import printer

RUNTIME = f"{__package__}.runtime"


class Kernel(NamedTuple):
    """The functions of a loss.

    Attributes:
        value, gradient: for the kernels of `runtime/`.
        constants: what they read.
        saves: whether the value saves two numbers per row for the gradient.
        exact: whether a number has to have the same bits wherever it is computed.
    """

    value: Any
    gradient: Any
    constants: tuple[float, ...]
    saves: bool
    exact: bool

    def constants_on(self, device: torch.device) -> Tensor:
        return _constants(self.constants, device)


@lru_cache(maxsize=4096)
def kernel(request: Request) -> Kernel:
    """Print the functions of a loss; raise NoKernelsError if its formulas cannot be traced."""
    forms = request.loss.forms.given(request.inputs)
    inputs = ("z", "t") if forms.pair else request.inputs
    try:
        value, gradient = (
            traced(formula, inputs, request.settings, torch.float32).result
            for formula in forms.pair or (forms.value, forms.gradient)
        )
    except (NotImplementedError, AttributeError, TypeError) as error:
        raise NoKernelsError(f"{forms.name} cannot be traced: {error}") from error
    of_rows = forms.rows and not forms.pair
    printed = (printer.rows if of_rows else printer.elements)(value, gradient)
    module = _module(forms.name, printed.text)
    return Kernel(module.value, module.gradient, printed.constants, printed.saves, printed.exact)


class _InMemory(importlib.abc.InspectLoader):
    """Makes a module of a text, which Triton reads again under the name of a file."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)

    def get_source(self, _name: str) -> str:
        return self.text

    def get_code(self, _name: str) -> CodeType:
        return self.source_to_code(self.text, self.file)


@cache
def _module(name: str, text: str) -> ModuleType:
    """Make a module of printed functions; equal texts are one module, compiled once."""
    file = f"<{name} in Triton, {hash(text) & 0xFFFFFFFF:08x}>"
    spec = importlib.machinery.ModuleSpec(f"{RUNTIME}.{name}", _InMemory(text, file))
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


@lru_cache(maxsize=1024)
def _constants(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values or (0.0,), dtype=torch.float64, device=device)
