import math

import pytest

from lossbench.benchmarks.stats.crossed_calibration import EFFECTS, coverage, main

ROUNDS = 400
BY_CHANCE = 4 * math.sqrt(0.05 * 0.95 / ROUNDS)


@pytest.mark.parametrize("name", EFFECTS)
def test_intervals_of_five_seeds_cover_the_truth(name: str) -> None:
    found = coverage(5, 200, EFFECTS[name], ROUNDS)
    assert abs(found.at_95 - 0.95) < 0.02 + BY_CHANCE
    assert abs(found.at_90 - 0.90) < 0.02 + 1.4 * BY_CHANCE


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 12])
@pytest.mark.parametrize("name", EFFECTS)
def test_intervals_of_many_images_cover_the_truth(name: str, seeds: int) -> None:
    assert coverage(seeds, 2000, EFFECTS[name], ROUNDS).at_95 > 0.92 - BY_CHANCE


def test_the_command_prints_a_row_for_each_effect(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rounds", "2"])
    out = capsys.readouterr().out
    assert all(out.count(f"\n{name:16}  ") == 2 for name in EFFECTS)
    with pytest.raises(SystemExit):
        main(["--rounds", "0"])
    assert "--rounds 0" in capsys.readouterr().err
