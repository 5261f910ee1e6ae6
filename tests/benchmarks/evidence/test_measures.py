import math

import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.design import Design, Expected, Quantity
from lossbench.benchmarks.evidence.measures import at_most, table, tests_table, with_interval


@pytest.mark.parametrize(
    ("values", "limit", "seeds", "verdict"),
    [
        ([0.0, 0.0, 0.0], 0.0, 3, "holds"),
        ([0.0, 0.0, 1e-300], 0.0, 3, "does not hold"),
        ([1.0, 2.0, 3.0], 3.0, 3, "holds"),
        ([1.0, math.nan, 3.0], 3.0, 3, "does not hold"),
        ([1.0, math.inf, 3.0], 3.0, 3, "does not hold"),
        ([1.0, 2.0, 2.0, 2.0], 3.0, 2, "undecided"),
        ([9.0, 9.0], 3.0, 2, "undecided"),
        ([], 3.0, 0, "undecided"),
    ],
)
def test_one_value_above_the_limit_refutes(values, limit, seeds, verdict):
    measure = at_most("x", values, limit, seeds)
    assert measure.verdict == verdict
    assert (measure.low, measure.high) == (None, None)
    if any(map(math.isnan, values)):
        assert math.isnan(measure.value)
    else:
        assert measure.value == max(values, default=None)


def test_limits_in_words():
    assert at_most("x", [0.0], 0.0, 1).wanted == "0, exactly"
    assert at_most("x", [0.0], 1e-12, 1).wanted == "at most 1e-12"


def test_table_of_what_was_tested():
    design = Design(
        question="?",
        expects=(Expected("a minus b", "above", 2.0), Expected("none", "above", 1.0)),
        cells={"a": RunConfig("mse", 0, 0.1)},
    )
    tests = design.test([Quantity((4.0, 5.0, 4.5, 5.5, 5.0)), Quantity(())])
    found = tests_table(tests, "A note.")
    row, empty = (dict(zip(found.columns, each, strict=True)) for each in found.rows)
    assert row["quantity"] == "a minus b, points"
    assert row["mean"] == "4.80"
    low, high = (float(end) for end in row["interval"].split(" to "))
    assert (low + high) / 2 == pytest.approx(4.8, abs=0.01)
    assert (row["expected"], row["seeds"], row["verdict"]) == ("above +2 points", "5", "holds")
    assert (empty["mean"], empty["interval"], empty["smallest detectable"]) == ("–", "–", "–")
    assert empty["verdict"] == "undecided"
    assert found.notes[1] == "A note."
    assert with_interval(tests[0]) == f"4.80 ({row['interval']})"


def test_table_has_a_row_per_item():
    found = table("title", [1, 2], {"n": str, "square": lambda n: str(n * n)}, "note")
    assert (found.columns, found.rows) == (("n", "square"), (("1", "1"), ("2", "4")))
    assert (found.title, found.notes) == ("title", ("note",))
