"""Names and texts from outside are text on every page, and never markup."""

import re

import pytest

from lossbench.benchmarks.records.claim import ClaimTable, Statement
from lossbench.benchmarks.report.claims import write_finding
from lossbench.benchmarks.report.combined import write_reports
from lossbench.benchmarks.report.comparison import write_comparison
from lossbench.benchmarks.report.render import content_policy, script_source

from ..written_experiments import describe, evaluations, write_experiment
from .test_claims import ABOUT, finding
from .test_render import Parsed

# What a directory can be called; it has no slash.
EVIL = (
    '<script>alert("1")<script> <img src=x onerror=alert(1)> | `c` [a](javascript:b) '
    "$\\frac{$ **d**"
)
ALLOWED = {
    *("html", "head", "meta", "link", "title", "style", "body", "h1", "h2", "h3", "p", "strong"),
    *("div", "img", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "span"),
    *("dl", "dt", "dd", "pre", "ul", "li", "a", "figure", "figcaption", "script"),
    *("svg", "g", "text", "line", "path", "polygon", "circle", "rect"),
}


def assert_harmless(directory):
    """Assert that both pages of a directory show EVIL as text."""
    page = (directory / "report.html").read_text()
    read = Parsed(page)
    assert set(read.tags) <= ALLOWED
    # The only script is ours, and the page's policy allows no other.
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert scripts in ([], [script_source()])
    assert content_policy(
        *re.findall(r"<style>(.*?)</style>", page, re.DOTALL), *(scripts or [""])
    ) in (page.replace("&#39;", "'"))
    assert any("alert(" in text for text in read.text)
    # Nothing is fetched: what is shown is in the page, and links lead to places on this disk.
    assert all(re.match(r"data:|#|[\w./%-]+$", address) for address in read.fetched)
    assert not any(name.startswith("on") for name in read.attributes)
    assert not re.search(r"url\(|@import|https?://", re.sub(r">[^<]*<", "><", page))
    (text,) = (p.read_text() for p in directory.glob("*.md"))
    assert "alert(" in text
    for line in re.sub(r"^(```+)\n.*\n\1$", "", text, flags=re.MULTILINE).splitlines():
        bare = re.sub(r'<a id="[\w-]+"></a>', "", re.sub(r"\\.", "", line))
        assert not re.search(r"[<>`$]", bare), line
        assert "](javascript" not in bare
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = {re.sub(r"\\.", "", line).count("|") for line in table.splitlines()}
        assert len(cells) == 1, table


@pytest.fixture
def hostile(tmp_path):
    """An experiment in which everything that has a name is called EVIL."""
    losses = [EVIL, "cross-entropy"]
    about = describe(EVIL, losses=losses, seeds=[0, 1, 2], model=f"{EVIL}:Net")
    about["command"] = f"lossbench compare --losses '{EVIL}'"
    about["data"] |= {"name": EVIL, "description": EVIL, "classes": [EVIL, f"{EVIL} 2"]}
    about["data"]["skipped"] = [f"{EVIL}.jpg (damaged image: {EVIL})"]
    about["model"]["name"] = about["git"] = about["date"] = EVIL
    about["hardware"]["processor"] = about["versions"]["torch"] = EVIL
    rows = [
        row
        for number, loss in enumerate(losses)
        for seed in range(3)
        for row in evaluations(loss, seed, [0.5, 0.6, 0.7 + 0.1 * number + 0.01 * seed])
    ]
    directory = write_experiment(tmp_path / "experiment", about, rows)
    quoted = EVIL.replace('"', '""')
    (directory / "warnings.csv").write_text(
        f'loss,seed,kind,layer,step,value,text\n"{quoted}",0,vanished,"{quoted}",10,0,"{quoted}"\n'
    )
    return directory


def test_names_in_an_experiment_are_text(hostile):
    write_comparison(hostile)
    assert_harmless(hostile)
    page = (hostile / "report.html").read_text()
    for where in ("data", "skipped files", "model", "hardware", "versions", "git commit", "date"):
        assert re.search(f"<dt>{where}</dt><dd>[^<]*alert", page), where


@pytest.fixture
def claim(tmp_path):
    """A claim in which everything that has a text says EVIL."""
    directory = tmp_path / "claim"
    table = ClaimTable(EVIL, (EVIL, "n"), ((EVIL, EVIL),), (EVIL,))
    found = finding(sentence=EVIL, notes=(EVIL,), tables=(table,))
    write_finding(directory, ABOUT | {"command": EVIL}, Statement(*6 * (EVIL,)), found)
    return directory


def test_names_in_a_claim_are_text(claim):
    assert_harmless(claim)


def test_names_on_a_page_of_several_are_text(hostile, claim, tmp_path):
    write_reports([hostile, claim], tmp_path / "several")
    assert_harmless(tmp_path / "several")
