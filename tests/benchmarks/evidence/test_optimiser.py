from dataclasses import replace

import pytest

from lossbench.benchmarks.evidence.optimiser import ADAM, ADAM_RATES, SGD, Cell

from .worlds import jitter, steps_needed


def no_matter(config):
    """With Adam everything is as with SGD."""
    sgd = replace(config, optimizer="sgd", learning_rate=0.3)
    return steps_needed(sgd) * jitter(config)


def rescued(config):
    """With Adam no loss minds the start."""
    if config.optimizer == ADAM:
        return 100 * jitter(config)
    return steps_needed(config)


@pytest.mark.parametrize(("needed", "refuted"), [(no_matter, 0), (rescued, 1)])
def test_refuted(analyse, needed, refuted):
    measures = analyse("optimiser", needed=needed)[0].measures()
    assert [m.verdict for m in measures][refuted] == "does not hold"


def test_each_optimizer_has_rates_of_its_own(analyse):
    analysis, trainer = analyse("optimiser")
    chosen = {(cell.optimizer, rate) for cell, rate in analysis.rates.items()}
    assert chosen == {(SGD, 0.3), (ADAM, 0.003)}
    assert ADAM_RATES[0] < 0.003 < ADAM_RATES[-1]
    # All are chosen from the even start.
    assert {c.initial_probability for c in trainer.searched} == {0.5}


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, _ = analyse("optimiser")
    finding = examine("optimiser")
    with_adam = finding.measures[1].value
    sgd = finding.measures[0].value * with_adam

    def mean(*cell):
        return analysis.steps[Cell(*cell)].mean

    for optimizer, value in ((SGD, sgd), (ADAM, with_adam)):
        hard, even = (
            mean(optimizer, "sigmoid-mse", c) / mean(optimizer, "cross-entropy", c)
            for c in (0.9999, 0.5)
        )
        assert value == pytest.approx(hard / even)
    assert f"still takes {with_adam:.2f} (" in finding.sentence
    assert len(finding.tables[0].rows) == 8
