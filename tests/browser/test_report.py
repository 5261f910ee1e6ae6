"""report.html in a browser: it needs no other file, fits the window, and shows its values."""

import csv
import json
import re
from pathlib import Path

import pytest

from lossbench.benchmarks.evidence.runner import CLAIMS, claim_of
from lossbench.benchmarks.report.claims import write_finding, write_overview
from tests.benchmarks.evidence.conftest import seeds_of
from tests.benchmarks.evidence.worlds import WORLDS, FakeTrainer

from .conftest import LOSSES, SEEDS

pytestmark = pytest.mark.slow

CLAIM = "noise"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> Path:
    """Write the pages of all claims, each of which holds in its made-up world."""
    directory = tmp_path_factory.mktemp("evidence")
    for name in CLAIMS:
        claim = claim_of(name)
        finding = claim.examine(FakeTrainer(WORLDS[name]), seeds_of(claim))
        write_finding(directory / name, {"trials": 0, "seconds": 0.0}, claim, finding)
    write_overview(directory, CLAIMS)
    return directory


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("what", ["comparison", "evidence", "claim"])
def test_the_charts_are_there_and_nothing_overflows(
    page, page_log, experiment: Path, evidence: Path, what, width, scheme
):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    directories = {"comparison": experiment, "evidence": evidence, "claim": evidence / CLAIM}
    directory = directories[what]
    address = (directory / "report.html").as_uri()
    page.goto(address)
    assert page.locator("svg.chart").count() >= 4
    assert page.locator("img").count() == 0
    cut = """charts => charts.flatMap(chart => {
      const outer = chart.getBoundingClientRect();
      const texts = [...chart.querySelectorAll(":scope > text, :scope > g > text")];
      return texts.filter(text => {
        const inner = text.getBoundingClientRect();
        return inner.left < outer.left - 1 || inner.right > outer.right + 1;
      }).map(text => text.textContent);
    })"""
    assert page.locator("svg.chart").evaluate_all(cut) == []
    on_each_other = """charts => charts.flatMap(chart => {
      const texts = [...chart.querySelectorAll("text:not(.stamp)")];
      const boxes = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
      return boxes.flatMap(([name, box], index) => boxes.slice(index + 1).filter(([, other]) =>
        Math.min(box.right, other.right) - Math.max(box.left, other.left) > 1 &&
        Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 0.35 * box.height
      ).map(([other]) => `${name} on ${other}`));
    })"""
    assert page.locator("svg.chart").evaluate_all(on_each_other) == []
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert all(url == address or url.startswith("data:") for url in page_log.requests)
    assert len((directory / "report.html").read_bytes()) < 3_000_000


