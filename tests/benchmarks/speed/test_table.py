"""Table of `lossbench speed`: which targets it has, how they are judged and written."""

import json
from dataclasses import replace
from datetime import datetime

import pytest
import torch
import torch.nn.functional as F

from lossbench.benchmarks.cli import main
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.report.render import markdown
from lossbench.benchmarks.speed import memory_cases, table, training_runs
from lossbench.benchmarks.speed.growth import growth_targets
from lossbench.benchmarks.speed.interleaved import Ratio
from lossbench.benchmarks.speed.peak_memory import kept_bytes, peak_bytes
from lossbench.benchmarks.speed.table import (
    Measurement,
    cells,
    group_tables,
    measure,
    medians,
    notes,
    page,
    select,
    write,
)
from lossbench.benchmarks.speed.target import SpeedTarget
from lossbench.benchmarks.speed.targets import all_targets
from lossbench.losses import functional, registry

NOW = datetime(2026, 1, 2, 3, 4, 5)


def target(name: str = "a row", bound: float = 1.0, *, at_least: bool = False) -> SpeedTarget:
    return SpeedTarget(
        "losses", name, lambda _: Ratio(0.5, 0.4, 0.6, 9, name), bound, at_least, " x"
    )


@pytest.mark.parametrize(
    ("bound", "at_least", "met"),
    [
        (0.5, False, "reached"),
        (0.49, False, "missed"),
        (0.5, True, "reached"),
        (0.51, True, "missed"),
    ],
)
def test_a_target_is_met_on_its_side_of_the_bound(bound, at_least, met) -> None:
    (found,) = measure([target(bound=bound, at_least=at_least)], 0, lambda _: None)
    bound = f"{'≥' if at_least else '≤'} {bound:g} x"
    assert cells(found) == ("losses", "a row", "0.5 x", "0.4 to 0.6", "", "", bound, met)


def test_a_missed_target_says_where_memory_binds() -> None:
    ratio = Ratio(0.9, 0.8, 1.0, 9, bandwidth=20e9, share_of_copy=0.95)
    row = SpeedTarget("float32", "nll", lambda _: ratio, 0.5)
    bandwidth, share, _, verdict = cells(Measurement(row, ratio))[-4:]
    assert (bandwidth, share, verdict) == ("20", "0.95", "memory binds")
    assert row.verdict(replace(ratio, share_of_copy=0.5)) == "missed"
    assert row.verdict(replace(ratio, median=0.4)) == "reached"


def test_names_are_unique_and_every_loss_has_a_target() -> None:
    names = [(each.group, each.name) for each in all_targets()]
    assert len(set(names)) == len(names)
    for name in registry.names():
        assert {group for group, row in names if row.startswith(f"{name} (")} >= {
            *("float32", "bfloat16", "float16", "float64", "no compiler", "compiled")
        }
    assert [t.name for t in select("growth")] == [t.name for t in growth_targets()]


def test_the_median_of_a_group_is_a_row_of_its_own() -> None:
    def of(name: str, value: float, bound: float | None) -> Measurement:
        ratio = Ratio.single(value)
        return Measurement(SpeedTarget("a", name, lambda _: ratio, 0.5, median_bound=bound), ratio)

    measured = [of("x", 0.1, 0.25), of("y", 0.2, 0.25), of("z", 0.4, 0.25), of("small", 0.8, None)]
    (found,) = medians(measured)
    assert found.ratio.median == 0.2
    assert cells(found)[:3] == ("a", "median of 3 large rows", "0.2")
    assert list(medians(measured[3:])) == []
    bounds = {t.group: t.median_bound for t in all_targets() if t.median_bound is not None}
    assert bounds == {"float32": 0.25, "soft targets": 0.25, "no compiler": 2.0}


def test_without_lightning_its_target_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def count() -> int:
        return sum("Lightning" in each.name for each in all_targets())

    assert count() == training_runs.has_lightning()
    monkeypatch.setattr(training_runs.importlib.util, "find_spec", lambda _: None)
    assert count() == 0


