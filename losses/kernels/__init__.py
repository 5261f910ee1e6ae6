"""Fused kernels: value and gradient of a loss in one pass over the memory.

The kernels for the CPU (float32, float64) are C++ in `source/`. They are built once, by
`python -m lossbench.losses.kernels build` or the command `lossbench`, into the user's cache. The
kernels for CUDA are in Triton, in `cuda/`.

The closed forms compute everything else: under torch.compile, a trace or `torch.func`, for other
dtypes and devices, derivatives by targets and weights, and second derivatives. Results agree within
rounding.

`losses.backend()` returns what is in use, and why. `LOSSES_KERNELS=0` switches the kernels off.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..closed_form import Formula
from .double_backward import differentiable_gradient
from .formulas import CROSS_ENTROPY, FORMS, NLL, PAIRS
from .switches import Backend, NoKernelsError, switched_off, without_cuda_kernels

__all__ = [
    "CROSS_ENTROPY",
    "FORMS",
    "NLL",
    "PAIRS",
    "Backend",
    "backend",
    "closed_forms_only",
    "cross_entropy",
    "elementwise",
    "ensure",
    "load",
    "nll",
    "pairs",
]


class _NoKernels:
    """Stand-in where there are no kernels: supports no call."""

    def cross_entropy(self, *_: object) -> None:
        return None

    elementwise = nll = pairs = cross_entropy

    def closed_forms(self, _on: bool) -> None:
        pass


class _LazyKernels:
    """Stand-in that loads the kernels at the first loss, not when `losses` is imported."""

    def __getattr__(self, name: str) -> Any:
        load()
        return getattr(_native, name)


_native: Any = _LazyKernels()
_backend: Backend | None = None


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float = 0.0,
) -> Tensor | None:
    """Compute `losses.functional.cross_entropy`; None if no kernel supports the call."""
    if torch.compiler.is_compiling():
        return None
    arguments = (input, target, weight, ignore_index, reduction, label_smoothing)
    found = _native.cross_entropy(*arguments)
    if found is None and _on_cuda(input):
        from . import cuda

        return cuda.cross_entropy(*arguments)
    return found  # type: ignore[no-any-return]


def nll(
    input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str
) -> Tensor | None:
    """Compute `losses.functional.nll_loss`; None if no kernel supports the call."""
    if torch.compiler.is_compiling():
        return None
    return _native.nll(  # type: ignore[no-any-return]
        input, target, weight, ignore_index, reduction, 0.0
    )


def elementwise(
    loss: Formula,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    extra: Tensor | None = None,
    *settings: float,
) -> Tensor | None:
    """Compute a loss of single logits, weighted and reduced; None if no kernel supports the call.

    `extra` is a tensor argument of the formula besides input and target, broadcastable to them.
    """
    form = FORMS.get(loss)
    if form is None or torch.compiler.is_compiling():
        return None
    found = _native.elementwise(form, input, target, weight, extra, reduction, *settings)
    if found is None and _on_cuda(input):
        from . import cuda

        return cuda.elementwise(form, input, target, weight, extra, reduction, settings)
    return found  # type: ignore[no-any-return]


def pairs(
    input: Tensor,
    lists: Tensor,
    weight: Tensor | None,
    reduction: str,
    margin_of_pairs: float = 1.0,
    power: int = 1,
) -> Tensor | None:
    """Compute a loss over pairs of a listed and an unlisted class; None if no kernel supports it.

    It is `losses.functional.multi_margin_loss` for one class per row, `multilabel_margin_loss` for
    a list per row.
    """
    if torch.compiler.is_compiling():
        return None
    return _native.pairs(  # type: ignore[no-any-return]
        input, lists, weight, reduction, margin_of_pairs, power
    )


def _on_cuda(input: object) -> bool:
    return isinstance(input, Tensor) and input.is_cuda


def backend(device: str | torch.device = "cpu") -> Backend:
    """Return the backend of plain tensors on `device`, and why.

    Kernels support float32 and float64 on the CPU; float32, bfloat16 and float16 on CUDA.
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
    """Build the kernels, unless they exist or are switched off, and use them.

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
        native, by = load_built()
        native.set_double_backward(differentiable_gradient)
        _native, _backend = native, Backend("kernels", by)
    except NoKernelsError as reason:
        _native, _backend = _NoKernels(), Backend("closed forms", str(reason))


@contextmanager
def closed_forms_only() -> Iterator[None]:
    """Compute losses by their closed forms, in this thread."""
    _native.closed_forms(True)
    try:
        with without_cuda_kernels():
            yield
    finally:
        _native.closed_forms(False)
