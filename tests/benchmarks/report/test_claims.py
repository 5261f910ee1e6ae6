import json
import math
from dataclasses import replace

import pytest

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel
from lossbench.benchmarks.plots.intervals import IntervalRow, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import (
    ClaimTable,
    Finding,
    Measure,
    Statement,
    read_claim,
)
from lossbench.benchmarks.report.claims import (
    claim_document,
    kind_of,
    tally,
    write_finding,
    write_overview,
    write_report,
)
from lossbench.benchmarks.report.document import (
    BulletList,
    Code,
    DefinitionList,
    Heading,
    Image,
    Link,
    Paragraph,
    Table,
)
from lossbench.benchmarks.stats.intervals import Interval

ABOUT = {
    "command": "lossbench evidence noise",
    "date": "2020-01-01T00:00:00+00:00",
    "design": {
        "hash": "abc123",
        "looks": [5, 8],
        "first_seed": 108,
        "in_words": "Looks with 5 and at most 8 paired seeds.",
        "earlier": ["fff000, seeds 100 to 107"],
    },
    "trials": 12,
    "seeds": [0, 1, 2],
    "search_seeds": [1000],
    "seconds": 61.0,
    "training_seconds": 3700.0,
    "models": ["convnet"],
    "data": [
        {
            "name": "cifar10",
            "description": "made-up",
            "fingerprint": "f1n9e5",
            "classes": ["dog", "cat"],
            "test": 20,
            "test_counts": [12, 8],
        }
    ],
    "versions": {"torch": "0.0"},
    "hardware": {"processor": "abacus"},
    "git": None,
}
ROWS = (RowPanel([IntervalRow("a", "mse", Interval(0.5, 0.25, None, 3), (0.4, 0.6))]),)
CURVES = (CurvePanel([Curve("mse", [0, 1], [0.25, math.nan])], Axis("steps"), Axis("accuracy")),)
ORDER = ("zero-one", "likelihood", "noise")


def claim(name="noise"):
    return Statement(
        name, "Does it matter?", "It does.", "No difference.", "Three seeds.", "A paper."
    )


def finding(verdict="holds", **fields):
    content = {
        "verdict": verdict,
        "sentence": "It is 1.2 points.",
        "measures": (
            Measure("difference, points", -1.234, -2.0, None, "below 0", verdict),
            Measure("steps, number", 1234.6, 1000.0, 2000.0, "above 10", "undecided"),
            Measure("ratio", float("nan"), None, None, "above 10", "undecided"),
        ),
        "figures": (
            PanelFigure("one.png", "one", "Title", "Caption.", ROWS),
            PanelFigure("two.png", "two", "Other", "", CURVES, columns=2),
        ),
        "tables": (
            ClaimTable("By rate", ("loss", "0.1"), (("mse", "74.1"), ("bce",)), ("A note.",)),
        ),
        "notes": ("Three seeds alone.",),
    }
    return Finding(**content | fields)


@pytest.fixture
def written(tmp_path):
    directory = tmp_path / "evidence" / "noise"
    write_finding(directory, ABOUT, claim(), finding())
    return directory


def of_type(kind, document):
    return [block for block in document.blocks if isinstance(block, kind)]


