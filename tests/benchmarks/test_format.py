import math

import pytest

import lossbench.benchmarks.format as formats


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        *(("magnitude", value, text) for value, text in {
            None: "–",
            0: "0",
            0.5: "0.500",
            1.4: "1.40",
            123.4: "123",
            0.0012345: "0.00123",
            0.00099: "9.9e-4",
            2.5e-12: "2.5e-12",
            1234.5: "1,234",
            999.7: "1,000",
            123456: "1.2e5",
            math.inf: "inf",
            math.nan: "nan",
        }.items()),
        *(("number", value, text) for value, text in {
            None: "–",
            0.0: "0",
            -1.234: "−1.23",
            74.123: "74.1",
            123456.7: "123,457",
            -1500.0: "−1,500",
            1e-7: "1.0e-7",
            -2.5e-7: "−2.5e-7",
        }.items()),
        *(("pvalue", p, text) for p, text in {
            None: "–",
            0.0004: "< 0.001",
            0.0005: "0.001",
            0.25: "0.250",
        }.items()),
        *(("duration", value, text) for value, text in {
            0.4: "0 s",
            4: "4 s",
            59.6: "1 min 0 s",
            75: "1 min 15 s",
            3723: "1 h 2 min",
        }.items()),
        *(("signed_points", value, text) for value, text in {
            0.0123: "+1.2",
            -0.0123: "−1.2",
            0.0001: "0.0",
            -0.0001: "0.0",
        }.items()),
        ("percent", 0.78125, "78.1"),
        ("percent", None, "–"),
        ("indefinite_article", "owl", "an owl"),
        ("indefinite_article", "cat", "a cat"),
        ("interval_points", None, "–"),
        ("interval_points", {"mean": None, "low": None, "high": None}, "–"),
        ("interval_points", {"mean": 0.741, "low": None, "high": None}, "74.1"),
        ("interval_points", {"mean": 0.741, "low": 0.727, "high": 0.755}, "74.1 ± 1.4"),
    ],
)  # fmt: skip
def test_every_format(function, value, text):
    assert getattr(formats, function)(value) == text


def test_formats_with_options():
    assert formats.percent(0.78125, 2) == "78.12"
    assert (
        formats.interval_points({"mean": 0.02, "low": 0, "high": 0.03}, signed=True) == "+2.0 ± 1.0"
    )
    counts = [formats.plural(n, "loss", "losses") for n in (0, 1, 2000)]
    assert counts == ["0 losses", "1 loss", "2,000 losses"]
    assert formats.plural(2, "seed") == "2 seeds"


@pytest.mark.parametrize(
    ("total", "counts", "classes", "text"),
    [
        (0, [0, 0], ["dog", "cat"], "none"),
        (3000, [1000, 2000], ["dog", "cat"], "3,000 (1,000 dog, 2,000 cat)"),
        (30, [10, 10, 10], ["a", "b", "c"], "30 (10 of each class)"),
        (33, [10, 11, 12], ["a", "b", "c"], "33 (10 to 12 of each class)"),
        (33, [], [], "33"),
    ],
)
def test_a_split_is_counted_by_class(total, counts, classes, text):
    assert formats.describe_split(total, counts, classes) == text
