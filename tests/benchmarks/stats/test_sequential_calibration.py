import math

import numpy as np
import pytest

from lossbench.benchmarks.stats.sequential import ERROR, LOOKS, look
from lossbench.benchmarks.stats.sequential_calibration import STREAMS, error_rates, main

COUNT = 4000
BY_CHANCE = 4 * math.sqrt(ERROR * (1 - ERROR) / COUNT)


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "skewed differences"])
def test_equal_arms_are_called_different_in_at_most_5_percent(name: str) -> None:
    rates = error_rates(STREAMS[name], COUNT)
    assert max(rates.different, rates.equivalent) < ERROR + BY_CHANCE
    assert rates.naive > rates.different
    if name == "normal":
        assert min(rates.different, rates.equivalent) > ERROR - BY_CHANCE
        assert rates.naive > 3 * ERROR


def test_skewed_differences_break_the_promise_and_are_told() -> None:
    assert error_rates(STREAMS["skewed differences"], COUNT).different > 2 * ERROR


@pytest.mark.parametrize("name", STREAMS)
def test_the_rates_are_those_of_looks(name: str) -> None:
    streams, margin = 60, 1e6
    differences = STREAMS[name](np.random.default_rng(3), (streams, LOOKS[-1]))
    looks = [[look(list(row[:n]), 1.0) for n in LOOKS] for row in differences]
    at_margin = [[look(list(row[:n] + margin), margin) for n in LOOKS] for row in differences]
    rates = error_rates(STREAMS[name], streams, seed=3)
    assert rates.different == np.mean([any(each.different for each in row) for row in looks])
    assert rates.equivalent == np.mean([any(each.equivalent for each in row) for row in at_margin])


def test_the_command_prints_a_row_for_each_kind_of_stream(capsys) -> None:
    main(["--streams", "50"])
    out = capsys.readouterr().out
    assert "50 streams, looks at 5, 8, 12, 18, 27, 40 seeds" in out
    assert all(f"{name} " in out for name in STREAMS)
    with pytest.raises(SystemExit) as ended:
        main(["--streams", "0"])
    assert ended.value.code == 2
    assert "--streams 0" in capsys.readouterr().err
