import re
from html import unescape
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from lossbench.benchmarks.plots.svg import Chart
from lossbench.benchmarks.report.document import (
    MARKS,
    Banner,
    BulletList,
    Callout,
    Code,
    DefinitionList,
    Document,
    Heading,
    Image,
    Link,
    Paragraph,
    Table,
)
from lossbench.benchmarks.report.render import (
    escape_markdown,
    html,
    keep_whole,
    markdown,
    script_source,
    write_pages,
)

EVIL = "<script>alert('x')</script> & [a](b) `c` *d* | $e$ #f\n\n# g"
SHOWN = " ".join(EVIL.split())


class Parsed(HTMLParser):
    """A page as a browser parses it: its tags, addresses and text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.fetched, self.open, self.text, self.attributes = [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [key for key, _ in attributes]
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
    Callout("holds", EVIL),
    Callout("worse", EVIL, EVIL),
    Image("a b/<c>.png", EVIL, (Chart(EVIL, "<svg></svg>"),), EVIL, EVIL),
    Table((EVIL, "n"), ((EVIL, "1.0"), (Link(EVIL, "x y/report"), "2")), (("foot", ""),), EVIL),
    DefinitionList(((EVIL, EVIL),)),
    Code(EVIL),
    BulletList((EVIL, Link(EVIL, "#here"))),
)


def test_nothing_in_a_text_is_taken_as_html():
    page = html(Document(EVIL, BLOCKS))
    read = Parsed(page)
    # The only script is that of the charts.
    assert read.tags.count("script") == 1
    assert script_source() in read.text
    assert sum(text.strip() == EVIL for text in read.text) >= 13
    assert read.fetched == [
        "data:,",
        "x%20y/report.html",
        "#here",
    ]


def test_a_page_fetches_nothing_and_knows_the_dark():
    page = html(Document("title", BLOCKS))
    assert {"iframe", "img"}.isdisjoint(Parsed(page).tags)
    assert "script" not in Parsed(html(Document("title", BLOCKS[:3]))).tags
    assert "url(" not in page
    assert "@import" not in page
    assert "http:" not in page
    assert "https" not in page
    assert "prefers-color-scheme: dark" in page


def parsed_markdown(text):
    """Parse Markdown as another program does; return its blocks, and its inline tokens."""
    blocks = MarkdownIt("commonmark").enable("table").parse(text)
    return blocks, [token for block in blocks for token in block.children or []]


def test_nothing_in_a_text_is_taken_as_markdown():
    text = markdown(Document(EVIL, BLOCKS))
    blocks, inline = parsed_markdown(text)
    # The anchor of the heading is the only HTML, and the links are ours.
    assert [token.content for token in inline if token.type == "html_inline"] == [
        '<a id="here">', "</a>",
    ]  # fmt: skip
    assert [token.attrs["href"] for token in inline if token.type == "link_open"] == [
        "x%20y/report.md", "#here",
    ]  # fmt: skip
    assert [token.attrs["src"] for token in inline if token.type == "image"] == [
        "a%20b/%3Cc%3E.png"
    ]
    assert {"code_inline", "em_open"}.isdisjoint(token.type for token in inline)
    contents = [
        "".join(child.content for child in block.children) for block in blocks if block.children
    ]
    # Title, heading, two paragraphs, banner, three of the callouts, four of the table, two of the
    # definition, two bullets. The alternative text of the image is kept with its escapes.
    assert sum(content.count(SHOWN) for content in contents) == 16
    assert [block.content for block in blocks if block.type == "fence"] == [SHOWN + "\n"]
    kinds = [block.type for block in blocks]
    assert (kinds.count("heading_open"), kinds.count("table_open"), kinds.count("tr_open")) == (
        2, 1, 4,
    )  # fmt: skip
    assert "$" not in text.replace(r"\$", "").replace(SHOWN, "")


def test_every_block_is_in_both_forms():
    words = iter(f"word{i}" for i in range(99))
    blocks = (
        Heading(next(words)),
        Paragraph(next(words)),
        Banner(next(words)),
        Callout("better", next(words), next(words)),
        Image("p.png", next(words), (Chart("", "<svg></svg>"),)),
        Table((next(words), next(words)), ((next(words), next(words)),), warning=next(words)),
        DefinitionList(((next(words), next(words)),)),
        Code(next(words)),
        BulletList((next(words), Link(next(words), "other/report"))),
    )
    both = Document("t", blocks)
    count = int(next(words)[4:])
    for text in (html(both), markdown(both)):
        places = [text.index(f"word{i}") for i in range(count)]
        assert len(places) == count
    assert "](other/report.md)" in markdown(both)
    assert 'href="other/report.html"' in html(both)
    assert "](p.png)" in markdown(both)


@pytest.mark.parametrize("text", ["plain", "``` a\n```\nb", "````", "` a ``"])
def test_no_text_ends_its_code_block(text):
    document = Document("t", (BulletList(("item",)), Code(text), Paragraph("after")))
    blocks, _ = parsed_markdown(markdown(document))
    (code,) = (block.content for block in blocks if block.type == "fence")
    assert code == " ".join(text.split()) + "\n"
    assert [block.content for block in blocks if block.type == "inline"][-1] == "after"


def test_numbers_are_aligned_and_verdicts_marked():
    table = Table(("a|b", "n", "v"), (("c|d", "−1.0 ± 2", "x"), ("e", "3", "holds")))
    lines = markdown(Document("t", (table,))).splitlines()[2:]
    assert lines[1] == "| --- | ---: | --- |"
    assert f"{MARKS['holds']} holds" in lines[3]
    page = html(Document("t", (table,)))
    assert '<td class="number">3</td>' in page
    assert f'<span class="badge holds">{MARKS["holds"]} holds</span>' in page
    assert 'class="words"' not in page
    assert 'class="words"' in html(Document("t", (Table(("a", "b"), (("c", "d"),)),)))


def test_a_verdict_never_rests_on_colour_alone():
    for word, mark in MARKS.items():
        found = Document("t", (Callout(word, "x"), Table(("a", "b"), (("c", word),))))
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


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("mse (+0.5 ± 1.3), bce", ["(+0.5 ± 1.3),"]),
        ("same gradient as bce, × 2).", ["× 2)."]),
        ("right on 50.0 %, or 100 % of all", ["50.0 %,", "100 %"]),
        ("at most 2e-16 of it", ["2e-16"]),
        ("|f - t|, whose (f - t) f (1 - f) is R² = 0.09", ["|f - t|,", "(f - t)", "(1 - f)"]),
        ("words - and words, cross-entropy e-mail", []),
        ("<b> ± <i>", ["&lt;b&gt; ± &lt;i&gt;"]),
    ],
)
def test_numbers_and_terms_stay_on_one_line(text, whole):
    page = str(keep_whole(text))
    found = re.findall('<span class="whole">(.*?)</span>', page)
    assert found[: len(whole)] == whole
    assert unescape(re.sub("</?span[^>]*>", "", page)) == text


@pytest.mark.parametrize("letter", ["1", "a", "(", "%", "±"])
def test_a_long_word_is_read_in_linear_time(letter):
    assert keep_whole(letter * 1_000_000) == letter * 1_000_000


def test_write_pages(tmp_path):
    paths = write_pages(tmp_path, Document("t", (Paragraph("x"),)), "summary.md")
    assert [path.name for path in paths] == ["report.html", "summary.md"]
    assert paths[1].read_text() == "# t\n\nx\n"
    assert write_pages(tmp_path, Document("t", ()))[1].name == "report.md"
