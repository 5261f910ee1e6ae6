"""The table of `lossbench speed`: its rows can be measured, and it says what they came to."""

import json
from datetime import datetime

import pytest
import torch

from lossbench.benchmarks.cli import main
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.report.render import markdown
from lossbench.benchmarks.speed.interleaved import Ratio
from lossbench.benchmarks.speed.memory import peak
from lossbench.benchmarks.speed.row import Row
from lossbench.benchmarks.speed.table import Found, cells, chosen, measured, page, write
from lossbench.benchmarks.speed.targets import COUNTERPARTS, rows
from lossbench.losses import registry


def row(target: float, *, at_least: bool = False) -> Row:
    return Row("losses", "a row", lambda _: Ratio(0.5, 0.4, 0.6, 9), target, at_least, " x")


@pytest.mark.parametrize(
    ("target", "at_least", "met"),
    [(0.5, False, "yes"), (0.49, False, "no"), (0.5, True, "yes"), (0.51, True, "no")],
)
def test_a_row_is_met_on_its_side_of_the_target(target, at_least, met) -> None:
    one = row(target, at_least=at_least)
    sign = "≥" if at_least else "≤"
    expected = ("losses", "a row", "0.5 x", "0.4 to 0.6", f"{sign} {target:g} x", met)
    assert cells(Found(one, one.measure(0))) == expected


def test_rows_have_names_of_their_own_and_every_loss_of_torch_is_among_them() -> None:
    names = [each.name for each in rows()]
    assert len(set(names)) == len(names)
    of_torch = {
        name
        for name in registry.names()
        if registry.entry(name).source.startswith(("torch.nn", "torchvision"))
    }
    assert of_torch <= {*COUNTERPARTS, "cross-entropy", "bce-with-logits"}


def test_a_part_of_the_table_is_measured_and_written_whole(tmp_path) -> None:
    said: list[str] = []
    found = list(measured(chosen("cross-entropy (64, 2)"), 0.01, said.append))
    assert said == ["1 of 1: cross-entropy (64, 2)"]
    place = write(found, tmp_path, datetime(2026, 1, 2, 3, 4, 5))
    assert place == tmp_path / "speed" / "2026-01-02-030405"
    about = json.loads((place / "speed.json").read_text())
    assert about["rows"][0]["median"] == found[0].ratio.median > 0
    assert about["facts"]["torch"] == torch.__version__
    assert markdown(page(found)) == (place / "speed.md").read_text()


def test_a_part_that_is_not_there_is_the_user_s_mistake(capsys) -> None:
    with pytest.raises(UserError, match="no row of the speed table has 'nothing'"):
        chosen("nothing")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA device"):
            chosen("cuda")
    assert main(["speed", "--only", "nothing"]) == 2
    for seconds in ("0", "inf", "nan"):
        assert main(["speed", "--seconds", seconds]) == 2
        assert f"--seconds {seconds}: must be above 0" in capsys.readouterr().err


def test_the_peak_is_what_is_alive_at_a_time() -> None:
    x = torch.ones(250_000)
    # Beside a megabyte each there are numbers of a few bytes.
    assert peak(lambda: x + 1) == pytest.approx(1e6, abs=100)
    assert peak(lambda: [x + 1, x + 2]) == pytest.approx(2e6, abs=100)
    assert peak(lambda: (x + 1).sum() + (x + 2).sum()) == pytest.approx(1e6, abs=100)
