"""Fixtures for the tests of claims."""

import importlib
from functools import partial

import pytest

from lossbench.benchmarks.evidence.runner import claim_of

from .worlds import WORLDS, FakeTrainer


@pytest.fixture(autouse=True)
def unpainted(request, monkeypatch):
    """Lay out figures without painting them, which takes most of the time."""
    if "painted" not in request.fixturenames:
        for name in ("curves", "intervals", "reliability"):
            module = importlib.import_module(f"lossbench.benchmarks.plots.{name}")
            monkeypatch.setattr(module, "render_png", lambda *_: b"")


@pytest.fixture
def painted():
    """Paint figures."""


@pytest.fixture
def examine():
    """Examine a claim in its world, which holds, or with some changes or in another world."""

    def run(name, *, world=None, **changes):
        return claim_of(name).examine(FakeTrainer(world or partial(WORLDS[name], **changes)))

    return run


@pytest.fixture
def analyse():
    """Return the analysis of a claim in its world, without its figures, and the trainer."""

    def run(name, *, world=None, **changes):
        trainer = FakeTrainer(world or partial(WORLDS[name], **changes))
        claim = claim_of(name)
        return claim.analysis.train(trainer, claim.sizes["quick"]), trainer

    return run
