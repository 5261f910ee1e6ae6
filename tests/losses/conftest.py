"""The kernels, for the tests that ask for them; all others run on the closed forms."""

from typing import Any

import pytest

from losses import kernels
from losses.kernels import build


@pytest.fixture(scope="session")
def native() -> Any:
    """The built kernels."""
    if build.compiler() is None:
        pytest.skip("no C++ compiler")
    build.build()
    module, _ = build.load_built()
    module.call_again_by(kernels._differentiable_gradient)
    return module


@pytest.fixture
def switched_on(native: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_native", native)
