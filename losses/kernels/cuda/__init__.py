"""The fused kernels on CUDA: in Triton, compiled at their first call, for plain float32, bfloat16
and float16 tensors. They compute cross-entropy, binary cross-entropy with logits and the sigmoid's
focal loss. They do not synchronise and do not modify the logits.

Triton is imported with the first loss of tensors on CUDA. Functions return None for calls that no
kernel supports; the closed forms then compute the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..switches import Backend, NoKernelsError, switched_off, this_thread
from . import singles
from .call import CROSS_ENTROPY, Call

DEVICE = "cuda"
"""Device type of the kernels."""

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_PLAIN = (Tensor, torch.nn.Parameter)


def compute(
    name: str,
    again: Callable[..., Tensor],
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    ignore_index: int,
    reduction: str,
    settings: tuple[Any, ...],
) -> Tensor | None:
    """Compute a loss; None if no kernel supports the call.

    Args:
        name: of the closed forms.
        again: the same by the closed forms.
    """
    if name in ("cross_entropy", "weighted_cross_entropy"):
        smoothing, z_loss = settings
        supported = (
            z_loss == 0
            and _plain(input, target, weight)
            and type(ignore_index) is int
            and -(2**63) <= ignore_index < 2**63
            and _rows_fit(input, target, weight, ignore_index)
        )
        name, settings = CROSS_ENTROPY, (smoothing,)
    else:
        supported = (
            name in singles.FORMS
            and _plain(input, target, weight, extra)
            and target.shape == input.shape
            and input.numel() > 0
            and all(_broadcasts(x, input) for x in (target, weight, extra))
            and (name != singles.FOCAL or settings[0] in singles.POWERS)
        )
    if not supported:
        return None
    return _computed(name, again, input, target, weight, extra, reduction, ignore_index, settings)


def _computed(
    form: str,
    again: Callable[..., Tensor],
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    extra: Tensor | None,
    reduction: str,
    ignored: int,
    settings: tuple[float, ...],
) -> Tensor | None:
    if (
        reduction not in ("mean", "sum", "none")
        or not _is_plain_eager()
        or not _usable(input.device)
    ):
        return None
    from . import node

    # As in the closed forms.
    upcast = input.dtype.itemsize < 4 and torch.is_autocast_enabled(input.device.type)
    dtype = torch.float32 if upcast else input.dtype
    call = Call(form, again, input, target, weight, extra, reduction, ignored, settings, dtype)
    if not torch.is_grad_enabled() or not any(
        x.requires_grad for x in call.tensors if x is not None
    ):
        with torch.no_grad():
            return node.compute(call, gradient=False)[0]
    if any(x.requires_grad for x in call.tensors[1:] if x is not None):
        return None
    loss: Tensor = node.Loss.apply(input, call)
    return loss


# --- whether a kernel can serve a call -----------------------------------------------------------


def _is_plain_eager() -> bool:
    """Return whether no mode, transform or trace intercepts operations."""
    c: Any = torch._C
    return not (
        this_thread.closed_forms_only
        or c._is_torch_function_mode_enabled()
        or c._len_torch_dispatch_stack()
        or c._dispatch_tls_is_dispatch_key_included(c.DispatchKey.FuncTorchDynamicLayerFrontMode)
        or c._is_tracing()
        or forward_ad._current_level >= 0
    )


@cache
def _plain_keys(device: str) -> int:
    return _keys(torch.empty(0, device=device))


def _keys(x: Tensor) -> int:
    keys: int = torch._C._dispatch_keys(x).raw_repr()
    return keys


def _plain(*tensors: Tensor | None) -> bool:
    """Return whether all are plain strided tensors on one device, not wrappers."""
    first = tensors[0]
    return all(
        x is None
        or (
            type(x) in _PLAIN
            and first is not None
            and x.device == first.device
            and not _keys(x) & ~_plain_keys(DEVICE)
            and x.layout == torch.strided
        )
        for x in tensors
    )


def _rows_fit(z: Tensor, y: Tensor, weight: Tensor | None, ignored: int) -> bool:
    if z.dtype not in _DTYPES or z.dim() == 0 or z.numel() == 0:
        return False
    if weight is not None and not (
        weight.dtype == z.dtype and weight.shape == (z.shape[min(1, z.dim() - 1)],)
    ):
        return False
    if y.shape == z.shape:
        return y.dtype == z.dtype and ignored < 0
    wanted = z.shape[:1] + z.shape[2:] if z.dim() > 1 else torch.Size(())
    integer = not (y.is_floating_point() or y.is_complex() or y.dtype == torch.bool)
    return integer and y.shape == wanted


def _broadcasts(x: Tensor | None, z: Tensor) -> bool:
    """Return whether x has z's dtype and can be broadcast to its shape."""
    if x is None:
        return True
    sizes = zip(reversed(x.shape), reversed(z.shape), strict=False)
    return (
        z.dtype in _DTYPES
        and x.dtype == z.dtype
        and x.dim() <= z.dim()
        and all(a in (1, b) for a, b in sizes)
    )


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
            one = torch.ones(1, device="cuda")
            singles.scale(one, one, in_place=True)
    # If one kernel cannot be compiled and started, none can.
    except Exception as error:
        what = str(error).strip().splitlines() or [type(error).__name__]
        raise NoKernelsError(f"Triton {triton.__version__} cannot compile: {what[0]}") from error
    return f"Triton {triton.__version__}"
