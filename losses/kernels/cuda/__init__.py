"""The kernels on CUDA: in Triton, compiled at their first call, for plain float32, bfloat16 and
float16 tensors. They do not synchronise and do not modify the logits.

`printer` prints the value and the gradient of a loss from its closed forms as two functions; the
kernels of `runtime/` call them. Triton is imported with the first loss of tensors on CUDA.
Functions return None for calls that no kernel supports; the closed forms then compute the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from ..source import Request
from ..switches import (
    Backend,
    NoKernelsError,
    dispatch_keys,
    is_intercepted,
    plain_keys,
    switched_off,
    this_thread,
)
from .call import Call
from .launch import LISTED_CLASSES

DEVICE = "cuda"
"""Device type of the kernels."""

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_PLAIN = (Tensor, torch.nn.Parameter)


def compute(
    request: Request,
    closed_form: Callable[..., Tensor],
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    takes_weight: bool,
    dtype: torch.dtype,
) -> Tensor | None:
    """Compute a loss of arguments that have passed the checks; None if no kernel can.

    Args:
        closed_form: the same by the closed forms.
        takes_weight: whether the formula takes the weights of the classes.
        dtype: of the loss, without autocast.
    """
    forms = request.loss.forms
    tensors = input, target, weight, extra
    if (
        reduction not in ("mean", "sum", "none")
        or not _plain(*tensors)
        or not _has_kernel(request, *tensors)
        or this_thread.closed_forms_only
        or is_intercepted()
        or not _usable(input.device)
    ):
        return None
    graph = torch.is_grad_enabled()
    if graph and any(x.requires_grad for x in tensors[1:] if x is not None):
        return None
    from . import node
    from .source import kernel

    try:
        functions = kernel(request)
    except NoKernelsError:
        return None
    if dtype.itemsize < 4 and torch.is_autocast_enabled(input.device.type):
        dtype = torch.float32
    arguments = (*tensors, reduction, ignore_index, takes_weight, dtype)
    call = Call(functions, forms, closed_form, *arguments)
    if not graph or not input.requires_grad:
        return node.value(call)
    loss: Tensor = node.Loss.apply(input, call)
    return loss


# --- whether a kernel can serve a call -----------------------------------------------------------


def _plain(*tensors: Tensor | None) -> bool:
    """Return whether all are plain strided tensors on one device, not wrappers."""
    first = tensors[0]
    return all(
        x is None
        or (
            type(x) in _PLAIN
            and first is not None
            and x.device == first.device
            and not dispatch_keys(x) & ~plain_keys(DEVICE)
            and x.layout == torch.strided
        )
        for x in tensors
    )


def _has_kernel(
    request: Request, input: Tensor, target: Tensor, weight: Tensor | None, extra: Tensor | None
) -> bool:
    """Return whether there are kernels for the dtypes, and for lists as long as these."""
    if input.numel() == 0 or any(
        x is not None and x.dtype not in _DTYPES for x in (input, weight, extra)
    ):
        return False
    if request.loss.forms.pair is not None:
        return input.dim() == 2 and input.shape[1] <= LISTED_CLASSES
    return target.dtype in _DTYPES or "y" in request.inputs


# --- whether there are kernels -------------------------------------------------------------------


def _usable(device: torch.device) -> bool:
    return _backend(device.index or 0).name == "kernels"


def backend(index: int | None = None) -> Backend:
    """Return the backend of device `index`, by default the current one; cached."""
    if index is None:
        index = torch.cuda.current_device() if torch.cuda.is_available() else 0
    return _backend(index)


@cache
def _backend(index: int) -> Backend:
    try:
        return Backend("kernels", load(index))
    except NoKernelsError as reason:
        return Backend("closed forms", str(reason))


def load(index: int = 0) -> str:
    """Return the compiler of the kernels; raise NoKernelsError if they cannot be compiled."""
    if switched_off():
        raise NoKernelsError("LOSSES_KERNELS=0 switches the kernels off")
    if not torch.cuda.is_available():
        raise NoKernelsError("torch sees no CUDA device")
    if torch.version.hip or torch.cuda.get_device_capability(index) < (8, 0):
        name = torch.cuda.get_device_name(index)
        raise NoKernelsError(f"{name} is no NVIDIA device of compute capability 8.0 or more")
    try:
        import triton
    except ImportError as error:
        raise NoKernelsError(f"no Triton: {error}") from None
    try:
        with torch.cuda.device(index):
            _try()
    # If one kernel cannot be compiled and started, none can.
    except Exception as error:
        what = str(error).strip().splitlines() or [type(error).__name__]
        raise NoKernelsError(f"Triton {triton.__version__} cannot compile: {what[0]}") from error
    return f"Triton {triton.__version__}"


def _try() -> None:
    """Compile and start the smallest kernel."""
    from .runtime import rows

    y = torch.zeros(1, dtype=torch.int64, device="cuda")
    rows.weigh[(1,)](y, None, torch.empty(1, device="cuda"), 1, 1, -1, BLOCK=16)
