import math
import xml.etree.ElementTree as ET

import pytest

from lossbench.benchmarks.plots.intervals import IntervalRow, RowPanel
from lossbench.benchmarks.plots.svg import widest
from lossbench.benchmarks.plots.svg_rows import WIDTH, row_chart
from lossbench.benchmarks.stats.intervals import Interval


def row(mean=1.0, low=-1.0, high=3.0, loss="mse", **known):
    return IntervalRow(known.pop("label", loss), loss, Interval(mean, low, high, 3), **known)


def drawn(*rows, stamp="", **panel):
    return ET.fromstring(row_chart(RowPanel(rows, "points", "title", **panel), stamp=stamp).svg)


def of_class(read, kind):
    return [each for each in read.iter() if kind in (each.get("class") or "").split()]


def center(polygon):
    xs = [float(point.split(",")[0]) for point in polygon.get("points").split()]
    return (max(xs) + min(xs)) / 2


def test_a_row_has_its_texts_above_its_bar_and_its_numbers_in_words():
    read = drawn(row(text="+1.0", verdict="undecided", inner=(-0.5, 2.5), values=(0.0, 2.0)))
    texts = {each.text: each for each in read.iter("text")}
    assert float(texts["mse"].get("y")) == float(texts["+1.0  undecided"].get("y"))
    assert texts["+1.0  undecided"].get("text-anchor") == "end"
    assert next(read.iter("title")).text == "mse: 1 (\N{MINUS SIGN}1 to 3)"
    assert "mse +1.0 undecided" in read.get("aria-label")
    assert len(of_class(read, "thick")) == 1
    assert len(of_class(read, "bar")) == 4


def test_a_long_label_and_its_number_have_a_line_each():
    long = drawn(row(label="n" * 46, text="+1.0 ± 2.0", verdict="does not hold"))
    texts = {each.text: float(each.get("y")) for each in long.iter("text")}
    assert texts["+1.0 ± 2.0  does not hold"] > texts["n" * 46] + 10


def test_markers_stand_by_their_mean():
    read = drawn(row(0.0), row(1.0, loss="bce"), row(2.0, loss="nll", hollow=True))
    places = [center(mark) for mark in of_class(read, "mark")]
    assert places[2] - places[1] == pytest.approx(places[1] - places[0], abs=1)
    assert places == sorted(places)
    assert len(of_class(read, "hollow")) == 1


def test_what_lies_outside_is_an_arrow_at_the_edge():
    read = drawn(row(-20.0, -22.0, -18.0, text="\N{MINUS SIGN}20.0"), row(), limits=(-5.0, 5.0))
    assert len(of_class(read, "mark")) == 1
    outside, inside = (bar.get("d") for bar in of_class(read, "bar"))
    assert outside.count("l") == 2
    assert "l" not in inside


@pytest.mark.parametrize("expected", [(0.0, math.inf), (-math.inf, 2.0), (0.5, 2.0)])
@pytest.mark.parametrize("log", [False, True])
def test_expected_values_are_shaded_inside_the_chart(expected, log):
    read = drawn(row(1.0, 0.5, 3.0, expected=expected), log=log, references={1.0: "even"})
    (shade,) = of_class(read, "expected")
    assert float(shade.get("x")) >= 0
    assert float(shade.get("x")) + float(shade.get("width")) <= 480
    assert float(shade.get("width")) > 0


def test_lines_ends_and_stamps():
    read = drawn(
        row(ends=((3.0, "cats"), (-1.0, "dogs")), floor=0.5),
        chance=1.0, references={2.0: "limit"}, stamp="STAMP",
    )  # fmt: skip
    texts = [each.text for each in read.iter("text")]
    assert {"cats", "dogs", "chance 1", "limit", "STAMP"} <= set(texts)


def test_without_a_mean_a_row_is_empty():
    read = drawn(row(None, None, None))
    assert not of_class(read, "mark")
    assert "nan" not in ET.tostring(read).decode()


@pytest.mark.parametrize(
    "ends", [(50.0, 50.0), (0.0, 1.0), (99.0, 100.0), (0.0, 100.0), (48.0, 55.0)]
)
def test_the_names_of_two_ends_stand_beside_each_other(ends):
    named = ((ends[0], "cats"), (ends[1], "dogs"))
    read = drawn(row(50.0, 49.0, 51.0, ends=named), limits=(0, 100))
    first, last = (
        float(each.get("x"))
        for name in ("cats", "dogs")
        for each in read.iter("text")
        if each.text == name
    )
    width = widest(["cats"])
    assert last - first >= width
    assert width / 2 <= first
    assert last <= WIDTH - width / 2
