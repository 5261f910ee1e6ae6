import pytest

from lossbench.benchmarks.evidence.curvature import OTHER, Cell
from lossbench.benchmarks.evidence.saturation import EVEN, SUREST


def noisy(config, curvature):
    """At the wrong start sigmoid-mse drowns in noise, as folklore may have it."""
    wrong = config.loss == OTHER and config.initial_probability < 0.1
    return curvature._replace(signal_to_noise=0.3) if wrong else curvature


def flat(_, curvature):
    return curvature._replace(along=0.001 * curvature.along)


def clear_everywhere(_, curvature):
    return curvature._replace(signal_to_noise=2 + 0.01 * curvature.signal_to_noise)


@pytest.mark.parametrize(
    ("change", "refuted"), [(noisy, {0, 1}), (flat, {2}), (clear_everywhere, {1})]
)
def test_refuted(analyse, change, refuted):
    measures = analyse("curvature", change=change)[0].measures()
    assert {i for i, m in enumerate(measures) if m.verdict == "does not hold"} == refuted


def test_numbers_are_those_of_the_runs(analyse):
    analysis, trainer = analyse("curvature")
    assert not trainer.searched
    (clear, sure, growth) = analysis.measures()
    assert clear.value == pytest.approx(1, abs=0.2)
    ratios = [analysis.column("signal_to_noise", OTHER, each) for each in (SUREST, EVEN)]
    assert min(ratios[0]) / max(ratios[1]) < sure.value < max(ratios[0]) / min(ratios[1])
    each = analysis.curvatures[Cell(OTHER, SUREST)]
    assert growth.value == pytest.approx(sum(-c.along / c.norm for c in each) / len(each))
    assert len(analysis.tables()[0].rows) == 4
