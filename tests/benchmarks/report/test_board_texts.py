from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.report.board_texts import HEADING_LINES, fixed_width, sections
from lossbench.benchmarks.report.document import Document, Table
from lossbench.benchmarks.report.render import markdown

PAGE = r"""# made

![chart](comparison.png)

All of it.

## Numbers

| loss | test accuracy, % of all images | p |
| --- | ---: | ---: |
| [cross\_entropy](a/b.md) | 74.1 ± 1.4 | \< 0.001 |
| a \| b | ? undecided |  |

Below it.
"""


def test_sections_have_their_headings_and_no_images() -> None:
    texts = sections(PAGE)
    assert list(texts) == ["summary/0", "summary/1 Numbers"]
    assert texts["summary/0"] == "# made\n\n\nAll of it."


def test_tables_are_blocks_in_which_no_word_is_broken() -> None:
    lines = sections(PAGE)["summary/1 Numbers"].splitlines()
    begin, end = (number for number, line in enumerate(lines) if line == "```")
    assert lines[begin + 1 : end] == [
        "loss                    test        p",
        "                 accuracy, %",
        "               of all images",
        "-------------  -------------  -------",
        "cross_entropy     74.1 ± 1.4  < 0.001",
        "a | b            ? undecided",
    ]
    assert lines[-1] == "Below it."


CELL = st.text(st.sampled_from("ab |*_\\\\[]<1-"), max_size=8).map(
    lambda text: " ".join(text.split())
)


@given(st.integers(1, 5), st.integers(0, 4), st.data())
def test_every_cell_is_kept_and_columns_line_up(columns, rows, data) -> None:
    heading = tuple(data.draw(st.text("abc ", min_size=1, max_size=30)) for _ in range(columns))
    cells = tuple(tuple(data.draw(CELL) for _ in range(columns)) for _ in range(rows))
    page = markdown(Document("title", (Table(heading, cells),)))
    lines = fixed_width([line for line in page.splitlines() if line.startswith("|")])
    below = lines[-rows:] if rows else []
    for line, row in zip(below, cells, strict=True):
        assert "".join(line.split()) == "".join("".join(row).split())
    assert len(lines) <= HEADING_LINES + 1 + rows
    words = " ".join(lines[: len(lines) - rows - 1]).split()
    assert sorted(words) == sorted(" ".join(heading).split())
