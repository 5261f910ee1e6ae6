import io

import pytest
from rich.console import Console

from lossbench.benchmarks.format import magnitude, percent, signed_points
from lossbench.benchmarks.report.summary import summarise
from lossbench.benchmarks.report.table import (
    COLUMNS,
    body,
    fineness,
    notes,
    table_of,
    terminal_table,
)


def printed(summary, width):
    console = Console(width=width, file=io.StringIO())
    console.print(terminal_table(summary, width))
    return console.file.getvalue()


def loss(accuracy, *, half=None, first=0.5, last=0.3, n=3):
    ends = {"first": first, "last": last}
    return {
        "test_accuracy": {
            "mean": accuracy,
            "low": None if half is None else accuracy - half,
            "high": None if half is None else accuracy + half,
            "n": n,
            "per_seed": {},
        },
        "gradient": dict.fromkeys(
            ("logit_mean_abs", "logit_when_wrong", "vanished_fraction", "parameter_norm"), ends
        ),
        "minus_cross_entropy": {
            "mean": -0.25,
            "low": -0.26,
            "high": -0.24,
            "n": n,
            "detectable": 0.02,
            "examples": {"mean": -0.25, "low": -0.27, "high": -0.23, "n": 2000},
            "verdict": "undecided",
        },
        "images_per_second": 12345.6,
    }


@pytest.fixture
def wide():
    """The widest numbers that a table has to hold."""
    names = ("cross-entropy", "bce-with-logits", "probability-sum")
    return {
        "experiment": "wide",
        "synthetic": False,
        "note": None,
        "epochs": 2,
        "classes": ["dog", "cat"],
        "chance": 0.5,
        "unfinished_runs": [],
        "losses": {name: loss(0.7, half=0.01, first=3e-4, last=2e-4) for name in names},
    }


def test_rows_fall_by_accuracy_and_chance_comes_last(experiment):
    rows = body(summarise(experiment))
    assert [row[0] for row in rows] == ["cross-entropy", "mse", "chance"]
    half = 100 * 12.7062 * 0.05  # t(0.975; 1) · s / √2
    assert rows[0] == [
        "cross-entropy",
        f"75.0 ± {half:.1f}",
        "reference",
        "",
        "0.500 → 0.300",
        "–",
        "25.0",
        "2.00 → 0.500",
        "200",
    ]
    assert rows[1][1:4] == ["60.0 ± 0.0", f"−15.0 ± {half:.1f}", "undecided"]
    assert rows[2][1] == "60.0"


@pytest.mark.parametrize(("width", "speed"), [(112, True), (111, False), (80, False)])
def test_every_loss_fits_on_one_line(wide, width, speed):
    lines = printed(wide, width).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    for name in wide["losses"]:
        (line,) = (line for line in lines if line.startswith(name + " ") and "±" in line)
        assert "70.0 ± 1.0" in line
        assert "3.0e-4 → 2.0e-4" in line
        assert "undecided" in line or name == "cross-entropy"
        assert ("12,346" in line) is speed
    assert ("see summary.md" in " ".join(" ".join(lines).split())) is not speed


def test_a_directory_will_do_and_the_terminal_tells_its_width(experiment, monkeypatch):
    monkeypatch.setenv("COLUMNS", "112")
    assert len(terminal_table(experiment).columns) == len(COLUMNS)
    monkeypatch.setenv("COLUMNS", "80")
    table = terminal_table(experiment)
    assert len(table.columns) == 6
    assert table.row_count == 3


def test_markup_in_a_name_stays_a_name(wide):
    wide["losses"]["[red]x[/red]"] = loss(0.6)
    assert "[red]x[/red]" in printed(wide, 100)


def test_synthetic_is_said_in_title_and_caption(wide):
    assert "SYNTHETIC" not in printed(wide, 100)
    text = printed(wide | {"synthetic": True, "note": "SYNTHETIC IMAGES: drawn"}, 100)
    assert text.count("SYNTHETIC IMAGES") == 2


def test_a_single_seed_has_no_interval_and_the_caption_says_why(wide):
    wide["losses"] = {"mse": loss(0.7, n=1)}
    assert body(wide)[0][1] == "70.0"
    assert any("No interval is shown: it takes at least 2" in note for note in notes(wide))


def test_seeds_of_unequal_number_are_named(wide):
    wide["losses"]["mse"] = loss(0.6, n=1)
    text = " ".join(notes(wide))
    assert "over 1 to 3 seeds" in text
    assert "No interval with fewer than 2 finished seeds: mse." in text


def test_unfinished_runs_are_named(wide):
    wide["unfinished_runs"] = [
        {"loss": "mse", "seed": 1, "epoch": 1, "failure": "ValueError: odd"},
        {"loss": "nll", "seed": 2, "epoch": None, "failure": None},
    ]
    assert notes(wide)[-1] == (
        "Left out, not finished (epoch 2 is the last): mse seed 1 failed at epoch 1 with "
        "ValueError: odd, nll seed 2 not started."
    )


def test_a_page_has_every_column_and_numbers_at_the_right(wide):
    table = table_of(wide)
    assert len(table.columns) == len(COLUMNS)
    assert [name for name, _ in zip(table.columns, table.numeric, strict=True) if not _] == [
        "loss",
        "verdict",
    ]
    assert {row[0] for row in table.rows} == set(wide["losses"])
    assert [row[0] for row in table.foot] == ["chance"]


def test_the_finest_difference_is_told_in_the_terminal(wide):
    assert "a difference of 2.0 points is the smallest" in " ".join(printed(wide, 112).split())
    differences = [
        wide["losses"]["cross-entropy"]["minus_cross_entropy"] | {"detectable": size, "n": n}
        for size, n in ((0.004, 3), (0.031, 5))
    ]
    assert fineness(differences) == (
        "With 3 to 5 seeds, a difference of 0.4 to 3.1 points, depending on the loss, is the "
        "smallest that four in five such comparisons would find."
    )
    assert "fewer than 3 seeds" in fineness([differences[0] | {"n": 2}])


def test_what_cannot_be_decided_without_predictions_is_named(wide):
    assert not any("predictions" in note for note in notes(wide))
    wide["losses"]["bce-with-logits"]["minus_cross_entropy"]["examples"] = None
    assert "Nothing is decided without predictions.npz: bce-with-logits." in notes(wide)


def test_mse_fits_the_classes_that_there_are(wide):
    wide["losses"]["mse"] = loss(0.6)
    assert "mse fits the raw output itself, to −1 for a dog and +1 for a cat." in notes(wide)
    wide["classes"] = ["eel", "owl"]
    assert any("for an eel and +1 for an owl" in note for note in notes(wide))
    wide["classes"] = ["a", "b", "c"]
    assert any("the right class and −1 for each of the others" in note for note in notes(wide))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (0.5, "0.500"),
        (1.4, "1.40"),
        (123.4, "123"),
        (0.0012345, "0.00123"),
        (0.00099, "9.9e-4"),
        (2.5e-12, "2.5e-12"),
        (1234.5, "1,234"),
        (999.7, "1,000"),
        (123456, "1.2e5"),
    ],
)
def test_magnitude(value, text):
    assert magnitude(value) == text


def test_percent():
    assert percent(0.78125) == "78.1"
    assert percent(None) == "–"


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.0123, "+1.2"), (-0.0123, "−1.2"), (0.0001, "0.0"), (-0.0001, "0.0")]
)
def test_signed_points(fraction, text):
    assert signed_points(fraction) == text