def opened(page, experiment: Path, width: int = 1440, scheme: str = "light"):
    """Open a comparison and return its first chart: accuracy over steps."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto((experiment / "report.html").as_uri())
    return page.locator("svg.chart").first


def rows_of(experiment: Path, loss: str) -> dict[int, list[float]]:
    """Return validation accuracies in percent by step, of all seeds."""
    found: dict[int, list[float]] = {}
    with (experiment / "results.csv").open() as file:
        for row in csv.DictReader(file):
            if row["loss"] == loss:
                accuracy = 100 * float(row["validation_accuracy"])
                found.setdefault(int(row["step"]), []).append(accuracy)
    return found


def wanted(values: list[float]) -> list[float]:
    """Return mean, lowest and highest."""
    return [sum(values) / len(values), min(values), max(values)]


@pytest.mark.parametrize("width", [390, 1440])
def test_the_pointer_shows_the_values_of_results_csv(page, experiment: Path, width) -> None:
    chart = opened(page, experiment, width)
    rows = {loss: rows_of(experiment, loss) for loss in LOSSES}
    steps = sorted(rows["cross-entropy"])
    box = chart.bounding_box()
    seen = set()
    for share in range(0, 100, 2):
        chart.hover(position={"x": share / 100 * box["width"], "y": box["height"] / 2})
        step, *lines = page.locator(".tip div").all_inner_texts()
        at = int(re.findall(r"\d+", step.replace(",", ""))[0])
        seen.add(at)
        shown = {line.split("  ")[0]: re.findall(r"[\d.]+", line.split("  ")[1]) for line in lines}
        for loss in LOSSES:
            assert len(rows[loss][at]) == SEEDS
            assert [float(each) for each in shown[loss]] == pytest.approx(
                wanted(rows[loss][at]), rel=1e-3
            )
    assert sorted(seen) == steps
    assert page.locator(".tip").is_visible()
    inside = page.locator(".tip").bounding_box()
    assert inside["x"] >= 0
    assert inside["x"] + inside["width"] <= width
    page.mouse.move(1, 1)
    assert not page.locator(".tip").is_visible()


def test_the_arrow_keys_show_the_values_as_well(page, experiment: Path) -> None:
    chart = opened(page, experiment)
    chart.focus()
    told = []
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        told.append(page.locator(".tip .head").inner_text())
    steps = sorted(rows_of(experiment, "cross-entropy"))
    assert told == [f"training steps {step}" for step in steps[:3]]
    assert page.locator(".tip").get_attribute("role") == "status"
    page.keyboard.press("Escape")
    assert not page.locator(".tip").is_visible()


def test_charts_follow_light_and_dark(page, experiment: Path) -> None:
    found = {}
    for scheme in ("light", "dark"):
        chart = opened(page, experiment, scheme=scheme)
        for part, name in (("text", "fill"), (".line", "stroke")):
            style = f"each => getComputedStyle(each).{name}"
            found[scheme, part] = chart.locator(part).first.evaluate(style)
    assert found["light", "text"] != found["dark", "text"]
    assert found["light", ".line"] != found["dark", ".line"]
    assert "none" not in found.values()


@pytest.mark.parametrize("width", [390, 1440])
def test_the_pointer_shows_the_values_of_claim_json(page, evidence: Path, width) -> None:
    """The first figure of this claim has curves, with an interval for each value."""
    chart = opened(page, evidence / CLAIM, width)
    record = json.loads((evidence / CLAIM / "claim.json").read_text())
    (panel,) = record["pictures"][0]["panels"]
    box, seen = chart.bounding_box(), {}
    for share in range(0, 100, 2):
        chart.hover(position={"x": share / 100 * box["width"], "y": box["height"] / 2})
        for line in page.locator(".tip div").all_inner_texts()[1:]:
            name, values = line.split("  ")
            found = [float(each) for each in re.findall(r"[\d.]+", values)]
            seen.setdefault(name, set()).add(tuple(found))
    for curve in panel["curves"]:
        told = [
            tuple(float(f"{value:.4g}") for value in (y, each["low"], each["high"]))
            for y, each in zip(curve["y"], curve["intervals"], strict=True)
        ]
        assert seen[curve["loss"]] == set(told)


@pytest.mark.parametrize("width", [390, 1440])
def test_rows_tell_the_values_of_claim_json(page, evidence: Path, width) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((evidence / "square-loss" / "report.html").as_uri())
    record = json.loads((evidence / "square-loss" / "claim.json").read_text())
    (panel,) = record["pictures"][0]["panels"]
    told = page.locator("svg.chart").first.locator("title").all_text_contents()
    for text, row in zip(told, panel["rows"], strict=True):
        interval = row["interval"]
        wanted = [float(f"{interval[end]:.4g}") for end in ("mean", "low", "high")]
        assert [float(each) for each in re.findall(r"\d[\d.]*", text)] == wanted


@pytest.mark.parametrize("width", [390, 1440])
def test_labels_stand_beside_the_ends_of_their_lines(page, experiment: Path, width) -> None:
    chart = opened(page, experiment, width)
    box = chart.bounding_box()
    for loss in LOSSES:
        label = chart.locator("text", has_text=loss).first.bounding_box()
        assert label["x"] > box["x"] + box["width"] / 3
        assert label["x"] + label["width"] <= box["x"] + box["width"] + 1
        assert box["y"] <= label["y"] < box["y"] + box["height"]
        assert label["height"] > 8


def test_a_script_in_a_text_would_not_run(page, page_log, experiment: Path, tmp_path) -> None:
    """The policy of the page is a second wall: here the first one has a hole."""
    text = (experiment / "report.html").read_text(encoding="utf-8")
    hole = "<script>document.title = 'changed'</script><img src=x onerror='document.title = 1'>"
    path = tmp_path / "report.html"
    path.write_text(text.replace("</h1>", f"{hole}</h1>", 1), encoding="utf-8")
    page.goto(path.as_uri())
    assert page.title().endswith("lossbench")
    assert page.locator("svg.chart").count() > 2
    assert all("Content Security Policy" in error for error in page_log.errors)
    assert len(page_log.errors) >= 2
    page_log.errors.clear()
