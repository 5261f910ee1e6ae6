import math

import pytest

from lossbench.benchmarks.stats.sequential import ERROR
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


def test_the_command_prints_a_row_for_each_kind_of_stream(capsys) -> None:
    main(["--streams", "50"])
    out = capsys.readouterr().out
    assert "50 streams, looks at 5, 8, 12, 18, 27, 40 seeds" in out
    assert all(f"{name} " in out for name in STREAMS)
    with pytest.raises(SystemExit) as ended:
        main(["--streams", "0"])
    assert ended.value.code == 2
    assert "--streams 0" in capsys.readouterr().err
