"""Statements of README and reference runs about the project hold."""

import csv
import io
import json
import math
import re
import shutil
import statistics
from itertools import dropwhile, takewhile
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lossbench.benchmarks.config import ARTICLE_LOSSES, CompareConfig
from lossbench.benchmarks.evidence.runner import CLAIMS
from lossbench.benchmarks.records.claim import Measure, verdict_of
from lossbench.benchmarks.report.article.page import article_files
from lossbench.benchmarks.report.claims import (
    claim_document,
    is_synthetic,
    read_claim,
    write_overview,
)
from lossbench.benchmarks.report.document import Document
from lossbench.benchmarks.report.render import markdown
from lossbench.benchmarks.report.summary import summarise
from lossbench.benchmarks.report.table import short_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "runs" / "reference"
COMPARISON = REFERENCE / "comparison"
STARTS = ("normal", "confidently-wrong")


def table_of(markdown: str, start: str = "| loss | test accuracy") -> list[str]:
    """Return the lines of the first table whose head begins with `start`."""
    lines = dropwhile(lambda line: not line.startswith(start), markdown.splitlines())
    return list(takewhile(lambda line: line.startswith("|"), lines))


def test_the_readmes_table_is_that_of_the_reference_run() -> None:
    summary = summarise(COMPARISON / "confidently-wrong")
    written = markdown(Document("", (short_table(summary),)))
    assert table_of(README) == table_of(written)
    # Two lines of head, and one of chance.
    assert len(table_of(README)) == len(summary["losses"]) + 3


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_the_files_that_a_page_links_to_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [path for path in linked if not (page.parent / path).exists()] == []


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    assert [page.name for page in PAGES if f"](docs/{page.name})" not in README] == []


def test_ci_runs_the_readmes_test_commands() -> None:
    commands = re.findall(r"^(pip install uv && uv run pytest.*?)  +#", README, re.MULTILINE)
    assert len(commands) == 2
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    found = [pattern.strip() for pattern in re.findall(r"grep -o '\^(.+?)' README.md", script)]
    assert found == commands


@pytest.mark.parametrize("start", STARTS)
def test_the_reference_is_a_finished_comparison_on_real_images(start: str) -> None:
    about = json.loads((COMPARISON / start / "experiment.json").read_text())
    assert about["synthetic"] is False
    assert about["data"]["name"] == "cifar10"
    data = about["data"]
    assert (data["train"], data["validation"], data["test"]) == (9_000, 1_000, 2_000)
    assert about["config"]["start"] == start
    summary = json.loads((COMPARISON / start / "summary.json").read_text())
    assert {*summary["losses"], *summary["identities"]} == set(ARTICLE_LOSSES)
    assert summary["unfinished_runs"] == []
    seeds = {loss["test_accuracy"]["n"] for loss in summary["losses"].values()}
    assert seeds == {CompareConfig().seeds}


@pytest.mark.parametrize("start", STARTS)
def test_the_references_events_are_the_means_of_its_results(start: str) -> None:
    directory = COMPARISON / start
    with (directory / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    compared = 0
    losses = json.loads((directory / "summary.json").read_text())["losses"]
    for loss in losses:
        path = str(directory / "tensorboard" / loss)
        events = EventAccumulator(path, size_guidance={"scalars": 0}).Reload()
        for part in ("validation", "test"):
            seen: dict[int, list[float]] = {}
            for row in rows:
                if row["loss"] == loss and not math.isnan(float(row[f"{part}_accuracy"])):
                    seen.setdefault(int(row["step"]), []).append(float(row[f"{part}_accuracy"]))
            assert {len(values) for values in seen.values()} == {CompareConfig().seeds}
            # The test accuracy, measured once, is drawn as a level line from step 0.
            written = {
                e.step: e.value for e in events.Scalars(f"accuracy/{part}") if e.step in seen
            }
            means = {step: statistics.fmean(values) for step, values in seen.items()}
            assert written == pytest.approx(means, rel=1e-6)
            compared += len(written)
    assert compared >= 4 * len(losses)


EXAMINED = [name for name in CLAIMS if (REFERENCE / "evidence" / name).is_dir()]


@pytest.mark.parametrize("name", EXAMINED)
def test_the_references_verdicts_are_those_of_their_measures(name: str) -> None:
    record = read_claim(REFERENCE / "evidence" / name)
    assert not is_synthetic(record)
    measures = [Measure(**each) for each in record["measures"]]
    assert record["verdict"] == verdict_of(measures)


def tables_of(page: str) -> list[str]:
    """Return the lines of all tables of a Markdown page."""
    return [line for line in page.splitlines() if line.startswith("|")]


def test_the_references_tables_are_those_of_its_claims(tmp_path: Path) -> None:
    kept = REFERENCE / "evidence"
    for name in EXAMINED:
        (tmp_path / name).mkdir()
        shutil.copy(kept / name / "claim.json", tmp_path / name)
        page = markdown(claim_document(read_claim(tmp_path / name)))
        assert len(tables_of(page)) > 4
        assert tables_of(page) == tables_of((kept / name / "report.md").read_text("utf-8"))
    write_overview(tmp_path, CLAIMS)
    written, before = ((each / "report.md").read_text("utf-8") for each in (tmp_path, kept))
    assert tables_of(written) == tables_of(before)


def test_the_articles_page_is_what_the_command_writes() -> None:
    directory = ROOT / "docs"
    for name, content in article_files(directory, REFERENCE / "evidence").items():
        committed = directory / name
        if committed.suffix == ".md":
            assert committed.read_bytes() == content, "run: uv run lossbench article"
            linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", content.decode())
            assert len(linked) > len(CLAIMS)
            assert [path for path in linked if not (directory / path).is_file()] == []
        else:
            # Another version of FreeType draws other pixels.
            with Image.open(committed) as then, Image.open(io.BytesIO(content)) as now:
                assert then.size == now.size
            assert committed.stat().st_size < 50_000


def test_the_reference_is_small() -> None:
    ignored = (
        "checkpoint.pt",
        "*.photographs",
        "seed*/events.out.tfevents.*",
        "evidence/*/report.html",
    )
    files = [p for p in REFERENCE.rglob("*") if p.is_file() and not any(map(p.match, ignored))]
    assert sum(p.stat().st_size for p in files) < 8_000_000


def test_no_photograph_of_the_data_set_is_in_the_references_events() -> None:
    events = [p for p in REFERENCE.rglob("*/tensorboard/*/events*") if p.suffix != ".photographs"]
    compared = json.loads((COMPARISON / STARTS[0] / "summary.json").read_text())["losses"]
    assert len(events) == len(STARTS) * len(compared)
    for path in events:
        tags = EventAccumulator(str(path)).Reload().Tags()["images"]
        assert set(tags) <= {"value and gradient of each loss"}
