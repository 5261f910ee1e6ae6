import csv
import dataclasses
import math
import shutil
from pathlib import Path

import pytest

from lossbench.benchmarks.records import results
from lossbench.benchmarks.records.results import (
    COLUMNS,
    Evaluation,
    GradientWarning,
    append_row,
    append_tables,
    gather_tables,
)

ROW = Evaluation(
    loss="mse",
    seed=1,
    epoch=2,
    step=312,
    train_loss=1 / 3,
    train_accuracy=0.75,
    validation_loss=0.5,
    validation_accuracy=0.7,
    test_loss=1e-12,
    test_accuracy=0.8125,
    logit_mean_abs=2.5,
    logit_when_wrong=math.nan,
    vanished_fraction=0.0,
    parameter_norm=1234567.8,
    seconds=3.25,
    images_per_second=5000.0,
    images="cifar10",
)


def test_rows_are_on_disk_as_soon_as_they_are_added(tmp_path: Path) -> None:
    for seed in (1, 2):
        append_row(tmp_path / "results.csv", dataclasses.replace(ROW, seed=seed))
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["1", "2"]
    assert list(rows[0]) == COLUMNS
    for name, value in dataclasses.asdict(ROW).items():
        if isinstance(value, float):
            assert float(rows[0][name]) == pytest.approx(value, rel=1e-6, nan_ok=True)
        else:
            assert rows[0][name] == str(value)


def test_a_file_that_exists_is_continued(tmp_path: Path) -> None:
    for _ in range(2):
        append_row(tmp_path / "results.csv", ROW)
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("cut", [0, 1, 5, 30, 10_000])
def test_an_experiments_rows_are_those_of_its_runs_without_torn_ones(
    tmp_path: Path, cut: int
) -> None:
    odd = 'a loss, "so called"'
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for seed in range(3):
            row = dataclasses.replace(ROW, loss=odd, seed=seed, images=name)
            append_row(tmp_path / name / "results.csv", row)
    torn = tmp_path / "a" / "results.csv"
    whole = torn.read_bytes()
    torn.write_bytes(whole[: max(0, len(whole) - cut)])
    gather_tables(tmp_path, [tmp_path / name for name in ("a", "b", "never begun")])
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == COLUMNS
    assert all(len(row) == len(COLUMNS) and row[0] == odd for row in rows[1:])
    kept = {0: 3, 10_000: 0}.get(cut, 2)
    assert [row[-1] for row in rows[1:]].count("b") == 3
    assert len(rows) == 1 + kept + 3
    assert not (tmp_path / "warnings.csv").exists()


def runs_of(directory: Path, *names: str) -> list[Path]:
    """The directories of runs with two rows each, of which the last one of "torn" is."""
    for seed, name in enumerate(names):
        (directory / name).mkdir()
        for step in (0, 312):
            row = dataclasses.replace(ROW, seed=seed, step=step)
            append_row(directory / name / "results.csv", row)
        warning = GradientWarning(f"of {name}", seed, "vanished", "logit", 0, 0.0, "text")
        append_row(directory / name / "warnings.csv", warning)
    for file in directory.glob("torn/*.csv"):
        file.write_bytes(file.read_bytes()[:-3])
    return [directory / name for name in names]


def test_runs_added_one_by_one_are_as_if_they_had_been_gathered(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "a", "torn", "b", "c", "never begun")
    shutil.rmtree(runs[-1])
    gather_tables(tmp_path, runs)
    whole = [(tmp_path / name).read_text() for name in ("results.csv", "warnings.csv")]
    for ended in range(3):
        gather_tables(tmp_path, runs[:ended])
        for run in runs[ended:]:
            append_tables(tmp_path, run)
        assert [
            (tmp_path / name).read_text() for name in ("results.csv", "warnings.csv")
        ] == whole, ended


def test_a_run_that_is_added_is_the_only_one_that_is_read(tmp_path: Path, monkeypatch) -> None:
    runs = runs_of(tmp_path, *"abcd")
    gather_tables(tmp_path, runs[:3])
    read = []
    plain = results.whole_lines
    monkeypatch.setattr(results, "whole_lines", lambda path: (read.append(path), plain(path))[1])
    append_tables(tmp_path, runs[3])
    assert {path.parent for path in read} == {runs[3]}


def test_where_no_run_has_a_row_there_is_no_file(tmp_path: Path) -> None:
    """Not even one of rows that a run had before it was begun anew."""
    gather_tables(tmp_path, runs_of(tmp_path, "a"))
    assert (tmp_path / "results.csv").exists()
    gather_tables(tmp_path, [])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("content", [b"loss,seed\n\xff\xfe\n", b"loss\n" + b"x" * 200_000 + b"\n"])
def test_a_damaged_file_of_a_run_is_named(tmp_path: Path, refusal, content: bytes) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "warnings.csv").write_bytes(content)
    refusal(lambda: gather_tables(tmp_path, [tmp_path / "run"]), "warnings.csv", "trained again")
