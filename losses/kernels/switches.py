"""Switches that turn kernels off, and the record of the backend in use."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


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
