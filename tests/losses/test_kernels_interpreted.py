"""The kernels on CUDA, run by Triton's interpreter on the CPU: where there is no GPU their
arithmetic is tested all the same. It is chosen before Triton is imported, so in another process."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton")
def test_the_interpreter_computes_what_the_closed_forms_do() -> None:
    here = Path(__file__).parent
    tests = [str(here / f"test_kernels_cuda{part}.py") for part in ("", "_autograd")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=here.parents[1],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
