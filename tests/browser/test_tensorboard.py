"""TensorBoard shows a finished experiment without a click."""

import json
import re
from pathlib import Path

import pytest

from lossbench.benchmarks.commands.view import COLOURS
from lossbench.benchmarks.records.events import EventFile
from lossbench.benchmarks.report.board_descriptions import HISTOGRAM, ZERO_HISTOGRAM, describe
from lossbench.benchmarks.report.board_layout import FIRST_CHARTS

from .conftest import LOSSES, serving

pytestmark = pytest.mark.slow

CARD = "tf-custom-scalar-margin-chart-card"


@pytest.fixture
def expect():
    api = pytest.importorskip("playwright.sync_api")
    # The machine may be busy.
    api.expect.set_options(timeout=120_000)
    return api.expect


def test_the_printed_address_shows_four_charts_unsmoothed_with_a_line_per_loss(
    page, expect, view, page_log
) -> None:
    home, printed = view
    (address,) = (line.split()[-1] for line in printed if line.startswith("Charts"))
    assert address.startswith(home)
    page.goto(address)
    cards = page.locator(CARD)
    expect(cards).to_have_count(len(FIRST_CHARTS))
    expect(page.locator("tf-smoothing-input input")).to_have_value("0")
    for number, chart in enumerate(FIRST_CHARTS):
        card = cards.nth(number)
        # The gradient of the count of errors is 0, which has no logarithm.
        shown = set(LOSSES) - {"zero-one"} if chart.log else set(LOSSES)
        expect(card.get_by_text(chart.title, exact=True).first).to_be_in_viewport()
        expect(card.get_by_text(f"Matches ({len(shown)})")).to_be_in_viewport()
        # Each has a band with an edge, and its line.
        expect(card.locator("path.area[d^=M]")).to_have_count(len(shown))
        expect(card.locator("path.line[d^=M]")).to_have_count(2 * len(shown))
        assert set(re.findall(r"\(([\w-]+)\)", matches(card))) == shown
        colours = card.locator("path.line[d^=M]").evaluate_all(
            "all => all.map(line => getComputedStyle(line).stroke)"
        )
        assert len({*colours} - {"none"}) == len(shown)
    assert all(url.startswith(home) for url in page_log.requests)


def test_time_series_begins_with_accuracy_and_gradient(page, expect, tensorboard) -> None:
    page.goto(tensorboard)
    names = page.locator("scalar-card .tag")
    for number, chart in enumerate(FIRST_CHARTS):
        expect(names.nth(number)).to_have_attribute("title", chart.tag)
        expect(names.nth(number)).to_be_in_viewport()
    groups = [title.strip() for title in page.locator(".group-title").all_inner_texts()]
    assert groups[:4] == ["Pinned", "Main", "accuracy", "gradient"]
    assert groups.index("table") > groups.index("loss")


def test_tensorboard_has_seven_colours(page, expect, tmp_path: Path) -> None:
    # The reason for COLOURS of `lossbench view`; the order is that of the names here.
    for number in range(COLOURS + 2):
        with EventFile(tmp_path / f"run{number}") as events:
            events.speed(0, 1.0)
    with serving(["tensorboard.main", "--logdir", str(tmp_path)]) as (home, _):
        page.goto(home + "#timeseries")
        swatches = page.locator("runs-data-table .run-color-swatch")
        expect(swatches).to_have_count(COLOURS + 2)
        colours = swatches.evaluate_all("all => all.map(e => getComputedStyle(e).backgroundColor)")
    assert len(set(colours)) == COLOURS
    assert colours[COLOURS:] == colours[:2]


def matches(card) -> str:
    """Return the names of the lines; they are in the page even if the list is closed."""
    return card.locator(".match-list-entry").evaluate_all("all => all.map(e => e.textContent)+''")


def test_hparams_has_one_row_per_loss(page, expect, tensorboard, experiment: Path) -> None:
    summary = json.loads((experiment / "summary.json").read_text())
    page.goto(tensorboard + "#hparams")
    for loss in LOSSES:
        expect(page.get_by_text(f"{experiment.name}/{loss}", exact=True).first).to_be_visible()
        accuracy = summary["losses"][loss]["test_accuracy"]["mean"]
        # As JavaScript's toPrecision(5) writes it.
        expect(page.get_by_text(f"{accuracy:#.5g}", exact=True).first).to_be_visible()
    headings = page.locator("tf-hparams-table-view vaadin-grid-cell-content .table-header")
    shown = [text.strip() for text in headings.all_inner_texts() if text.strip()]
    assert shown[2:4] == ["learning rate", "loss"]
    for heading in ("loss", "learning rate", "test accuracy"):
        expect(page.get_by_text(heading, exact=True).first).to_be_visible()


def test_the_worst_mistakes_and_the_formulas_are_pictures(page, expect, tensorboard) -> None:
    page.goto(tensorboard + "#images")
    pictures = page.locator("tf-image-loader img")
    expect(pictures).to_have_count(len(LOSSES) + 1)
    for number in range(len(LOSSES) + 1):
        picture = pictures.nth(number)
        picture.scroll_into_view_if_needed()
        picture.evaluate("image => image.decode()")
        assert picture.evaluate("image => image.naturalWidth") >= 900


def test_the_verdict_is_a_text_whose_words_are_whole(page, expect, tensorboard) -> None:
    page.goto(tensorboard + "#text")
    table = page.locator("pre").filter(has_text="test").first
    expect(table).to_be_visible()
    # In a line that does not wrap, and that fits.
    assert table.evaluate("each => getComputedStyle(each).whiteSpace") == "pre"
    assert table.evaluate("each => each.scrollWidth <= each.parentElement.clientWidth")
    assert page.locator("table").count() == 0


def test_histograms_say_what_they_are(page, expect, tensorboard) -> None:
    page.goto(tensorboard + "#histograms")
    expect(page.locator("tf-histogram-loader")).to_have_count(len(LOSSES))
    for loss in LOSSES:
        tag = ZERO_HISTOGRAM if loss == "zero-one" else HISTOGRAM
        card = page.locator("tf-histogram-loader").filter(has_text=loss).first
        expect(card.get_by_text(tag, exact=True).first).to_be_visible()
        card.get_by_role("button", name="Show summary description").click()
        expect(card.get_by_text(describe(tag)[:40])).to_be_visible()


def test_precision_and_recall_start_at_recall_0(page, expect, tensorboard) -> None:
    page.goto(tensorboard + "#pr_curves")
    expect(page.get_by_text("test/cat").first).to_be_visible()
    lines = page.locator("tf-pr-curve-card path.line[d^=M]")
    expect(lines).not_to_have_count(0)
    starts, ends = set(), set()
    for path in lines.evaluate_all("all => all.map(line => line.getAttribute('d'))"):
        points = [tuple(map(float, p)) for p in re.findall(r"([-\d.e]+),([-\d.e]+)", path)]
        starts.add(round(points[0][0]))
        ends.add(round(points[-1][0]))
        # On a level: no line to or from the origin.
        assert points[0][1] == points[1][1]
    assert len(starts) == len(ends) == 1
