import pytest

from lossbench.benchmarks.records.schema import NUMBER, schema_error

SHAPE = {"a": int, "b": [str], "c": {"d": NUMBER}, "e": [{"f": str | None}], "g": ("x", "y")}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": 1},
        {"b": []},
        {"b": ["x", "y"]},
        {"c": {"d": 1.5}},
        {"e": [{"f": None}, {}]},
        {"g": "y"},
    ],
)
def test_what_fits(value):
    assert schema_error(value, SHAPE) is None
    assert schema_error(value | {"other": object}, SHAPE) is None


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ([], "it should be dict, not []"),
        ({"a": "x"}, "a should be int, not 'x'"),
        ({"b": "x"}, "b should be list, not 'x'"),
        ({"b": ["x", 2]}, "b[1] should be str, not 2"),
        ({"c": {"d": float("inf")}}, "c.d should be int | float, not inf"),
        ({"g": "z"}, "g should be x or y, not 'z'"),
        ({"g": ["x"]}, "g should be x or y, not ['x']"),
        ({"e": [{}, {"f": []}]}, "e[1].f should be str | None, not []"),
    ],
)
def test_what_does_not_fit_is_named(value, wrong):
    assert schema_error(value, SHAPE) == wrong


def test_a_long_value_is_cut():
    assert len(schema_error("x" * 999, int)) < 80
