"""Kernels: compiled functions that compute a loss, or its gradient, in one pass over memory.

The kernels are printed from the closed forms: `tracing` records a formula as a graph, `program` and
`cpp` make C++ of it, and `build` compiles it for this processor, for float32 (which also computes
bfloat16 and float16) and for float64. The torch extension that calls them, `glue/`, is built once,
by `python -m lossbench.losses.kernels build` or the command `lossbench`, into the user's cache;
then a loss is compiled when it is first used. `cuda/` prints Triton of the same graph, for CUDA.

Without a compiler `eager/` computes plain calls on the CPU by torch's operations, arranged by the
same graph. The closed forms compute everything else: under torch.compile, a trace or `torch.func`,
on other devices, derivatives by targets and weights, and second derivatives. Results agree within
rounding.

`losses.backend()` returns what is in use, and why. `LOSSES_KERNELS=0` switches the kernels off.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..closed_form import Differentiable
from .eager import call as eager
from .source import Request
from .switches import (
    Backend,
    NoKernelsError,
    by_formulas_only,
    switched_off,
    without_cuda_kernels,
)

__all__ = [
    "Backend",
    "Request",
    "Signature",
    "backend",
    "closed_forms_only",
    "compute",
    "compute_on_cuda",
    "ensure",
    "load",
]


class _NoKernels:
    """Stand-in where there are no kernels: supports no call."""

    def kernel(self, *_: object) -> None:
        return None

    call = kernel
    closed_forms = kernel


class _LazyKernels:
    """Stand-in that loads the kernels at the first loss, not when `losses` is imported."""

    def __getattr__(self, name: str) -> Any:
        load()
        return getattr(_native, name)


logger = logging.getLogger(__name__)
_native: Any = _LazyKernels()
_backend: Backend | None = None
_warned: set[str] = set()
"""The warning that kernels cannot be compiled, once it has been given."""
_collecting: dict[int, list[Request]] = {}
"""Thread -> requests of its losses, while they are collected."""


class Signature(NamedTuple):
    """The arguments that a kernel supports, beside the closed form for all others.

    Native code holds no rule of what is right or wrong. It computes the calls whose tensors are
    plain for their signature (`is_plain` in `glue/compute.cpp`); all others it leaves to the rules
    of `checks.py`.

    Attributes:
        closed_form: `closed_form(loss, input, target, weight, extra, ignore_index, reduction,
            settings)`: the same loss in torch operations, differentiable.
        takes_weight: whether the formula takes the weights of the classes, after its target.
        one_dtype: whether only a target of the input's dtype is plain.
        matrix: whether only an input (N, C) is plain.
        unit_interval: whether only inputs and targets within [0, 1] are plain.
    """

    closed_form: Callable[..., Tensor]
    takes_weight: bool = False
    one_dtype: bool = False
    matrix: bool = False
    unit_interval: bool = False


def compute(
    loss: Differentiable,
    signature: Signature,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[Any, ...],
) -> Tensor | None:
    """Compute a loss, weighted and reduced, on the CPU; None if the call is not plain.

    Nothing has to be known of the arguments, only that a distribution has no ignored class.

    Args:
        weight: factors, of elements or of classes.
        extra: another tensor argument of the formula.
    """
    if torch.compiler.is_compiling() or type(target) is not Tensor:
        return None
    takes_weight = signature.takes_weight and weight is not None
    of_index = loss.forms.rows and not target.is_floating_point()
    key = (of_index, takes_weight, extra is not None, settings)
    kernel = loss.kernels.get(key)
    if kernel is None or kernel.of is not _native or _collecting:
        if kernel is None:
            takes_third = takes_weight or extra is not None
            names = ("z", "y" if of_index else "t", "w")[: 3 if takes_third else 2]
            kernel = loss.kernels[key] = _Kernel(
                Request(loss, names, settings), signature, takes_weight
            )
        requests = _collecting.get(threading.get_ident())
        if requests is not None:
            requests.append(kernel.request)
            return None
        kernel.start()
    found = _native.call(kernel.native, input, target, weight, extra, ignore_index, reduction)
    # A tensor is the loss. None: the arguments are not plain, or there is no kernel. True or False:
    # the kernel with that value of `float64` is not compiled yet, and is handed over by `set`.
    if found is True or found is False:
        _native.set(kernel.native, found, kernel.compiled(found))
        found = _native.call(kernel.native, input, target, weight, extra, ignore_index, reduction)
    if found is None and isinstance(input, Tensor) and not _on_cuda(input):
        call = kernel.eager_call(ignore_index, reduction)
        return eager.compute(call, input, target, weight, extra)
    return found  # type: ignore[no-any-return]


def compute_on_cuda(
    loss: Differentiable,
    signature: Signature,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[Any, ...],
    dtype: torch.dtype,
) -> Tensor | None:
    """Compute a loss of arguments that have passed the checks, on CUDA; None if no kernel can.

    Elements and their targets have one shape, rows the shapes of `cross_entropy`. The result has
    `dtype`, or float32 under autocast where that is narrower.
    """
    if not _on_cuda(input) or torch.compiler.is_compiling():
        return None
    from . import cuda

    takes_weight = signature.takes_weight and weight is not None
    of_index = loss.forms.rows and not target.is_floating_point()
    kernel = loss.kernels.get((of_index, takes_weight, extra is not None, settings))
    # `compute` has been asked before: it makes kernels of the tensors that they support.
    if kernel is None:
        return None
    arguments = (input, target, weight, extra, ignore_index, reduction)
    return cuda.compute(kernel.request, kernel.by_closed_forms, *arguments, takes_weight, dtype)


def _on_cuda(input: Tensor) -> bool:
    return input.is_cuda


class _Kernel:
    """The kernel of a loss with its settings, compiled when it is first called."""

    def __init__(self, request: Request, signature: Signature, takes_weight: bool) -> None:
        self.request, self._signature, self._takes_weight = request, signature, takes_weight
        # The kernel of the extension `of`, which `load` may replace.
        self.native: Any = None
        self.of: Any = None
        self._eager: eager.Call | None = None

    def start(self) -> None:
        if isinstance(_native, _LazyKernels):
            load()
        if self.of is not _native:
            forms, signature = self.request.loss.forms, self._signature
            target = "elements"
            if forms.rows:
                target = "index" if "y" in self.request.inputs else "distribution"
            if forms.pair is not None:
                target = "lists"
            formula = (target, self._takes_weight, forms.weighted_mean)
            plain = (signature.one_dtype, signature.matrix, signature.unit_interval)
            self.native = _native.kernel(*formula, *plain, self._derivative)
            self.of = _native

    def compiled(self, float64: bool) -> tuple[int, int, bool, tuple[float, ...]] | None:
        """Return the compiled kernel for the extension's `set`; None if there is no kernel."""
        from .build import load_kernel

        try:
            return load_kernel(self.request._replace(float64=float64))
        except NoKernelsError as reason:
            # What fails on this machine fails for every loss: it is said once.
            level = (
                logging.INFO if _warned or "cannot be traced" in str(reason) else logging.WARNING
            )
            _warned.update([str(reason)] if level == logging.WARNING else [])
            name = self.request.loss.forms.name
            logger.log(level, "the closed forms compute %s: %s", name, reason)
            return None

    def eager_call(self, ignore_index: int, reduction: str) -> eager.Call:
        """Return the arguments for torch's operations: those of the last call, if alike."""
        call = self._eager
        if call is None or call.ignore_index != ignore_index or call.reduction != reduction:
            forms, signature = self.request.loss.forms, self._signature
            plain = (signature.matrix, signature.unit_interval, ignore_index, reduction)
            formula = (self.request, self.by_closed_forms, self._takes_weight, forms.weighted_mean)
            call = self._eager = eager.Call(*formula, *plain)
        return call

    def by_closed_forms(self, *arguments: Any) -> Tensor:
        return self._signature.closed_form(self.request.loss, *arguments, self.request.settings)

    def _derivative(self, upstream: Tensor, input: Tensor, *rest: Any) -> Tensor:
        """Return dL/dinput, by the closed forms, differentiable where a graph is built."""
        graph = torch.is_grad_enabled()
        with torch.enable_grad(), by_formulas_only():
            loss = self.by_closed_forms(input, *rest)
        (gradient,) = torch.autograd.grad(loss, input, upstream, create_graph=graph)
        return gradient


