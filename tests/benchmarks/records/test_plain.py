import json
import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel
from lossbench.benchmarks.plots.intervals import IntervalRow, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.plain import from_plain, to_plain
from lossbench.benchmarks.stats.intervals import Interval

ENDS = st.none() | st.floats(allow_nan=False)
NUMBERS = st.lists(st.floats(), max_size=4).map(np.array)
TEXTS = st.text(max_size=5)
AXES = st.builds(
    Axis,
    label=TEXTS,
    log=st.booleans(),
    ticks=st.dictionaries(st.floats(allow_nan=False), TEXTS, max_size=2),
    limits=st.tuples(ENDS, ENDS),
    floor=ENDS,
)
INTERVALS = st.builds(Interval, mean=ENDS, low=ENDS, high=ENDS, n=st.integers(0, 40))
CURVES = st.builds(
    Curve,
    loss=TEXTS,
    x=NUMBERS,
    y=NUMBERS,
    seeds=st.lists(NUMBERS, max_size=2),
    intervals=st.lists(INTERVALS, max_size=2),
    markers=st.sampled_from(("", "filled", "hollow")),
    chosen=st.none() | st.integers(0, 3),
    points=st.tuples(NUMBERS, NUMBERS),
    arrows=st.lists(st.tuples(st.floats(), st.floats()), max_size=2),
    emphasis=st.none() | st.booleans(),
    band=st.none() | st.tuples(NUMBERS, NUMBERS),
)
ROWS = st.builds(
    IntervalRow,
    label=TEXTS,
    loss=TEXTS,
    interval=INTERVALS,
    values=st.lists(st.floats(), max_size=3),
    expected=st.none() | st.tuples(st.floats(), st.floats()),
    ends=st.lists(st.tuples(st.floats(), TEXTS), max_size=2),
    continues=st.tuples(st.booleans(), st.booleans()),
)
PANELS = st.lists(
    st.builds(CurvePanel, curves=st.lists(CURVES, max_size=2), x=AXES, y=AXES, title=TEXTS),
    max_size=2,
) | st.lists(
    st.builds(RowPanel, rows=st.lists(ROWS, max_size=2), chance=ENDS, log=st.booleans()),
    max_size=2,
)


@given(st.builds(PanelFigure, name=TEXTS, panels=PANELS, columns=st.integers(1, 3)))
def test_a_figure_is_the_same_after_a_file(figure):
    plain = to_plain(figure)
    text = json.dumps(plain, allow_nan=False)
    again = from_plain(PanelFigure, json.loads(text))
    assert to_plain(again) == plain
    assert [type(panel) for panel in again.panels] == [type(panel) for panel in figure.panels]


def test_the_values_are_those_before():
    curve = Curve("mse", np.array([1, 2]), [0.5, math.nan], seeds=[[1, 2]], arrows=[(1, math.inf)])
    again = from_plain(Curve, to_plain(curve))
    np.testing.assert_array_equal(again.x, [1.0, 2.0])
    np.testing.assert_array_equal(again.y, [0.5, math.nan])
    np.testing.assert_array_equal(again.seeds[0], [1.0, 2.0])
    assert again.arrows == ((1.0, math.inf),)
    assert to_plain(Curve("mse", (), ())) == {"loss": "mse", "x": [], "y": []}


@dataclass(frozen=True)
class Small:
    number: float
    kind: Literal["a", "b"] = "a"
    names: dict[float, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (3, "it should be Small, not 3"),
        ({}, "it has no number"),
        ({"number": "1"}, "it.number should be float, not '1'"),
        ({"number": True}, "it.number should be float, not True"),
        ({"number": 1e999}, "it.number should be a number of float64, not inf"),
        ({"number": 10**400}, "it.number should be a number of float64"),
        ({"number": 1, "kind": "c"}, "it.kind should be"),
        ({"number": []}, r"it.number should be float, not \[\]"),
    ],
)
def test_what_is_of_another_type_is_told(value, problem):
    with pytest.raises(ValueError, match=problem):
        from_plain(Small, value)


@pytest.mark.parametrize("columns", [True, 2.0, "2"])
def test_a_whole_number_is_not_a_truth_value(columns):
    with pytest.raises(ValueError, match="columns should be int"):
        from_plain(PanelFigure, {"name": "steps.png", "columns": columns})
