import json
import math
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel
from lossbench.benchmarks.plots.svg_curves import MAX_POINTS, MAX_READ, curve_chart
from lossbench.benchmarks.stats.intervals import Interval

X, Y = [0, 10, 20], [50.0, 60.0, 64.423]
BAND = ([49.0, 58.0, 62.9], [51.0, 62.0, 66.1])


def drawn(*curves, small=False, stamp="", **panel):
    panel = {"x": Axis("steps"), "y": Axis("accuracy, %"), "title": "How often?"} | panel
    chart = curve_chart(CurvePanel(curves, **panel), small=small, stamp=stamp)
    return ET.fromstring(chart.svg)


def readings(read):
    return json.loads(read.get("data-values"))


def of_class(read, kind):
    return [each for each in read.iter() if kind in (each.get("class") or "").split()]


def texts(read):
    return [each.text for each in read.iter("text")]


def heights(line):
    return [float(point.split(" ")[1]) for point in line.get("d")[1:].split("L")]


def test_every_value_can_be_read_with_its_band():
    found = readings(drawn(Curve("mse", X, Y, "mse  64.4", band=BAND)))
    assert found["at"] == ["steps 0", "steps 10", "steps 20"]
    assert found["x"] == sorted(found["x"])
    ((name, kind, values),) = found["lines"]
    assert (name, kind) == ("mse", "c-cc79a7")
    assert values == ["50 (49 to 51)", "60 (58 to 62)", "64.42 (62.9 to 66.1)"]


def test_seeds_and_intervals_are_read_like_a_band():
    seeds = Curve("mse", X, Y, seeds=(BAND[0], BAND[1]))
    intervals = Curve("bce", X, Y, intervals=[Interval(1.0, 0.5, 1.5, 3)] * 3, name="a name")
    lines = readings(drawn(seeds, intervals))["lines"]
    assert lines[0][2][2] == "64.42 (62.9 to 66.1)"
    assert lines[1][0] == "a name"
    assert lines[1][2][0] == "50 (0.5 to 1.5)"


def test_curves_without_a_value_at_a_position_are_left_out_there():
    marked = Curve("bce", [20], [70.0])
    gap = Curve("mse", X, [1.0, math.nan, 3.0])
    lines = readings(drawn(gap, marked))["lines"]
    assert [line[2] for line in lines] == [["1", None, "3"], [None, None, "70"]]


def test_zero_on_a_logarithmic_axis_is_drawn_at_the_floor_and_read_as_zero():
    axis = Axis("|dL/dz|", log=True, limits=(1e-4, 1), floor=1e-3)
    read = drawn(Curve("zero-one", X, [0.0] * 3), Curve("mse", X, [1e-3] * 3), y=axis)
    one, other = of_class(read, "line")
    assert heights(one) == heights(other)
    assert readings(read)["lines"][0][2] == ["0"] * 3


def test_higher_values_are_drawn_higher_and_labels_keep_apart():
    curves = [Curve(name, X, [50, 60, end], f"{name}  {end}")
              for name, end in (("mse", 64.0), ("bce", 64.1), ("nll", 64.2))]  # fmt: skip
    read = drawn(*curves, chance=50.0)
    line = of_class(read, "line")[0]
    assert heights(line) == sorted(heights(line), reverse=True)
    names = ("nll  64.2", "bce  64.1", "mse  64.0", "chance  50.0")
    at = {each.text: float(each.get("y")) for each in read.iter("text") if each.text in names}
    places = [at[name] for name in names]
    assert all(b - a > 13 for a, b in pairwise(places))
    # Their letters end inside the chart.
    width = float(read.get("viewBox").split()[2])
    for each in read.iter("text"):
        if each.text in names:
            assert float(each.get("x")) + 7.5 * len(each.text) < width


def test_labels_at_the_left_stand_at_the_first_value():
    read = drawn(Curve("mse", X, [64, 60, 50], "falls"), Curve("bce", X, [50, 60, 64], "rises"),
                 label_side="left")  # fmt: skip
    at = {each.text: each for each in read.iter("text")}
    assert float(at["falls"].get("y")) < float(at["rises"].get("y"))
    assert at["falls"].get("text-anchor") == "end"