@contextmanager
def collected() -> Iterator[list[Request]]:
    """Collect the kernel requests of the losses that this thread calls; closed forms compute them.
    Gives the list of requests, which grows with each call."""
    thread = threading.get_ident()
    _collecting[thread] = []
    try:
        yield _collecting[thread]
    finally:
        del _collecting[thread]


def backend(device: str | torch.device = "cpu") -> Backend:
    """Return the backend of plain tensors on `device`, and why.

    Kernels support every floating-point dtype on the CPU; float32, bfloat16 and float16 on CUDA.
    """
    device = torch.device(device)
    if device.type == "cuda":
        from . import cuda

        return cuda.backend(device.index)
    if device.type != "cpu":
        return Backend("closed forms", f"there are no kernels for {device.type}")
    if _backend is None:
        load()
    assert _backend is not None
    return _backend


def ensure(report: Callable[[str], None]) -> Backend:
    """Use the kernels from now on, unless LOSSES_KERNELS=0; build the extension if it is missing.

    `report` gets one line when a build begins, and the reason if there are no kernels.
    """
    from .build import build

    reason = ""
    if not switched_off():
        try:
            build(report)
        except NoKernelsError as error:
            reason = str(error)
    load()
    if reason:
        report(f"the losses are computed by their closed forms, without kernels: {reason}")
    return backend()


def load() -> None:
    """Use the kernels from now on if they have been built, else the closed forms."""
    global _native, _backend
    from .build import load_built

    try:
        if switched_off():
            raise NoKernelsError("LOSSES_KERNELS=0 switches the kernels off")
        _native, by = load_built()
        _backend = Backend("kernels", by)
    except NoKernelsError as reason:
        _native, _backend = _NoKernels(), Backend("closed forms", str(reason))


@contextmanager
def closed_forms_only() -> Iterator[None]:
    """Compute losses by their closed forms, in this thread."""
    if isinstance(_native, _LazyKernels):
        load()
    _native.closed_forms(True)
    try:
        with without_cuda_kernels():
            yield
    finally:
        _native.closed_forms(False)
