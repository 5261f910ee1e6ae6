"""Ctrl-C and SIGTERM while networks are trained: the first asks, the second is obeyed at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

SAYING = b"\nfinishing the step and saving it; once more stops at once\n"


class Interruption:
    """While this is open, the first SIGINT or SIGTERM only sets `asked`, so that a step can be
    finished and its state be saved; the next one raises KeyboardInterrupt. A context manager.
    Outside the main thread, which alone hears of signals, it does nothing.

    Attributes:
        asked: the signal that has come, None before.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None

    def __enter__(self) -> Interruption:
        self.before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self.before = {
                each: signal.signal(each, self._hear) for each in (signal.SIGINT, signal.SIGTERM)
            }
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self.before.items():
            signal.signal(each, handler)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is not None:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number)
        if sys.__stderr__ is not None:
            # Not print: the signal may have come in the middle of one.
            os.write(sys.__stderr__.fileno(), SAYING)
