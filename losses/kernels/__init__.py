"""Kernels: compiled functions that compute a loss, or its gradient, in one pass over memory.

The kernels are printed from the closed forms: `tracing` records a formula as a graph, `program` and
`cpp` make C++ of it, and `build` compiles it for this processor, for float32 (which also computes
bfloat16 and float16) and for float64. The torch extension that calls them, `glue/`, is built once,
by `python -m lossbench.losses.kernels build` or the command `lossbench`, into the user's cache;
then a loss is compiled when it is first used. `cuda/` prints Triton of the same graph, for CUDA.

The closed forms compute everything else: under torch.compile, a trace or `torch.func`, on other
devices, derivatives by targets and weights, and second derivatives. Results agree within rounding.

`losses.backend()` returns what is in use, and why. `LOSSES_KERNELS=0` switches the kernels off.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..closed_form import Differentiable
from .source import Request
from .switches import Backend, NoKernelsError, switched_off, without_cuda_kernels

__all__ = ["Backend", "Request", "backend", "closed_forms_only", "compute", "ensure", "load"]


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


def compute(
    loss: Differentiable,
    again: Callable[..., Tensor],
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[Any, ...],
    *,
    weighs: bool = False,
) -> Tensor | None:
    """Compute a loss, weighted and reduced; None if no kernel supports the call.

    Args:
        again: `again(loss, input, target, weight, extra, ignore_index, reduction, settings)`, the
            same by the closed forms.
        weight: factors, of elements or of classes.
        extra: another tensor argument of the formula.
        weighs: whether the formula takes the weights of the classes, after its target.
    """
    if torch.compiler.is_compiling() or type(target) is not Tensor:
        return None
    weighs = weighs and weight is not None
    of_index = loss.forms.rows and not target.is_floating_point()
    key = (of_index, weighs, extra is not None, settings)
    kernel = loss.kernels.get(key)
    if kernel is None or kernel.of is not _native or _collecting:
        if kernel is None:
            names = ("z", "y" if of_index else "t", "w")[: 3 if weighs or extra is not None else 2]
            kernel = loss.kernels[key] = _Kernel(Request(loss, names, settings), again, weighs)
        requests = _collecting.get(threading.get_ident())
        if requests is not None:
            requests.append(kernel.request)
            return None
        kernel.start()
    found = _native.call(kernel.native, input, target, weight, extra, ignore_index, reduction)
    if found is True or found is False:
        _native.set(kernel.native, found, kernel.compiled(found))
        found = _native.call(kernel.native, input, target, weight, extra, ignore_index, reduction)
    if found is None and _on_cuda(input):
        from . import cuda

        arguments = (input, target, weight, extra, ignore_index, reduction)
        return cuda.compute(kernel.request, kernel.by_closed_forms, *arguments, weighs)
    return found  # type: ignore[no-any-return]


def _on_cuda(input: object) -> bool:
    return isinstance(input, Tensor) and input.is_cuda


class _Kernel:
    """The kernel of a loss with its settings, compiled when it is first called."""

    def __init__(self, request: Request, again: Callable[..., Tensor], weighs: bool) -> None:
        self.request, self._again = request, again
        self._weighs = weighs
        # The kernel of the extension `of`, which `load` may replace.
        self.native: Any = None
        self.of: Any = None

    def start(self) -> None:
        if isinstance(_native, _LazyKernels):
            load()
        if self.of is not _native:
            forms = self.request.loss.forms
            kind = (forms.rows, forms.pair is not None, self._weighs, forms.weighted_mean)
            self.native = _native.kernel(*kind, forms.unit_interval, self._derivative)
            self.of = _native

    def compiled(self, wide: bool) -> tuple[int, int, bool, tuple[float, ...]] | None:
        """Return the compiled kernel for the extension's `set`; None if there is no kernel."""
        from .build import load_kernel

        try:
            return load_kernel(self.request._replace(wide=wide))
        except NoKernelsError as reason:
            # What fails on this machine fails for every loss: it is said once.
            level = (
                logging.INFO if _warned or "cannot be traced" in str(reason) else logging.WARNING
            )
            _warned.update([str(reason)] if level == logging.WARNING else [])
            name = self.request.loss.forms.name
            logger.log(level, "the closed forms compute %s: %s", name, reason)
            return None

    def by_closed_forms(self, *arguments: Any) -> Tensor:
        return self._again(self.request.loss, *arguments, self.request.settings)

    def _derivative(self, upstream: Tensor, input: Tensor, *rest: Any) -> Tensor:
        """Return dL/dinput, by the closed forms, differentiable where a graph is built."""
        graph = torch.is_grad_enabled()
        with torch.enable_grad():
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
