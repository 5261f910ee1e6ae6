"""TensorBoard shows a finished experiment without a click."""

import json
import re
from pathlib import Path

import pytest

from lossbench.benchmarks.report.board_layout import CHARTS

from .conftest import LOSSES

pytestmark = pytest.mark.slow

CARD = "tf-custom-scalar-margin-chart-card"


@pytest.fixture
def expect():
    api = pytest.importorskip("playwright.sync_api")
    # The machine may be busy.
    api.expect.set_options(timeout=120_000)
    return api.expect


def test_custom_scalars_has_its_charts_with_one_line_per_loss(
    page, expect, tensorboard, page_log
) -> None:
    page.goto(tensorboard + "#custom_scalars")
    cards = page.locator(CARD)
    expect(cards).to_have_count(len(CHARTS))
    for number, chart in enumerate(CHARTS):
        card = cards.nth(number)
        expect(card.get_by_text(chart.title, exact=True).first).to_be_visible()
        expect(card.get_by_text(f"Matches ({len(LOSSES)})")).to_be_visible()
        # Each has a band with an edge, and its line.
        expect(card.locator("path.area[d^=M]")).to_have_count(len(LOSSES))
        expect(card.locator("path.line[d^=M]")).to_have_count(2 * len(LOSSES))
        assert set(re.findall(r"\(([\w-]+)\)", matches(card))) == set(LOSSES)
    assert all(url.startswith(tensorboard) for url in page_log.requests)


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
    for heading in ("loss", "learning rate", "test accuracy, mean over seeds"):
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


def test_the_verdict_is_a_text(page, expect, tensorboard) -> None:
    page.goto(tensorboard + "#text")
    expect(page.get_by_role("cell", name="cross-entropy").first).to_be_visible()


def test_histograms_and_precision_and_recall_are_there(page, expect, tensorboard) -> None:
    page.goto(tensorboard + "#histograms")
    expect(page.locator("tf-histogram-loader")).to_have_count(len(LOSSES))
    page.goto(tensorboard + "#pr_curves")
    page.reload()
    expect(page.get_by_text("test/cat").first).to_be_visible()
    expect(page.locator("tf-pr-curve-card path.line[d^=M]")).not_to_have_count(0)
