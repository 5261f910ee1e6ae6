import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from lossbench.benchmarks.plots.canvas import render_png
from lossbench.benchmarks.report import document
from lossbench.benchmarks.report.document import (
    MARKS,
    Banner,
    Bullets,
    Code,
    Document,
    Facts,
    Heading,
    Link,
    Paragraph,
    Picture,
    Table,
    Verdict,
    escape_markdown,
    html,
    markdown,
    section,
)

EVIL = "<script>alert('x')</script> & [a](b) `c` *d* | $e$ #f\n\n# g"
SHOWN = " ".join(EVIL.split())


class Read(HTMLParser):
    """A page as a browser takes it: its tags, what it fetches, and the text between them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.fetched, self.open, self.text = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "link"):
            self.open.append(tag)
        self.fetched += [value for key, value in attributes if key in ("src", "href", "srcset")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


BLOCKS = (
    Heading(EVIL, 2, "here"),
    Paragraph(EVIL),
    Paragraph(EVIL, faint=True),
    Banner(EVIL),
    Verdict("holds", EVIL),
    Verdict("worse", EVIL, EVIL),
    Picture("a b/<c>.png", b"png", EVIL),
    Table((EVIL, "n"), ((EVIL, "1.0"), (Link(EVIL, "x y/report"), "2")), (("foot", ""),), EVIL),
    Facts(((EVIL, EVIL),)),
    Code(EVIL),
    Bullets((EVIL, Link(EVIL, "#here"))),
)


def test_nothing_in_a_text_is_taken_as_html():
    page = html(Document(EVIL, BLOCKS))
    read = Read(page)
    assert "script" not in read.tags
    assert sum(text.strip() == EVIL for text in read.text) >= 13
    assert read.fetched == [
        "data:,",
        "data:image/png;base64," + base64.b64encode(b"png").decode(),
        "x%20y/report.html",
        "#here",
    ]


def test_a_page_fetches_nothing_and_knows_the_dark():
    page = html(Document("title", BLOCKS))
    assert {"iframe", "script"}.isdisjoint(Read(page).tags)
    assert "url(" not in page
    assert "@import" not in page
    assert "http" not in page
    assert "prefers-color-scheme: dark" in page


def test_nothing_in_a_text_is_taken_as_markdown():
    text = markdown(Document(EVIL, BLOCKS))
    *rest, code = re.split(r"\n {4}(?=<script)", text)
    for line in "".join(rest).splitlines():
        bare = re.sub(r"\\.", "", line.replace('<a id="here"></a>', ""))
        bare = re.sub(r"\]\([^)]*\)", "", bare)
        assert "<" not in bare
        assert "`" not in bare
        assert "$" not in bare
        assert "# g" not in bare
    assert code.startswith(SHOWN + "\n")


def test_every_block_is_in_both_forms():
    words = iter(f"word{i}" for i in range(99))
    blocks = (
        Heading(next(words)),
        Paragraph(next(words)),
        Banner(next(words)),
        Verdict("better", next(words), next(words)),
        Picture("p.png", b"", next(words)),
        Table((next(words), next(words)), ((next(words), next(words)),), title=next(words)),
        Facts(((next(words), next(words)),)),
        Code(next(words)),
        Bullets((next(words), Link(next(words), "other/report"))),
    )
    both = Document("t", blocks)
    count = int(next(words)[4:])
    for text in (html(both), markdown(both)):
        places = [text.index(f"word{i}") for i in range(count)]
        assert len(places) == count
    assert "](other/report.md)" in markdown(both)
    assert 'href="other/report.html"' in html(both)
    assert "](p.png)" in markdown(both)


def test_a_table_of_markdown_has_as_many_cells_in_each_line():
    table = Table(("a|b", "n"), (("c|d", "−1.0 ± 2"), ("e", "holds")), (("foot", ""),))
    lines = markdown(Document("t", (table,))).splitlines()[2:]
    assert {line.replace(r"\|", "").count("|") for line in lines} == {3}
    assert lines[1] == "| --- | --- |"
    assert f"{MARKS['holds']} holds" in lines[3]


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


def test_a_verdict_never_rests_on_colour_alone():
    for word, mark in MARKS.items():
        found = Document("t", (Verdict(word, "x"), Table(("a", "b"), (("c", word),))))
        for text in (html(found), markdown(found)):
            assert text.count(mark) == 2
            assert word in text
    assert len(set(MARKS.values())) == len(MARKS)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\n# b", r"a \# b"),
        ("1. a", r"1\. a"),
        ("- a", r"\- a"),
        ("2) a", r"2\) a"),
        ("a 1. b",) * 2,
    ],
)
def test_escaped_markdown_is_one_line_of_plain_text(text, escaped):
    assert escape_markdown(text) == escaped


def test_a_part_is_a_level_lower_and_finds_its_pictures():
    inner = Document("inner", (Heading("h", 2), Picture("p.png", b"", "alt"), Paragraph("text")))
    assert list(section(inner, "part-1", "../runs")) == [
        Heading("inner", 2, "part-1"),
        Heading("h", 3),
        Picture("../runs/p.png", b"", "alt"),
        Paragraph("text"),
    ]


def test_a_page_of_many_pictures_stays_below_its_limit(monkeypatch):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), dpi=160)
    figure.add_axes((0, 0, 1, 1)).plot(np.random.default_rng(0).random((60, 8)), linewidth=6)
    large, small = render_png(figure, "large"), render_png(Figure(figsize=(1, 1)), "small")
    monkeypatch.setattr(document, "MOST_PICTURES", int(1.6 * len(large)))
    blocks = tuple(Picture(f"{i}.png", data, "") for i, data in enumerate((large, small, large)))
    page = html(Document("t", blocks))
    assert len(page) < 1.34 * 1.6 * len(large) + 10_000
    # What fits is left as it is.
    assert base64.b64encode(small).decode() in page
    assert base64.b64encode(large).decode() not in page
    assert base64.b64encode(large).decode() in html(Document("t", blocks[:1]))
