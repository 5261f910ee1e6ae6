"""Tables in terminals of any width: nothing is lost, and no number is broken."""

import io
import re

import pytest
from rich.console import Console

from lossbench.benchmarks.report.document import Link, Table
from lossbench.benchmarks.report.summary import summarise
from lossbench.benchmarks.report.table import COLUMNS, results_table
from lossbench.benchmarks.report.terminal import PIPE, parts, print_table

WIDEST = ("70.0 ± 10.0", "−25.0 ± 11.0", "undecided", "3.0e-4 → 2.0e-4", "3.1e-4", "100.0")
RESULTS = Table(
    COLUMNS,
    tuple(
        (name, *WIDEST, "5.3e-4 → 0.0889", "123,456")
        for name in ("bce-with-logits", "generalized-cross-entropy")
    ),
    (("chance", "50.0", *[""] * 7),),
)
RATES = Table(
    ("loss", *map(str, range(20)), "chosen"), (("mse", *[f"{n}.5" for n in range(20)], "3"),)
)
LONG = Table(("x" * 70, "y"), (("[red]" + "n" * 90 + "[/red]", "t" * 80), (Link("a", "#b"), "c")))
TABLES = {"results": RESULTS, "rates": RATES, "long": LONG}


def lines_of(table: Table, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    for part in parts(table, width):
        console.print(part)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [*range(60, 140, 4), PIPE])
@pytest.mark.parametrize("name", TABLES)
def test_nothing_is_lost_in_any_width(name: str, width: int) -> None:
    table = TABLES[name]
    lines = lines_of(table, width)
    assert max(len(line) for line in lines) <= width
    letters = "".join("".join(lines).split())
    for row in (table.columns, *table.rows, *table.foot):
        for cell in row:
            text = cell.text if isinstance(cell, Link) else cell
            assert all(letters.count(each) >= text.count(each) for each in set(text) - {" "})
            if len(text) < 30 and row != table.columns:
                assert any(text in line for line in lines)


def test_a_part_has_the_names_again_and_no_empty_rows() -> None:
    text = "\n".join(lines_of(RESULTS, 60))
    assert text.count("bce-with-logits") == 4
    assert text.count("chance") == 1
    assert len(list(parts(RESULTS, PIPE))) == 1
    assert len(list(parts(RESULTS, 60))) == 4


def test_a_pipe_has_a_line_per_row(capsys) -> None:
    print_table(RATES, "[red]Rates")
    out = capsys.readouterr().out
    assert out.startswith("[red]Rates\n")
    (row,) = (line for line in out.splitlines() if line.startswith("mse"))
    assert "19.5" in row


@pytest.mark.parametrize("columns", ["60", "90"])
def test_a_terminal_is_told_by_its_width(columns: str, experiment, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table(results_table(summarise(experiment)))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= int(columns)
    assert sum(line.startswith("cross-entropy ") for line in lines) > 1