def test_a_small_chart_has_neither_labels_nor_names_of_axes():
    grey = Curve("cross-entropy", X, Y, "label", muted=True)
    read = drawn(grey, Curve("mse", X, Y, "other"), small=True)
    assert not {"label", "other", "steps", "accuracy, %"} & set(texts(read))
    assert [line[1] for line in readings(read)["lines"]] == ["c-muted", "c-cc79a7"]
    # The grey one is drawn first, below the other.
    classes = [each.get("class") for each in read.iter("g")]
    assert classes.index("c-muted") < classes.index("c-cc79a7")


def test_what_is_long_is_thinned_but_keeps_its_ends():
    x = np.arange(5000)
    read = drawn(Curve("mse", x, np.sqrt(x)))
    assert len(heights(of_class(read, "line")[0])) == MAX_POINTS
    found = readings(read)
    assert len(found["at"]) == MAX_READ
    assert (found["at"][0], found["at"][-1]) == ("steps 0", "steps 4,999")


def test_parts_of_a_panel():
    curve = Curve("mse", X, Y, markers="hollow", chosen=1, points=([5.0], [55.0]),
                  point_marker="o", arrows=[(10, 61.0)])  # fmt: skip
    read = drawn(
        curve, verticals={5: "five"}, horizontals={60.0: "limit"}, text="R²\n= 1", stamp="STAMP"
    )
    assert {"five", "limit", "R²", "= 1", "STAMP"} <= set(texts(read))
    assert len(of_class(read, "hollow")) == 2
    assert len(of_class(read, "mark")) == 3
    assert len(of_class(read, "point")) == 1
    assert len(of_class(read, "bar")) == 1
    assert read.get("role") == "img"
    assert "How often?" in read.get("aria-label")


@pytest.mark.parametrize("y", [[], [math.nan] * 3, [5.0] * 3, [0.0] * 3])
@pytest.mark.parametrize("log", [False, True])
def test_curves_that_have_no_height_are_drawn(y, log):
    read = drawn(Curve("mse", X[: len(y)], y, "label"), y=Axis("y", log=log))
    assert "nan" not in ET.tostring(read).decode()


def test_texts_from_outside_are_escaped():
    evil = "<script>&\"'"
    read = drawn(Curve(evil, X, Y, evil), x=Axis(evil), y=Axis(evil), title=evil)
    assert evil in texts(read)
    assert readings(read)["lines"][0][0] == evil


def test_points_that_stand_beside_each_other_are_read_together():
    """Shifted so that bars do not hide each other; a tick names both."""
    ticks = {0.0: "none", 40.0: "many"}
    curves = (Curve("mse", [-0.4, 39.6], [1, 2]), Curve("bce", [0.4, 40.4], [3, 4]))
    found = readings(drawn(*curves, x=Axis("labels", ticks=ticks)))
    assert found["at"] == ["labels none", "labels many"]
    assert [values for _, _, values in found["lines"]] == [["1", "2"], ["3", "4"]]
    near = (Curve("mse", [0, 0.1, 40], [1, 2, 3]), Curve("bce", [0, 40], [4, 5]))
    assert len(readings(drawn(*near))["at"]) == 3


def test_all_ticks_that_have_room_are_named():
    ticks = {0.0: "none", 10.0: "some", 20.0: "many"}
    assert {*ticks.values()} <= {*texts(drawn(Curve("mse", X, Y), x=Axis("p", ticks=ticks)))}


def test_names_of_ticks_do_not_overlap():
    ticks = {float(n): f"0.{n}999" for n in range(20)}
    named = texts(drawn(Curve("mse", X, Y), x=Axis("p", ticks=ticks)))
    assert 3 < sum(each in ticks.values() for each in named) < 10


def test_a_long_label_has_its_value_below():
    read = drawn(Curve("mse", X, Y, "generalized cross-entropy  60.5"))
    assert {"generalized cross-entropy", "60.5"} <= set(texts(read))
