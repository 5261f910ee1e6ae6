"""Fixtures for the tests of claims."""

from functools import partial

import pytest

from lossbench.benchmarks.evidence.design import FIRST_SEED
from lossbench.benchmarks.evidence.runner import claim_of
from lossbench.benchmarks.records.claim import verdict_of

from .worlds import WORLDS, FakeTrainer

SEEDS = 8
"""Seeds of a claim with several looks."""


def seeds_of(claim):
    return range(FIRST_SEED, FIRST_SEED + min(SEEDS, claim.design.looks[-1]))


@pytest.fixture
def examine():
    """Examine a claim in its world, which holds, or with some changes or in another world."""

    def run(name, *, world=None, **changes):
        claim = claim_of(name)
        trainer = FakeTrainer(world or partial(WORLDS[name], **changes))
        return claim.examine(trainer, seeds_of(claim))

    return run


@pytest.fixture
def analyse():
    """Return the analysis of a claim in its world, without its figures, and the trainer."""

    def run(name, *, world=None, **changes):
        trainer = FakeTrainer(world or partial(WORLDS[name], **changes))
        claim = claim_of(name)
        return claim.analyse(trainer, seeds_of(claim)), trainer

    return run


@pytest.fixture
def verdict(analyse):
    """Return the verdict on a claim in its world, without drawing figures."""

    def run(name, **changes):
        return verdict_of(analyse(name, **changes)[0].measures())

    return run
