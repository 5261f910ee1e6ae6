"""Table of `lossbench speed`: which targets it has, how they are judged and written."""

import json
from datetime import datetime

import pytest
import torch

from lossbench.benchmarks.cli import main
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.report.render import markdown
from lossbench.benchmarks.speed import training_runs
from lossbench.benchmarks.speed.growth import growth_targets
from lossbench.benchmarks.speed.interleaved import Ratio
from lossbench.benchmarks.speed.memory import peak_bytes
from lossbench.benchmarks.speed.table import cells, measure, notes, page, select, write
from lossbench.benchmarks.speed.target import Target
from lossbench.benchmarks.speed.targets import COUNTERPARTS, all_targets
from lossbench.losses import registry

NOW = datetime(2026, 1, 2, 3, 4, 5)


def target(name: str = "a row", bound: float = 1.0, *, at_least: bool = False) -> Target:
    return Target("losses", name, lambda _: Ratio(0.5, 0.4, 0.6, 9, name), bound, at_least, " x")


@pytest.mark.parametrize(
    ("bound", "at_least", "met"),
    [(0.5, False, "yes"), (0.49, False, "no"), (0.5, True, "yes"), (0.51, True, "no")],
)
def test_a_target_is_met_on_its_side_of_the_bound(bound, at_least, met) -> None:
    (found,) = measure([target(bound=bound, at_least=at_least)], 0, lambda _: None)
    sign = "≥" if at_least else "≤"
    assert cells(found) == ("losses", "a row", "0.5 x", "0.4 to 0.6", f"{sign} {bound:g} x", met)


def test_names_are_unique_and_every_loss_of_torch_has_a_target() -> None:
    names = [each.name for each in all_targets()]
    assert len(set(names)) == len(names) >= 35
    in_torch = {
        name
        for name in registry.names()
        if registry.entry(name).source.startswith(("torch.nn", "torchvision"))
    }
    assert in_torch <= {*COUNTERPARTS, "cross-entropy", "bce-with-logits"}
    assert [t.name for t in select("growth")] == [t.name for t in growth_targets()]


def test_without_lightning_its_target_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def count() -> int:
        return sum("Lightning" in each.name for each in all_targets())

    assert count() == training_runs.has_lightning()
    monkeypatch.setattr(training_runs.importlib.util, "find_spec", lambda _: None)
    assert count() == 0


def test_one_target_is_measured_and_written(tmp_path) -> None:
    lines: list[str] = []
    found = list(measure(select("cross-entropy (64, 2)"), 0.01, lines.append))
    assert lines == ["1 of 1: cross-entropy (64, 2)"]
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
    targets = [Target("cuda", "gone", missing, 1.0), target("there")]
    found = list(measure(targets, 0, lines.append))
    assert lines == ["1 of 2: gone", "skipped: no images", "2 of 2: there"]
    assert notes(found) == ["there: there."]


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
