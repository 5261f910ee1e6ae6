import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lossbench.benchmarks.records.events import BINS, EventFile, bucket_counts, scalar_values
from lossbench.benchmarks.report.board_seeds import (
    MAX_POINTS,
    BinnedHistogram,
    RunEvents,
    layer_of,
    merged_histograms,
    over_seeds,
    positive_band,
    read_seed,
    share_band,
    subsample,
)

NAN = math.nan
STEPS = np.array([0])


def seed_of(curve: dict[int, float]) -> RunEvents:
    return RunEvents({"x": curve}, {}, {})


def column(values) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=10))
def test_a_share_has_the_t_interval_cut_to_what_a_share_can_be(values) -> None:
    _, mean, low, high = (part[0] for part in share_band(STEPS, column(values)))
    assert mean == pytest.approx(np.mean(values))
    if np.ptp(values) > 1e-9:
        ends = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (low, high) == pytest.approx(np.clip(ends, 0, 1))
    assert 0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=10))
def test_a_positive_band_is_never_below_zero(values) -> None:
    _, mean, low, high = (part[0] for part in positive_band(STEPS, column(values)))
    assert 0 <= low <= mean <= high < math.inf


@given(st.lists(st.floats(1, 2), min_size=3, max_size=10))
def test_a_positive_band_is_symmetric_on_a_log_axis(values) -> None:
    _, mean, low, high = (part[0] for part in positive_band(STEPS, column(values)))
    assert high / mean == pytest.approx(mean / low)


def test_a_narrow_positive_band_is_the_t_interval() -> None:
    values = [0.999, 1.0, 1.001, 1.0005]
    band = positive_band(STEPS, column(values))
    ends = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (band.low[0], band.high[0]) == pytest.approx(ends, rel=1e-5)


def test_gradients_that_are_all_zero_have_no_width() -> None:
    assert positive_band(STEPS, column([0, 0, 0]))[1:] == ([0], [0], [0])


@pytest.mark.parametrize("band", [share_band, positive_band])
def test_what_a_seed_has_not_measured_does_not_count(band) -> None:
    with_gap, without = band(STEPS, column([0.25, NAN, 0.5])), band(STEPS, column([0.25, 0.5]))
    assert np.array_equal(with_gap, without)
    alone = band(STEPS, column([NAN, 0.25]))
    assert alone[1:] == ([0.25], [0.25], [0.25])


def test_seeds_are_laid_over_each_other_by_step() -> None:
    steps, values = over_seeds([seed_of({0: 1.0, 20: 2.0}), seed_of({20: 4.0, 10: 3.0})], "x")
    assert steps.tolist() == [0, 10, 20]
    assert np.array_equal(values, [[1, NAN, 2], [NAN, 3, 4]], equal_nan=True)


@given(st.integers(1, 5000))
def test_thinning_keeps_both_ends_and_the_order(count) -> None:
    steps = list(range(0, 3 * count, 3))
    kept = subsample(steps)
    assert len(kept) == min(count, MAX_POINTS)
    assert (kept[0], kept[-1]) == (steps[0], steps[-1])
    assert kept == sorted(set(kept))
    assert set(kept) <= set(steps)


@pytest.mark.parametrize(
    ("parameter", "layer"),
    [
        ("features.0.0.weight", "features.0"),
        ("features.0.2.bias", "features.0"),
        ("features.10.body.1.weight", "features.10"),
        ("head.weight", "head"),
        ("scale", "scale"),
    ],
)
def test_the_layer_of_a_parameter(parameter: str, layer: str) -> None:
    assert layer_of(parameter) == layer


def test_a_run_is_read_with_nothing_left_out(tmp_path: Path) -> None:
    # More than TensorBoard's 1000: it would keep a sample of them.
    with EventFile(tmp_path) as events:
        for step in range(3000):
            events.write(step, scalar_values({"x": step / 4}), wall_time=100.0 + step)
    seed = read_seed(tmp_path)
    assert seed.scalars["x"] == {step: step / 4 for step in range(3000)}
    assert seed.times[2999] == 3099.0


def test_histograms_are_merged_bin_by_bin() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.uniform(-12, 2, 50) for _ in range(3)]
    seeds = [
        RunEvents({}, {7: BinnedHistogram(np.histogram(v, BINS)[0], v.sum(), (v**2).sum())}, {})
        for v in samples
    ]
    seeds.append(RunEvents({}, {9: seeds[0].histograms[7]}, {}))
    found = merged_histograms(seeds)
    assert list(found) == [7, 9]
    together = np.concatenate(samples)
    merged = found[7]
    assert merged.num == 150
    assert merged.sum == pytest.approx(together.sum())
    assert merged.sum_squares == pytest.approx((together**2).sum())
    counts = bucket_counts(merged.bucket_limit, merged.bucket)
    assert counts.tolist() == np.histogram(together, BINS)[0].tolist()
