import pytest

from lossbench.benchmarks.records.results import GRADIENT_COLUMNS
from lossbench.benchmarks.report.summary import summarise
from lossbench.benchmarks.report.table import (
    COLUMNS,
    notes,
    results_table,
    rows,
    short_table,
)


def loss(accuracy, *, half=None, first=0.5, last=0.3, n=3):
    return {
        "test_accuracy": {
            "mean": accuracy,
            "low": None if half is None else accuracy - half,
            "high": None if half is None else accuracy + half,
            "n": n,
            "per_seed": {},
        },
        "gradient": {name: {"first": first, "last": last} for name in GRADIENT_COLUMNS},
        "minus_cross_entropy": {
            "mean": -0.25,
            "low": -0.26,
            "high": -0.24,
            "n": n,
            "images": 2000,
            "verdict": "undecided",
            "seeds_needed": 12,
            "images_needed": None,
        },
        "images_per_second": 12345.6,
    }


@pytest.fixture
def wide():
    """A summary with the widest numbers that a table has to hold."""
    names = ("cross-entropy", "bce-with-logits", "probability-sum")
    return {
        "experiment": "wide",
        "start": "normal",
        "synthetic": False,
        "note": None,
        "epochs": 2,
        "classes": ["dog", "cat"],
        "chance": 0.5,
        "unfinished_runs": [],
        "losses": {name: loss(0.7, half=0.01, first=3e-4, last=2e-4) for name in names},
        "identities": {},
    }


def test_rows_fall_by_accuracy_and_chance_comes_last(experiment):
    summary = summarise(experiment)
    first, second, chance = rows(summary)
    half = 100 * 12.7062 * 0.05  # t(0.975; 1) · s / √2
    assert first == (
        *("cross-entropy", f"75.0 ± {half:.1f}", "reference", ""),
        *("0.500 → 0.300", "–", "25.0", "2.00 → 0.500", "200"),
    )
    assert second[:4] == ("mse", "60.0 ± 0.0", "−15.0", "undecided")
    assert chance[:2] == ("chance", "60.0")
    table = results_table(summary)
    assert (table.rows, table.foot) == ((first, second), (chance,))
    assert len(table.columns) == len(COLUMNS) == len(chance)
    text = [name for name, numeric in zip(table.columns, table.numeric, strict=True) if not numeric]
    assert text == ["loss", "verdict"]


def test_the_short_table_has_the_gradient_at_the_start(wide):
    wide["losses"]["mse"] = loss(0.8, first=18.197)
    wide["losses"]["mse"]["gradient"]["logit_when_wrong"]["last"] = 2.0
    table = short_table(wide)
    assert table.rows[0] == ("mse", "80.0", "18.2")
    assert table.rows[-1] == ("probability-sum", "70.0 ± 1.0", "3.0e-4")
    assert table.foot == (("chance", "50.0", ""),)
    assert table.numeric == (False, True, True)


def joined(wide):
    return " ".join(notes(wide))


def test_an_identity_has_its_accuracy_and_says_of_which_loss_it_has_the_gradient(wide):
    identity = {"of": "bce", "factor": 2.0, "test_accuracy": 0.703}
    foot = results_table(wide | {"identities": {"bernoulli-sum": identity}}).foot
    assert foot[0][:4] == ("bernoulli-sum", "70.3", "", "same gradient as bce, × 2")
    assert [len(row) for row in foot] == [len(COLUMNS)] * 2


def test_notes_say_which_intervals_are_missing(wide):
    assert "over 3 seeds" in joined(wide)
    assert "better or worse: p that" in joined(wide)
    assert "these seeds agree" not in joined(wide)
    wide["losses"]["mse"] = loss(0.5, half=0.0)
    assert "± 0.0 says that these seeds agree, not that others would." in joined(wide)
    wide["losses"]["mse"] = loss(0.6, n=1)
    assert "over 1 to 3 seeds" in joined(wide)
    assert "fewer than 2 finished seeds: mse." in joined(wide)
    wide["losses"] = {"mse": loss(0.7, n=1)}
    assert rows(wide)[0][1] == "70.0"
    assert "at least 2 finished seeds" in joined(wide)
    assert "±" not in joined(wide)


def test_notes_name_runs_and_losses_without_a_result(wide):
    wide["unfinished_runs"] = [
        {"loss": "mse", "seed": 1, "epoch": 1, "failure": "ValueError: odd"},
        {"loss": "bce", "seed": 0, "epoch": 0.5, "failure": None},
        {"loss": "nll", "seed": 2, "epoch": None, "failure": None},
    ]
    wide["losses"]["nll"] = loss(None) | {"minus_cross_entropy": None}
    wide["losses"]["nll"]["test_accuracy"]["diverged"] = [1, 3]
    text = joined(wide)
    assert "mse seed 1 failed at epoch 1 with ValueError: odd" in text
    assert "bce seed 0 at epoch 0.5, 1 run not started." in text
    assert "nll has diverged with seed 1, 3, which counts as chance." in text
    assert "predictions.npz" not in text
    wide["losses"]["bce-with-logits"]["minus_cross_entropy"]["images"] = None
    assert "predictions.npz: bce-with-logits." in joined(wide)


@pytest.mark.parametrize(
    ("classes", "targets"),
    [
        (["dog", "cat"], "to −1 for a dog and +1 for a cat"),
        (["eel", "owl"], "to −1 for an eel and +1 for an owl"),
        (["a", "b", "c"], "to +1 for the target class and −1 for every other"),
    ],
)
def test_notes_give_the_targets_of_mse(wide, classes, targets):
    assert "mse fits" not in joined(wide)
    wide["losses"]["mse"] = loss(0.6)
    assert targets in joined(wide | {"classes": classes})
