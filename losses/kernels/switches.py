"""Switches that turn kernels off, and the record of the backend in use."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch.autograd import forward_ad


class Backend(NamedTuple):
    """The backend of plain tensors: its name, 'kernels' or 'closed forms', and why."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


class NoKernelsError(Exception):
    """Raised where there are no kernels; the message says why in one line."""


class _ThisThread(threading.local):
    closed_forms_only = 0
    formulas_only = 0


this_thread = _ThisThread()


def switched_off() -> bool:
    """Return whether LOSSES_KERNELS=0 switches the kernels off."""
    return os.environ.get("LOSSES_KERNELS", "1") == "0"


@contextmanager
def without_cuda_kernels() -> Iterator[None]:
    """Compute losses of CUDA tensors by their closed forms, in this thread."""
    this_thread.closed_forms_only += 1
    try:
        yield
    finally:
        this_thread.closed_forms_only -= 1


@contextmanager
def by_formulas_only() -> Iterator[None]:
    """Compute losses by the autograd functions of their formulas alone, in this thread."""
    this_thread.formulas_only += 1
    try:
        yield
    finally:
        this_thread.formulas_only -= 1


# --- which calls are plain -----------------------------------------------------------------------


def is_intercepted() -> bool:
    """Return whether a mode, a transform or a trace intercepts torch's operations."""
    c: Any = torch._C
    found: bool = (
        c._is_torch_function_mode_enabled()
        or c._len_torch_dispatch_stack()
        or c._dispatch_tls_is_dispatch_key_included(c.DispatchKey.FuncTorchDynamicLayerFrontMode)
        or c._is_tracing()
        or forward_ad._current_level >= 0
    )
    return found


@cache
def plain_keys(device: str) -> int:
    """Return the dispatch keys of a plain tensor on a device, which is no wrapper."""
    return dispatch_keys(torch.empty(0, device=device))


def dispatch_keys(x: torch.Tensor) -> int:
    """Return the dispatch keys of a tensor as bits."""
    keys: int = torch._C._dispatch_keys(x).raw_repr()
    return keys
