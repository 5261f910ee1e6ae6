import numpy as np
import pytest

from lossbench.benchmarks.plots.forest import axis_limit, draw_differences

from ..samples import opened


def difference(mean, half=None, verdict="undecided", n=3):
    ends = {
        f"{end}{suffix}": None if half is None else mean + sign * share * half
        for end, sign in (("low", -1), ("high", 1))
        for suffix, share in (("", 1), ("_90", 0.8))
    }
    return {"mean": mean, **ends, "n": n, "verdict": verdict}


@pytest.mark.parametrize(
    ("differences", "points"),
    [
        # A loss that fails altogether does not flatten the others.
        ([(0.01, 0.01), (-0.02, 0.01), (0.0, 0.03), (-0.25, 0.02)], 3),
        ([(0.001, 0.001)], 2),
        ([(-0.25, 0.02)], 27),
        ([(0.05, None)], 5),
    ],
)
def test_the_axis_fits_most_losses(differences, points):
    assert axis_limit([difference(*each) for each in differences]) == pytest.approx(1.08 * points)


def drawn(*, synthetic=False, **differences):
    words = {name: each["verdict"] for name, each in differences.items()}
    png = draw_differences(differences, 0.02, words, synthetic=synthetic)
    return opened(png)


def columns_of(image, color):
    rgb = np.asarray(image.convert("RGB"))[:, 300:1180].astype(int)
    return np.nonzero((np.abs(rgb - color).max(axis=2) < 12).sum(axis=0) >= 4)[0] + 300


def test_marks_stand_by_their_difference():
    # The mark of mse is purple.
    color, middle = [0xCC, 0x79, 0xA7], 740
    places = [
        columns_of(drawn(mse=difference(mean, verdict="better")), color).mean()
        for mean in (-0.01, 0.0, 0.01)
    ]
    assert places == sorted(places)
    assert places[0] < places[1] - 50
    assert places[2] - places[1] == pytest.approx(places[1] - places[0], abs=6)
    assert places[1] == pytest.approx(middle, abs=40)


def test_intervals_and_verdicts_are_drawn():
    plain = np.asarray(drawn(mse=difference(0.01)).convert("L"), int)
    for other in (
        difference(0.01, half=0.005),
        difference(0.01, verdict="better"),
        difference(0.01, n=4),
    ):
        assert np.abs(np.asarray(drawn(mse=other).convert("L"), int) - plain).max() > 50


def test_the_band_is_twice_the_margin_wide():
    def band(margin):
        image = opened(
            draw_differences(
                {"mse": difference(0.05)}, margin, {"mse": "undecided"}, synthetic=False
            )
        )
        row = np.asarray(image.convert("RGB"), int)[image.height // 4]
        inside = np.abs(row - [0xEE, 0xF1, 0xF4]).max(axis=1) < 2
        return int(inside.sum())

    assert band(0.02) == pytest.approx(2 * band(0.01), rel=0.05)


def test_the_figure_grows_with_the_losses_and_says_synthetic():
    one = drawn(mse=difference(0.01, 0.01))
    three = drawn(mse=difference(0.01, 0.01), bce=difference(-0.3, 0.01), nll=difference(0.0))
    assert one.width == three.width == 1600
    assert three.height - one.height == pytest.approx(2 * 0.43 * 160, abs=2)
    assert "SYNTHETIC" not in one.text["Description"]
    stamped = drawn(synthetic=True, mse=difference(0.01, 0.01))
    assert "SYNTHETIC" in stamped.text["Description"]
    assert draw_differences({}, 0.02, {}, synthetic=False) is None
