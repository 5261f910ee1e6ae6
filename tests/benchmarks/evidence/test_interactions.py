import pytest

from lossbench.benchmarks.evidence.depth import DEEP, PLAIN
from lossbench.benchmarks.evidence.interactions import Cell
from lossbench.benchmarks.evidence.learned_confidence import ACCURACY, CLASSES, FLIPPED_EPOCHS
from lossbench.benchmarks.evidence.other_classes import PAIRS
from lossbench.benchmarks.evidence.runner import claim_of
from lossbench.benchmarks.evidence.saturation import OTHER, REFERENCE, SUREST

from .worlds import evaluation, jitter, result, steps_needed

NAMES = ("learned-confidence", "depth", "other-classes")


def is_wrong(config):
    return config.initial_probability != 0.5


def alike(config):
    return 100 * jitter(config)


def slow_everywhere(config):
    return alike(config) * (4 if config.loss == OTHER else 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("needed", [alike, slow_everywhere])
def test_refuted_where_the_start_does_not_matter(analyse, name, needed):
    measures = analyse(name, needed=needed)[0].measures()
    assert {m.verdict for m in measures} == {"does not hold"}


@pytest.mark.parametrize(("model", "refuted"), [(PLAIN, 0), (DEEP, 1)])
def test_each_network_can_refute_depth(analyse, model, refuted):
    def needed(config):
        return alike(config) if config.model == model else steps_needed(config)

    verdicts = [m.verdict for m in analyse("depth", needed=needed)[0].measures()]
    assert verdicts[refuted] == "does not hold"
    assert verdicts[1 - refuted] == "holds"


@pytest.mark.parametrize("name", NAMES)
def test_the_measure_is_an_interaction(analyse, name):
    """(500 / 100) / (240 / 120) = 2.5, whatever the losses share."""

    def needed(config):
        steps = (500, 100) if is_wrong(config) else (240, 120)
        return steps[config.loss != OTHER] * (1 + config.seed % 2)

    analysis, _ = analyse(name, needed=needed)
    assert [m.value for m in analysis.measures()] == pytest.approx([2.5] * len(analysis.measures()))
    assert "2.50" in analysis.sentence()


def test_pairs_have_a_geometric_mean(analyse):
    """Of the four pairs one loses a factor of 16: the mean is 2."""

    def needed(config):
        slow = is_wrong(config) and config.loss == OTHER and config.classes == PAIRS[0]
        return (1600 if slow else 100) * (1 + config.seed % 2)

    assert analyse("other-classes", needed=needed)[0].measures()[0].value == pytest.approx(2)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_does_not_get_there_makes_a_bound(analyse, name):
    def needed(config):
        return 10**9 if is_wrong(config) and config.loss == OTHER else alike(config)

    analysis, _ = analyse(name, needed=needed)
    for measure in analysis.measures():
        assert "at least that" in measure.name
        assert measure.verdict == "holds"
    assert "takes at least " in analysis.sentence()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_known_where_neither_loss_gets_there(analyse, name):
    def needed(config):
        return 10**9 if is_wrong(config) else alike(config)

    analysis, _ = analyse(name, needed=needed)
    for measure in analysis.measures():
        assert "not known" in measure.name
        assert measure.verdict == "undecided"
        assert (measure.value, measure.low, measure.high) == (None, None, None)
    assert {row[-1] for row in analysis.tables()[0].rows} == {"?"}
    assert "takes an unknown number of times" in analysis.sentence()
    # Nor is an interval of the steps at which training ended drawn.
    for row in analysis.figures()[0].panels[0].rows:
        assert (row.interval.mean, row.interval.low, row.interval.high) == (None, None, None)
        assert list(row.values) == []
        assert row.text == "?"
    for figure in analysis.figures():
        assert figure.png().startswith(b"\x89PNG")
        assert figure.charts()


def test_depth_has_a_rate_for_each_start(analyse):
    """The rate that is fastest from a start of its own is not that of the other start."""
    analysis, trainer = analyse(
        "depth", needed=lambda c: 100 * (1 + abs(c.learning_rate - best(c)))
    )
    assert {config.initial_probability for config in trainer.searched} == {0.5, 1 - SUREST}
    for cell, rate in analysis.rates.items():
        assert rate == (0.03 if cell.wrong else 0.3)
    assert f"{PLAIN}, {OTHER}, from {SUREST:g}" in {row[0] for row in analysis.tables()[2].rows}
    assert "from each start" in analysis.notes()[1]


def test_a_search_in_which_no_rate_is_faster_is_noted(analyse):
    def needed(config):
        return 10**9 if is_wrong(config) else 100 + 100 * abs(config.learning_rate - 0.3)

    analysis, _ = analyse("depth", needed=needed)
    notes = [note for note in analysis.notes() if "no rate was faster" in note]
    assert [note.partition(":")[0] for note in notes] == [
        f"{model}, {loss}, from {SUREST:g}"
        for model in (PLAIN, DEEP)
        for loss in (REFERENCE, OTHER)
    ]


def best(config):
    return 0.03 if is_wrong(config) else 0.3


@pytest.mark.parametrize("name", ["learned-confidence", "other-classes"])
def test_rates_are_chosen_from_the_even_start(analyse, name):
    analysis, trainer = analyse(name)
    assert {config.initial_probability for config in trainer.searched} == {0.5}
    assert {config.flipped_epochs for config in trainer.searched} == {0}
    for cell, rate in analysis.rates.items():
        assert rate == analysis.rates[Cell(cell.setting, cell.loss, not cell.wrong)]


def test_steps_are_counted_to_the_accuracy_of_the_run(analyse):
    """70 % is on the way to 85 %, and is not counted."""

    def world(config):
        way = ((0, 0.1), (10, 0.7), (20 + 10 * (config.seed % 2), 0.86))
        return result(config, evaluations=tuple(evaluation(*each) for each in way))

    analysis, _ = analyse("learned-confidence", world=world)
    assert analysis.accuracy == ACCURACY
    assert {tuple(steps.value[:2]) for steps in analysis.steps.values()} == {(20, 30)}
    assert "85 %" in analysis.tables()[0].title


def test_the_wrong_start_is_learned():
    cells = claim_of("learned-confidence").design.cells
    for cell, config in cells.items():
        assert config.classes == CLASSES
        assert config.flipped_epochs == (FLIPPED_EPOCHS if cell.wrong else 0)
        assert config.initial_probability == (None if cell.wrong else 0.5)
