"""The kernels, for the tests that ask for them; all others run on the closed forms."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from torch import Tensor

from lossbench.losses import kernels, linear_parts
from lossbench.losses.kernels import build


@pytest.fixture(scope="session")
def native() -> Any:
    """The built kernels."""
    if build.compiler() is None:
        pytest.skip("no C++ compiler")
    build.build()
    module, _ = build.load_built()
    return module


@pytest.fixture
def switched_on(native: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_native", native)


@pytest.fixture
def on_cuda_switched_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Those of CUDA; on tensors of the CPU where Triton interprets them."""
    from lossbench.losses.kernels import cuda

    if os.environ.get("TRITON_INTERPRET") == "1":
        # Without those of the CPU, which come first.
        monkeypatch.setattr(kernels, "_native", kernels._NoKernels())
        monkeypatch.setattr(cuda, "DEVICE", "cpu")
        monkeypatch.setattr(cuda, "_backend", lambda _: kernels.Backend("kernels", "for a test"))
        monkeypatch.setattr(kernels, "_on_cuda", lambda input: isinstance(input, Tensor))
        yield
        return
    monkeypatch.setenv("LOSSES_KERNELS", "1")
    cuda._backend.cache_clear()
    yield
    cuda._backend.cache_clear()


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Divides small logits too; lists how many rows each pass had in memory."""
    monkeypatch.setattr(linear_parts, "SMALL", 0)
    sizes, seen = linear_parts._ChunkedLoss._sizes, []

    def recorded(sweep: Any) -> tuple[int, int]:
        seen.append(sizes(sweep)[0])
        return sizes(sweep)

    monkeypatch.setattr(linear_parts._ChunkedLoss, "_sizes", recorded)
    return seen
