"""Handle Ctrl-C and SIGTERM during training: the first one asks, the second ends at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

MESSAGE = b"\nsaving after this step; press Ctrl-C again to stop at once\n"


class Interruption:
    """Context manager in which the first SIGINT or SIGTERM only sets `signal`.

    So the current step can end and its state be saved. The next signal raises KeyboardInterrupt.
    Outside the main thread, which alone receives signals, it does nothing.

    Attributes:
        signal: the signal received, None before.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __enter__(self) -> Interruption:
        self._handlers: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        if sys.__stderr__ is not None:
            # Not print: the signal may arrive in the middle of one.
            os.write(sys.__stderr__.fileno(), MESSAGE)


@contextmanager
def withheld(*signals: signal.Signals) -> Iterator[None]:
    """Withhold signals from the processes that this thread starts here, until they `ignore` them.

    A terminal sends Ctrl-C to a process that still imports its modules as well, which would end it
    with a traceback. A signal that arrives meanwhile reaches this process afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Starting the first process starts it too, which stops withholding these signals.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore(*signals: signal.Signals) -> None:
    """Ignore signals in this process, also those that came while they were withheld."""
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
