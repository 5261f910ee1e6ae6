"""losses/README.md is what the registry and the measurements say."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from lossbench import losses
from lossbench.benchmarks.curves import figure, page
from lossbench.benchmarks.curves.torch_issues import section
from lossbench.losses import registry
from lossbench.losses.registry import ENTRIES

HERE = Path(losses.__file__).parent
README = (HERE / "README.md").read_text(encoding="utf-8")
ENTRY = {entry.name: entry for entry in ENTRIES}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def rows(part: str) -> list[list[str]]:
    """The cells of every table of a part, without heads and rules."""
    lines = [cells(line) for line in part.splitlines() if line.startswith("|")]
    return [row for row in lines if row[0] != "loss" and not set("".join(row)) <= set("-:")]


def tails_part() -> str:
    return README[README.index(page.TAILS_TITLE) : README.index(section.TITLE)]


def test_the_catalogue_is_made_from_the_registry() -> None:
    expected = rows(page.catalogue(ENTRIES))
    assert rows(README)[: len(expected)] == expected, "run: uv run lossbench catalogue"


def test_every_loss_has_a_line_and_every_line_all_columns() -> None:
    found = rows(README[: README.index(page.TAILS_TITLE)])
    names = [re.findall(r"\*\*(.+?)\*\*", row[0])[0] for row in found]
    assert sorted(names) == sorted(ENTRY)
    assert {len(row) for row in found} == {7}
    # Nothing is left out, but for the gradient by a logit where there is none.
    blank = {name for name, row in zip(names, found, strict=True) if not all(row)}
    assert blank == {name for name in ENTRY if ENTRY[name].takes == "distances"}


def test_every_loss_is_measured_beside_its_reference() -> None:
    found = rows(tails_part())
    assert {len(row) for row in found} == {10}
    assert [row[0] for row in found[::2]] == list(ENTRY)
    assert {row[1] for row in found[::2]} == {"ours"}
    assert {row[1] for row in found[1::2]} == {"torch", "plain"}
    theirs = {ours[0]: row[1] for ours, row in zip(found[::2], found[1::2], strict=True)}
    assert theirs["cross-entropy"] == theirs["label-smoothing"] == theirs["l1"] == "torch"
    assert theirs["z-loss"] == theirs["softmax-mse"] == theirs["squared-hinge"] == "plain"


def test_ours_is_nowhere_bold() -> None:
    assert [row for row in rows(tails_part()) if row[1] == "ours" and "**" in "".join(row)] == []
    assert any("**NaN**" in row for row in rows(tails_part()))


def test_the_examples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # What they register is gone again afterwards.
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    scope: dict[str, object] = {}
    for block in blocks:
        exec(block.replace("absolute-logit", "absolute-logit-of-the-readme"), scope)
    own = losses.get("absolute-logit-of-the-readme")
    assert own(torch.tensor([0.5]), torch.tensor([1.0])).item() == 0.5


def test_its_links_lead_somewhere() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert linked
    assert [path for path in linked if not (HERE / path).is_file()] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cross-entropy", "stays: 0.99, 1"),
        ("bce", "stays: 0.99, 1"),
        ("nll", "stays: 0.99, 1"),
        ("sigmoid-mse", "vanishes: 0.0098, 0.0001"),
        ("zero-one", "vanishes: 0, 0"),
        ("mse", "grows: 11, 20"),
        ("hinge-embedding", ""),
    ],
)
def test_what_becomes_of_a_gradient_in_a_word(name: str, said: str) -> None:
    assert page.when_wrong(ENTRY[name]) == said


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (0.0, "0"),
        (3.94e-6, "4e-6"),
        (4.1e-6, "**4e-6**"),
        (0.26, "**0.3**"),
        (1.0, "**1**"),
        (4e17, "**> 10**"),
        (float("inf"), "**> 10**"),
        (float("nan"), "**NaN**"),
    ],
)
def test_an_error_is_one_digit_and_bold_above_the_bound(error: float, text: str) -> None:
    assert page._error(error) == text


def test_a_loss_of_ones_own_has_a_line_too() -> None:
    class Mine(torch.nn.MSELoss):
        pass

    entry = losses.Entry(
        "mine", Mine, "binary", "outputs", ("probability",), None, "mine", formula="|x|", range="R"
    )
    (row,) = rows(page.catalogue([entry]))
    assert row[:2] == ["**mine**<br>`Mine()`<br>takes outputs", "`\\|x\\|`"]
    assert rows(page.exactness([entry], 3)) == []


def test_the_picture_has_a_panel_for_every_binary_loss_of_a_logit() -> None:
    shown = {entry.name for entry in figure.with_panel(ENTRIES)}
    binary = {entry.name for entry in ENTRIES if entry.task == "binary"}
    # Of a probability and of a distance: no logit.
    assert binary - shown == {"bce", "hinge-embedding"}


def test_the_picture_is_the_same_whenever_it_is_drawn(tmp_path: Path) -> None:
    data = figure.draw(ENTRIES, ENTRY[page.REFERENCE])
    assert data == figure.draw(ENTRIES, ENTRY[page.REFERENCE])
    (tmp_path / "now.png").write_bytes(data)
    committed = HERE / page.FIGURE
    assert committed.stat().st_size < 300_000
    with Image.open(tmp_path / "now.png") as now, Image.open(committed) as then:
        assert now.size == then.size


def test_a_page_is_the_catalogue_and_its_measurements() -> None:
    some = [ENTRY["cross-entropy"], ENTRY["mse"]]
    text = page.page(some, count=1, issues=())
    assert text.startswith(page.catalogue(some))
    found = rows(text[text.index(page.TAILS_TITLE) : text.index(section.TITLE)])
    assert [row[:2] for row in found] == [
        *(["cross-entropy", "ours"], ["", "torch"]),
        *(["mse", "ours"], ["", "torch"]),
    ]
