import numpy as np
import pytest

from lossbench.benchmarks.evidence import multiclass

LEVEL = {
    ("cifar10-ten", "cross-entropy"): 0.600,
    ("cifar10-ten", "bernoulli-sum"): 0.598,
    ("cifar10-ten", "softmax-mse"): 0.560,
    ("cifar10-ten", "bce-with-logits"): 0.590,
    ("oxford-breeds", "cross-entropy"): 0.80,
    ("oxford-breeds", "bernoulli-sum"): 0.80,
    ("oxford-breeds", "softmax-mse"): 0.78,
    ("oxford-breeds", "bce-with-logits"): 0.79,
}


def classes_of(trial):
    return {"cifar10-ten": 10, "oxford-breeds": 3}[trial.data]


def lab_of(fake_lab, change=(), budget="quick"):
    shares = LEVEL | dict(change)
    return fake_lab(
        budget,
        lambda trial: [shares[trial.data, trial.loss]] * classes_of(trial),
        classes=classes_of,
        count=300,
    )


@pytest.mark.parametrize("budget", multiclass.SIZES)
def test_holds_where_none_is_ahead(fake_lab, check_finding, budget):
    lab = lab_of(fake_lab, budget=budget)
    finding = multiclass.CLAIM.examine(lab)
    assert finding.verdict == "holds", finding.measures
    check_finding(multiclass.CLAIM, finding, lab)


@pytest.mark.parametrize(
    "better",
    [
        {("cifar10-ten", "bce-with-logits"): 0.66},
        {("oxford-breeds", "bernoulli-sum"): 0.95},
    ],
)
def test_does_not_hold_where_one_is_ahead(fake_lab, better):
    assert multiclass.CLAIM.examine(lab_of(fake_lab, better)).verdict == "does not hold"


def test_a_lead_smaller_than_the_margin_does_not_refute_it(fake_lab):
    lead = {("oxford-breeds", "bernoulli-sum"): 0.82}
    assert multiclass.CLAIM.examine(lab_of(fake_lab, lead)).verdict == "holds"


def test_two_seeds_decide_nothing(fake_lab, monkeypatch):
    sizes = {data: size._replace(seeds=2) for data, size in multiclass.SIZES["quick"].items()}
    monkeypatch.setitem(multiclass.SIZES, "quick", sizes)
    assert multiclass.CLAIM.examine(lab_of(fake_lab)).verdict == "undecided"


def test_measures_are_differences_of_test_accuracy(fake_lab):
    lab = lab_of(fake_lab)
    finding = multiclass.CLAIM.examine(lab)
    found = {}
    for trial in lab.trained:
        found.setdefault((trial.data, trial.loss), []).append(lab.outcome(trial).test.accuracy)
    points = {cell: 100 * np.mean(values) for cell, values in found.items()}
    expected = [
        points[task.data, loss] - points[task.data, "cross-entropy"]
        for task in multiclass.TASKS
        for loss in list(multiclass.LOSSES)[1:]
    ]
    assert [measure.value for measure in finding.measures] == pytest.approx(expected)


def test_the_picture_and_the_table_count_what_was_trained_on(fake_lab):
    finding = multiclass.CLAIM.examine(lab_of(fake_lab))
    names = [row[0] for row in finding.tables[0].rows]
    assert sum("10 classes" in name for name in names) == 4
    assert sum("3 classes" in name for name in names) == 4
    assert "(chance 10)" in finding.pictures[0].alt
    assert "(chance 33)" in finding.pictures[0].alt
