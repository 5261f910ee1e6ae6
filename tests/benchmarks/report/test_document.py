import pytest

from lossbench.benchmarks.report.document import (
    Callout,
    Document,
    Heading,
    Image,
    Link,
    Paragraph,
    Table,
    section,
    synthetic_title,
)


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [
        (("1.0", "−2.0 ± 0.3", "+4", "–", "< 0.001", "reference", "0 → 1"), True),
        (("", "3"), True),
        (("holds", "1"), False),
        (("", ""), False),
        (("below 1.0",), False),
    ],
)
def test_columns_of_numbers_stand_at_the_right(cells, numeric):
    table = Table(("name", "column"), tuple(("1", cell) for cell in cells))
    assert table.numeric == (False, numeric)


def test_a_part_is_a_level_lower_and_finds_its_pictures():
    inner = Document(
        "inner", (Heading("h", 2), Image("p.png", "alt"), Image("", "alone"), Paragraph("text"))
    )
    assert list(section(inner, "part-1", "../runs")) == [
        Heading("inner", 2, "part-1"),
        Heading("h", 3),
        Image("../runs/p.png", "alt"),
        Image("", "alone"),
        Paragraph("text"),
    ]


def test_a_link_is_no_number():
    table = Table(("name", "column"), (("a", Link("1", "#a")),))
    assert table.numeric == (False, False)


def test_titles_and_labels():
    assert synthetic_title("t", True) == "SYNTHETIC IMAGES: t"
    assert synthetic_title("t", False) == "t"
    assert Callout("better", "x").lead.endswith(" Better.")
    assert Callout("better", "x", "Best:").lead.endswith(" Best:")
