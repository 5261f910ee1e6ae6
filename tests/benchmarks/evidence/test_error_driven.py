import numpy as np
import pytest

from lossbench.benchmarks.evidence.error_driven import (
    IN_WORDS,
    OTHERS,
    PROPORTIONAL,
    bin_medians,
    format_deviation,
    formula_difference,
    median,
    r2_text,
)
from lossbench.benchmarks.evidence.gradients import FORMULAS, RecordedExamples
from lossbench.benchmarks.records.claim import verdict_of

from .worlds import torch_examples


def errors(rows):
    return 1 / (1 + np.exp(-rows[:, 1])) - rows[:, 2]


def scaled(loss, factor):
    def change(config, rows):
        if config.loss == loss:
            rows[:, 3] *= factor(rows)
        return rows

    return change


@pytest.mark.parametrize("loss", PROPORTIONAL)
def test_one_example_refutes(analyse, loss):
    def factor(rows):
        largest = np.argmax(np.abs(errors(rows)))
        return np.where(np.arange(len(rows)) == largest, 1.0001, 1.0)

    measures = analyse("error-driven", change=scaled(loss, factor))[0].measures()
    assert [m.verdict for m in measures] == ["does not hold"] + ["holds"] * 4


def test_another_multiple_of_the_error_refutes(analyse):
    measures = analyse("error-driven", change=scaled("nll", lambda _: 1.001))[0].measures()
    assert measures[0].verdict == "does not hold"


@pytest.mark.parametrize("loss", OTHERS)
def test_another_proportional_loss_refutes(analyse, loss):
    def change(config, rows):
        if config.loss == loss:
            rows[:, 3] = 0.25 * errors(rows)
        return rows

    measures = analyse("error-driven", change=change)[0].measures()
    assert verdict_of(measures) == "does not hold"
    assert {m.verdict for m in measures if not m.name.startswith(loss)} == {"holds"}


def test_undecided_for_a_loss_that_diverged(examine):
    def change(config, rows):
        if config.loss == "mse" and config.seed == 101:
            rows[50:, 1:] = np.nan
        return rows

    finding = examine("error-driven", change=change)
    assert finding.verdict == verdict_of(finding.measures) == "undecided"
    assert "nan" not in finding.sentence


def test_numbers_are_those_of_the_examples(examine, analyse):
    _, trainer = analyse("error-driven")
    assert len(trainer.trained) == len(set(trainer.trained)) == 10 * 2 * 3
    count = sum(len(torch_examples(c)) for c in trainer.trained if c.loss in PROPORTIONAL)
    finding = examine("error-driven")
    assert f"Over {count:,} examples" in finding.sentence
    assert all("?" in figure.alt.split(":")[0] for figure in finding.figures)
    rows = {row[0]: row for row in finding.tables[1].rows}
    assert set(rows) == set(IN_WORDS) == set(FORMULAS)
    assert rows["bernoulli-sum"][2] == "2.000"
    assert float(rows["bce"][6]) == pytest.approx(0.5, abs=0.02)
    assert float(rows["sigmoid-mse"][7]) < 0.01
    # By the formulas: e (1 - e) and e at 0.999, relative to 1/2.
    assert "probability-sum 0.004" in finding.figures[1].alt
    assert "cross-entropy 2;" in finding.figures[1].alt


def test_medians_and_differences_by_hand():
    odds = np.concatenate([np.full(20, -3.5), np.full(19, 3.5)])
    examples = RecordedExamples(odds, np.linspace(1, 2, 39))
    x, y = bin_medians(examples)
    # Bins with fewer than 20 examples are left out.
    assert x.tolist() == [3.5]
    assert y == pytest.approx([np.median(examples.magnitude[:20])])
    assert median(examples, 0.9, 1) == f"{np.median(examples.magnitude[:20]):.2g}"
    assert median(examples, 0.4, 0.6) == "–"
    assert formula_difference("zero-one", examples) == 1
    assert formula_difference("zero-one", RecordedExamples(odds, 0 * odds)) == 0


def test_texts():
    assert [r2_text(r2) for r2 in (1 - 1e-9, 0.951, -0.25, float("nan"))] == [
        "1 − 1e-09", "0.95", "−0.25", "–"
    ]  # fmt: skip
    assert [format_deviation(v) for v in (0.0, 0.25, 2e-7, float("nan"))] == [
        "0.00",
        "0.25",
        "2e-07",
        "–",
    ]
