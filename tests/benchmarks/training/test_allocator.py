"""What a training frees stays in its process."""

import platform
import subprocess
import sys

import pytest
import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training import train as run

PROGRAM = """
import ctypes
from lossbench.benchmarks.training.allocator import keep_freed_memory

class Mallinfo(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

library = ctypes.CDLL(None)
library.mallinfo2.restype, library.malloc.restype = Mallinfo, ctypes.c_void_p
library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]

if {kept}:
    keep_freed_memory()
before = library.mallinfo2()
blocks = [library.malloc(20 * 2**20) for _ in range(4)]
full = library.mallinfo2()
for block in reversed(blocks):
    library.free(block)
print(full.hblks - before.hblks, library.mallinfo2().arena - before.arena)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no other C library is asked")
def test_large_blocks_come_from_a_heap_that_does_not_shrink() -> None:
    def mapped_and_kept(kept: bool) -> list[int]:
        program = PROGRAM.format(kept=kept)
        done = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        )
        return [int(number) for number in done.stdout.split()]

    mapped, kept = mapped_and_kept(True)
    assert mapped == 0
    assert kept >= 4 * 20 * 2**20
    # Else there would be nothing to do.
    assert mapped_and_kept(False)[0] == 4


def test_a_training_asks_for_it(monkeypatch, images) -> None:
    asked = []
    monkeypatch.setattr(run, "keep_freed_memory", lambda: asked.append(True))
    config = RunConfig("cross-entropy", 0, 0.1, width=4, epochs=1)
    run.train(config, prepare(images, torch.device("cpu")))
    assert asked
