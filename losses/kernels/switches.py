"""What switches the kernels off: the environment for good, `closed_forms_only` for a while."""

import os
import threading


class _ThisThread(threading.local):
    closed_forms_only = 0


this_thread = _ThisThread()


def switched_off() -> bool:
    return os.environ.get("LOSSES_KERNELS", "1") == "0"