def test_the_page_of_a_claim(written):
    assert {path.name for path in written.iterdir()} == {
        "claim.json", "report.html", "report.md", "one.png", "two.png",
    }  # fmt: skip
    document = claim_document(read_claim(written))
    assert document.title == "noise: Does it matter?"
    callout, first = document.blocks[:2]
    assert callout.lead.endswith("It does. The claim holds, measured.")
    assert (callout.verdict, callout.text) == ("holds", "It is 1.2 points.")
    one, two = finding().figures
    assert first == Image("one.png", "one", one.charts(), "Title", "Caption.")
    assert of_type(Image, document)[1] == Image("two.png", "two", two.charts(), "Other", "", 2)
    measures, by_rate = of_type(Table, document)
    assert measures.rows == (
        ("difference, points", "−1.23", "–", "below 0", "holds"),
        ("steps, number", "1,235", "1,000 to 2,000", "above 10", "undecided"),
        ("ratio", "–", "–", "above 10", "undecided"),
    )
    assert by_rate.rows == (("mse", "74.1"), ("bce", ""))
    assert [block.text for block in of_type(Paragraph, document)][:2] == [
        "A note.", "Three seeds alone.",
    ]  # fmt: skip
    assert of_type(Code, document) == [Code("lossbench evidence noise")]
    statement, provenance = (dict(block.items) for block in of_type(DefinitionList, document))
    assert statement["refuted by"] == "No difference."
    assert statement["source"] == "A paper."
    assert provenance["design"].startswith("abc123, fixed before anything was trained. Looks with")
    assert provenance["earlier design"] == "fff000, seeds 100 to 107"
    assert provenance["networks trained"] == "12, 1 h 1 min of training"
    assert provenance["seeds"] == "0 1 2"
    assert provenance["search seeds"] == "1000"
    assert provenance["time"].startswith("1 min 1 s")
    assert provenance["models"] == "convnet"
    assert provenance["test images"] == "20 (12 dog, 8 cat)"
    assert provenance["hardware"] == "processor abacus"
    assert "other settings" not in provenance


def test_provenance_shows_what_it_does_not_know(written):
    record = read_claim(written)
    record["about"] = {"workers": 2, "training_seconds": 3.0, "data": {"name": "x"}}
    (_, provenance) = of_type(DefinitionList, claim_document(record))
    assert dict(provenance.items)["other settings"] == "workers 2"


def test_a_report_is_written_again_from_claim_json_alone(written):
    before = {path.name: path.read_bytes() for path in written.iterdir()}
    for name in {*before} - {"claim.json"}:
        (written / name).unlink()
    write_report(written)
    assert {path.name: path.read_bytes() for path in written.iterdir()} == before


def test_synthetic_images_are_never_a_finding(tmp_path):
    data = [ABOUT["data"][0] | {"name": "synthetic"}]
    write_finding(tmp_path / "e" / "noise", ABOUT | {"data": data}, claim(), finding())
    write_overview(tmp_path / "e", ORDER)
    for path in (tmp_path / "e").rglob("report.*"):
        assert path.read_text().count("SYNTHETIC IMAGES") >= 2, path


@pytest.fixture
def overview(tmp_path, monkeypatch):
    """Write an overview of claims with these verdicts, and return its document."""

    def build(verdicts, order=ORDER):
        documents = []
        for name, verdict in verdicts.items():
            write_finding(tmp_path / name, ABOUT, claim(name), finding(verdict))
        with monkeypatch.context() as patch:
            patch.setattr(
                "lossbench.benchmarks.report.claims.write_pages",
                lambda directory, document: documents.append((directory, document)),
            )
            write_overview(tmp_path, order)
        ((directory, document),) = documents
        assert directory == tmp_path
        return document

    return build


def test_the_overview_follows_the_order(overview):
    document = overview({"noise": "holds", "mine": "undecided", "zero-one": "does not hold"})
    table = of_type(Table, document)[0]
    found = "It is 1.2 points."
    assert table.rows == (
        (Link("zero-one", "zero-one/report"), "It does.", "does not hold", "measured", found),
        (Link("noise", "noise/report"), "It does.", "holds", "measured", found),
        (Link("mine", "mine/report"), "It does.", "undecided", "measured", found),
    )
    images = [image.path for image in of_type(Image, document)]
    assert images == ["zero-one/one.png", "noise/one.png", "mine/one.png", "./article.png"]
    texts = [block.text for block in of_type(Paragraph, document)]
    assert texts[:2] == [
        "3 claims examined: 1 holds, 1 does not hold, 1 is undecided.",
        "Not examined yet: likelihood.",
    ]