def test_a_terminal_has_a_table_per_group() -> None:
    ratio = Ratio.single(0.1)
    rows = [("a", "x"), ("b", "y"), ("a", "median")]
    measured = [
        Measurement(SpeedTarget(group, row, lambda _: ratio, 1), ratio) for group, row in rows
    ]
    found = {group: [row[0] for row in table.rows] for group, table in group_tables(measured)}
    assert found == {"a": ["x", "median"], "b": ["y"]}
    assert all(len(table.columns) == len(table.rows[0]) for _, table in group_tables(measured))


def test_one_target_is_measured_and_written(tmp_path) -> None:
    lines: list[str] = []
    found = list(measure(select("float64 multilabel-margin (64, 2)"), 0.01, lines.append))
    assert lines == ["1 of 1: multilabel-margin (64, 2), float64"]
    output = write(found, tmp_path, NOW)
    assert output == tmp_path / "speed" / "2026-01-02-030405"
    record = json.loads((output / "speed.json").read_text())
    assert record["rows"][0]["median"] == found[0].ratio.median > 0
    assert record["facts"]["torch"] == torch.__version__
    assert markdown(page(found)) == (output / "speed.md").read_text()


def test_a_target_without_images_is_skipped() -> None:
    def missing(_seconds: float) -> Ratio:
        raise UserError("no images")

    lines: list[str] = []
    targets = [SpeedTarget("cuda", "gone", missing, 1.0), target("there")]
    found = list(measure(targets, 0, lines.append))
    expected = ["1 of 2: gone, cuda", "skipped: no images", "2 of 2: there, losses"]
    assert lines == expected
    assert notes(found) == ["there: there."]


def test_what_was_measured_on_a_gpu_names_it(monkeypatch) -> None:
    monkeypatch.setattr(table, "hardware", lambda device: {"device": device.type})
    (found,) = measure([target()], 0, lambda _: None)
    on_gpu = Measurement(replace(found.target, group="cuda"), found.ratio)
    assert table.machine_facts([found])["device"] == "cpu"
    assert table.machine_facts([found, on_gpu])["device"] == "cuda"


def test_wrong_arguments(capsys) -> None:
    with pytest.raises(UserError, match="no row of the speed table has 'nothing'"):
        select("nothing")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            select("cuda")
    assert main(["speed", "--only", "nothing"]) == 2
    for seconds in ("0", "inf", "nan"):
        assert main(["speed", "--seconds", seconds]) == 2
        assert f"--seconds {seconds}: must be above 0" in capsys.readouterr().err


def test_peak_bytes_are_those_alive_at_a_time() -> None:
    x = torch.ones(250_000)
    # Beside a megabyte each there are numbers of a few bytes.
    assert peak_bytes(lambda: x + 1) == pytest.approx(1e6, abs=100)
    assert peak_bytes(lambda: [x + 1, x + 2]) == pytest.approx(2e6, abs=100)
    assert peak_bytes(lambda: (x + 1).sum() + (x + 2).sum()) == pytest.approx(1e6, abs=100)


def test_kept_bytes_are_those_of_the_value_and_its_graph() -> None:
    x = torch.ones(250_000, requires_grad=True)
    assert kept_bytes(lambda: (x + 1).sum()) == pytest.approx(0, abs=100)
    assert kept_bytes(lambda: ((2 * x) ** 2).sum()) == pytest.approx(1e6, abs=100)


def test_memory_of_a_loss_in_every_situation() -> None:
    def squares(z: torch.Tensor, _target: torch.Tensor) -> torch.Tensor:
        return (z * z).sum()

    logits = memory_cases.ROWS * memory_cases.CLASSES * 4
    kept = memory_cases.graph_kept("bce-with-logits", squares)
    # Of four losses each keeps its own logits.
    summed = memory_cases.four_summed("bce-with-logits", squares)
    assert kept == pytest.approx(logits, rel=0.01)
    assert 4 * logits <= summed <= 6.1 * logits
    assert memory_cases.checkpointed("bce-with-logits", squares) < 0.1 * logits


def test_memory_is_that_of_ours_relative_to_torchs() -> None:
    names = [target.name for target in memory_cases.memory_targets()]
    assert len(names) == 8
    bytes_of = {F.cross_entropy: 100, functional.cross_entropy: 150}
    found = memory_cases.beside_torch("cross-entropy", lambda _, loss: bytes_of[loss], 0)
    assert found.median == 1.5
