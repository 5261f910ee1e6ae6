import io

import pytest
from rich.console import Console

from lossbench.benchmarks.records.results import GRADIENT_COLUMNS
from lossbench.benchmarks.report.summary import summarise
from lossbench.benchmarks.report.table import (
    COLUMNS,
    notes,
    results_table,
    rows,
    short_table,
    terminal_table,
)


def printed(summary, width):
    console = Console(width=width, file=io.StringIO())
    console.print(terminal_table(summary, width))
    return console.file.getvalue()


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


@pytest.mark.parametrize(("width", "all_columns"), [(112, True), (111, False), (80, False)])
def test_every_loss_fits_on_one_line(wide, width, all_columns):
    lines = printed(wide, width).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    for name in wide["losses"]:
        (line,) = (line for line in lines if line.startswith(name + " ") and "±" in line)
        assert "70.0 ± 1.0" in line
        assert "3.0e-4 → 2.0e-4" in line
        assert "undecided" in line or name == "cross-entropy"
        assert ("12,346" in line) is all_columns
    assert ("See summary.md" in " ".join(" ".join(lines).split())) is not all_columns


def test_a_narrow_terminal_has_fewer_columns(experiment):
    summary = summarise(experiment)
    assert len(terminal_table(summary, 112).columns) == len(COLUMNS)
    assert len(terminal_table(summary, 80).columns) == len(COLUMNS) - 3
    assert terminal_table(summary, 80).row_count == 3


def test_markup_in_a_name_is_text(wide):
    wide["losses"]["[red]x[/red]"] = loss(0.6)
    assert "[red]x[/red]" in printed(wide, 100)


def test_synthetic_images_are_named_in_title_and_caption(wide):
    assert "SYNTHETIC" not in printed(wide, 100)
    text = printed(wide | {"synthetic": True, "note": "SYNTHETIC IMAGES: drawn"}, 100)
    assert text.count("SYNTHETIC IMAGES") == 2


def joined(wide):
    return " ".join(notes(wide))


def test_notes_say_which_intervals_are_missing(wide):
    assert "over 3 seeds" in joined(wide)
    assert "better or worse: p that" in joined(wide)
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
    wide["losses"]["nll"]["test_accuracy"]["per_seed"] = {"0": 0.5, "1": None}
    text = joined(wide)
    assert "mse seed 1 failed at epoch 1 with ValueError: odd" in text
    assert "bce seed 0 at epoch 0.5, nll seed 2 not started." in text
    assert "nll ended without a finite accuracy for seed 1." in text
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


def test_what_would_decide_is_said_of_the_undecided(wide):
    text = " ".join(printed(wide, 112).split())
    assert "bce-with-logits 12 seeds, probability-sum 12 seeds." in text
    assert "in 4 of 5 such comparisons" in text
    for each in wide["losses"].values():
        each["minus_cross_entropy"]["verdict"] = "worse"
    assert "Would decide" not in printed(wide, 112)