def test_the_article_follows_and_leads_to_the_claims(overview, tmp_path):
    document = overview({"noise": "holds", "zero-one": "holds"})
    links = [item for block in of_type(BulletList, document) for item in block.items]
    assert links[0] == Link("The article, sentence by sentence", "#article")
    assert [block.anchor for block in of_type(Heading, document) if block.level == 2] == [
        "zero-one", "noise", "article",
    ]  # fmt: skip
    assert Link("the claim zero-one holds, measured", "#zero-one") in links
    assert "the claim likelihood, not examined yet" in links
    assert (tmp_path / "article.png").read_bytes().startswith(b"\x89PNG")
    assert of_type(Image, document)[-1].charts


def test_the_overview_of_one_claim(overview):
    texts = [block.text for block in of_type(Paragraph, overview({"noise": "holds"}, ("noise",)))]
    assert texts[0] == "1 claim examined: 1 holds."
    assert not any(text.startswith("Not examined") for text in texts)


def test_an_overview_of_nothing(tmp_path):
    with pytest.raises(UserError, match="no claim in"):
        write_overview(tmp_path, ORDER)


def test_an_identity_is_told_from_a_measurement(tmp_path):
    """Also in a claim.json of an earlier version, which does not say."""
    statement = replace(claim(), kind="proved and checked")
    write_finding(tmp_path / "noise", ABOUT, statement, finding())
    write_overview(tmp_path, ("noise",))
    assert "The claim holds, proved and checked." in (tmp_path / "report.md").read_text()
    record = read_claim(tmp_path / "noise")
    assert kind_of(record) == "proved and checked"
    del record["kind"]
    assert kind_of(record) == "measured"


def test_verdicts_are_counted():
    records = [{"verdict": v} for v in ("holds", "undecided", "holds", "undecided")]
    assert tally(records) == "2 hold, 2 are undecided"
    assert tally(records[:2]) == "1 holds, 1 is undecided"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "sure"}, "'sure' is no verdict"),
        ({"verdict": None}, "verdict should be str"),
        ({"pictures": [{"name": "../../secret.png", "alt": ""}]}, "no plain file name"),
        ({"pictures": [{}]}, r"pictures\[0\] has no name"),
        ({"pictures": [{"name": "a.png", "panels": 3}]}, r"panels should be"),
        (
            {
                "pictures": [
                    {"name": "a.png", "panels": [{"curves": [{"loss": "mse", "x": ["y"]}]}]}
                ]
            },
            r"x\[0\] should be float, not 'y'",
        ),
        (
            {
                "pictures": [
                    {
                        "name": "a.png",
                        "panels": [
                            {"curves": [{"loss": "mse", "x": [1, 2], "y": [1]}], "x": {}, "y": {}}
                        ],
                    }
                ]
            },
            "cannot draw a figure of claim.json",
        ),
        ({"kind": "guessed"}, "kind should be measured or proved and checked"),
        ({"measures": [1]}, r"measures\[0\] should be dict"),
        ({"tables": [{"columns": []}]}, "rows"),
        ({"about": None}, "about should be dict"),
    ],
)
def test_bad_claims(written, change, message):
    path = written / "claim.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message) as caught:
        write_report(written)
    assert "\n" not in str(caught.value)


def test_a_claim_of_an_earlier_version_has_no_charts(written):
    """Its figures are files alone, which its Markdown shows; none of them is written again."""
    path = written / "claim.json"
    record = json.loads(path.read_text())
    record["pictures"] = [{"name": "one.png", "alt": "one"}]
    path.write_text(json.dumps(record))
    (written / "one.png").write_bytes(b"kept")
    write_report(written)
    assert "<svg" not in (written / "report.html").read_text()
    assert "![one](one.png)" in (written / "report.md").read_text()
    assert (written / "one.png").read_bytes() == b"kept"


def test_missing_files_of_a_claim(written):
    (written / "claim.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read .*claim\.json"):
        write_report(written)
    (written / "claim.json").unlink()
    with pytest.raises(UserError, match="no claim in"):
        write_report(written)
