import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lossbench.benchmarks.plots import svg
from lossbench.benchmarks.plots.palette import ON_DARK
from lossbench.benchmarks.plots.svg import Scale, element, marker, path, tick_text, ticks_of
from lossbench.losses import registry

finite = st.floats(-1e6, 1e6)


@given(finite, finite, finite)
def test_a_scale_maps_its_ends_and_keeps_order(low, high, value):
    assume(high - low > 1e-3)
    scale = Scale(low, high, 10, 110)
    assert (scale(low), scale(high)) == (10, pytest.approx(110))
    inside = min(max(value, low), high)
    assert scale(inside) == pytest.approx(10 + 100 * (inside - low) / (high - low), abs=1e-6)
    assert -90 <= scale(value) <= 210


def test_a_logarithmic_scale_has_its_decades_apart_and_its_floor_for_zero():
    scale = Scale(1e-4, 1.0, 400, 0, log=True, floor=1e-3)
    assert [scale(value) for value in (1, 0.1, 0.01)] == pytest.approx([0, 100, 200])
    assert scale(0) == scale(1e-3) == pytest.approx(300)
    assert math.isnan(scale(math.nan))


@given(st.floats(1e-12, 1e12), st.floats(1.01, 1e9), st.booleans())
def test_ticks_lie_between_the_ends(low, ratio, log):
    ticks = ticks_of(low, low * ratio, log=log, count=5)
    assert all(low * (1 - 1e-6) <= tick <= low * ratio * (1 + 1e-6) for tick in ticks)
    assert len(ticks) <= 12
    if not log:
        assert len(ticks) >= 2
        gaps = [b - a for a, b in pairwise(ticks)]
        assert max(gaps) == pytest.approx(min(gaps), rel=1e-6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.0, "0"), (-2.0, "\N{MINUS SIGN}2"), (0.25, "0.25"), (1250.0, "1,250")),
        *((1e-5, "1e-5"), (-3e-7, "\N{MINUS SIGN}3e-7"), (2e6, "2e6"), (64.42, "64.42")),
    ],
)
def test_numbers_of_an_axis(value, text):
    assert tick_text(value) == text


def test_what_comes_from_outside_is_escaped():
    evil = "<script>\"&'"
    made = element("g", svg.text(evil, 1, 2), aria_label=evil, left=None)
    read = ET.fromstring(made)
    assert read.get("aria-label") == read[0].text == evil
    assert set(read.attrib) == {"aria-label"}


def test_a_gap_in_a_line_is_a_gap():
    points = [(0, 0), (1, 1), (2, math.nan), (3, 3), (4, 4)]
    assert ET.fromstring(path(points, "line")).get("d") == "M0.0 0.0L1.0 1.0M3.0 3.0L4.0 4.0"


@pytest.mark.parametrize("loss", [*registry.names(), "my own"])
def test_every_loss_has_a_marker_of_its_size_and_a_colour(loss):
    points = ET.fromstring(marker(loss, 50, 80)).get("points")
    xs, ys = zip(*(map(float, point.split(",")) for point in points.split()), strict=True)
    assert len(xs) >= 3
    for center, values in ((50, xs), (80, ys)):
        assert max(values) <= center + 7.2
        assert min(values) >= center - 7.2
        assert max(values) - min(values) > 4
    assert f".{svg.color_class(loss)}{{" in svg.palette_css()


def test_the_palette_has_both_colours_of_each():
    light, dark = svg.palette_css().split("@media (prefers-color-scheme: dark)")
    assert re.findall("--c:(#.{6})", light) == list(ON_DARK)
    assert re.findall("--c:(#.{6})", dark) == list(ON_DARK.values())
