"""report.html in a browser: it loads without other files, and fits the window."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EVIDENCE = Path(__file__).resolve().parents[2] / "runs" / "reference" / "evidence"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("what", ["comparison", "evidence"])
def test_the_pictures_load_and_nothing_overflows(
    page, page_log, experiment: Path, what, width, scheme
):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    directory = experiment if what == "comparison" else EVIDENCE
    address = (directory / "report.html").as_uri()
    page.goto(address)
    pictures = page.locator("img")
    assert pictures.count() >= 2
    for number in range(pictures.count()):
        pictures.nth(number).evaluate("image => image.decode()")
        assert pictures.nth(number).evaluate("image => image.naturalWidth") > 0
        assert pictures.nth(number).get_attribute("alt")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    cut = "cards => cards.filter(card => card.scrollWidth > card.clientWidth).length"
    assert page.locator(".card").evaluate_all(cut) == 0
    if width < 700:
        page.locator(".card").first.click()
        assert pictures.first.evaluate("image => image.clientWidth") > 2 * width
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert all(url == address or url.startswith("data:") for url in page_log.requests)
