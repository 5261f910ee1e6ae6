import io
import json
import re

import pytest
from PIL import Image

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.evidence.claim import Claim
from lossbench.benchmarks.evidence.runner import CLAIMS
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Finding, Measure
from lossbench.benchmarks.report.claims import number, read_claim, write_finding, write_overview
from lossbench.benchmarks.report.combined import write_reports

EVIL = "<script>alert('x')</script> | a"
ABOUT = {
    "command": "lossbench evidence noise",
    "date": "2020-01-01T00:00:00+00:00",
    "budget": "quick",
    "trials": 12,
    "seeds": [0, 1, 2],
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


def pixels(color):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20), color).save(buffer, "PNG")
    return buffer.getvalue()


def claim(name="noise"):
    return Claim(
        name, "Does it matter?", "It does.", "No difference.", "Three seeds.", "A paper.", None
    )


def finding(verdict="holds", **fields):
    about = {
        "verdict": verdict,
        "sentence": "It is 1.2 points.",
        "measures": (
            Measure("difference, points", -1.234, -2.0, None, "below 0", verdict),
            Measure("steps, number", 1234.6, 1000.0, 2000.0, "above 10", "undecided"),
            Measure("ratio", float("nan"), None, None, "above 10", "undecided"),
        ),
        "pictures": (
            ClaimFigure("one.png", pixels("red"), "one"),
            ClaimFigure("two.png", b"2", "two"),
        ),
        "tables": (
            ClaimTable("By rate", ("loss", "0.1"), (("mse", "74.1"), ("bce",)), ("A note.",)),
        ),
        "notes": ("Three seeds alone.",),
    }
    return Finding(**about | fields)


@pytest.fixture
def written(tmp_path):
    directory = tmp_path / "evidence" / "noise"
    write_finding(directory, ABOUT, claim(), finding())
    return directory


def test_what_is_written(written):
    assert {path.name for path in written.iterdir()} == {
        "claim.json", "report.html", "report.md", "one.png", "two.png",
    }  # fmt: skip
    record = read_claim(written)
    assert record["verdict"] == "holds"
    assert record["about"] == ABOUT
    assert record["measures"][0]["value"] == -1.234
    assert record["measures"][2]["value"] is None  # JSON has no NaN
    assert record["pictures"] == [
        {"name": "one.png", "alt": "one"},
        {"name": "two.png", "alt": "two"},
    ]


def test_the_order_of_the_page(written):
    for name in ("report.html", "report.md"):
        text = (written / name).read_text()
        marks = ["The claim holds.", "It is 1.2 points.", '"one"' if "html" in name else "![one]"]
        marks += ["What the verdict rests on", "−1.23", "1,235"]
        marks += ['"two"' if "html" in name else "![two]", "By rate", "74.1", "A note."]
        marks += ["Three seeds alone.", "What was asked", "No difference.", "A paper."]
        marks += ["How it was measured", "quick", "12, 1 h 1 min of training", "f1n9e5", "abacus"]
        marks += ["lossbench evidence noise"]
        places = [text.index(mark) for mark in marks]
        assert places == sorted(places), name


def test_a_report_is_made_again_from_the_directory_alone(written):
    before = {path.name: path.read_bytes() for path in written.iterdir()}
    for name in ("report.html", "report.md"):
        (written / name).unlink()
    assert write_reports([written]) == [written / "report.html", written / "report.md"]
    assert {path.name: path.read_bytes() for path in written.iterdir()} == before


def test_whatever_a_claim_says_is_escaped(tmp_path):
    evil = Claim(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, None)
    measures = (Measure(EVIL, 1.0, 0.0, 2.0, EVIL, "holds"),)
    tables = (ClaimTable(EVIL, (EVIL,), ((EVIL,),), (EVIL,)),)
    found = finding(sentence=EVIL, measures=measures, tables=tables, notes=(EVIL,))
    write_finding(tmp_path / "c", ABOUT | {"command": EVIL, "more": EVIL}, evil, found)
    page = (tmp_path / "c" / "report.html").read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 15
    lines = (tmp_path / "c" / "report.md").read_text().splitlines()
    assert [line for line in lines if "<script" in line.replace(r"\<", "")] == ["    " + EVIL]


def test_synthetic_images_are_never_a_finding(tmp_path):
    data = [ABOUT["data"][0] | {"name": "synthetic"}]
    write_finding(tmp_path / "e" / "noise", ABOUT | {"data": data}, claim(), finding())
    write_overview(tmp_path / "e", CLAIMS)
    for path in (tmp_path / "e").rglob("report.*"):
        assert path.read_text().count("SYNTHETIC IMAGES") >= 2, path


def test_the_overview_follows_the_argument(tmp_path):
    verdicts = {"noise": "holds", "zero-one": "does not hold", "mine": "undecided"}
    for name, verdict in verdicts.items():
        write_finding(tmp_path / name, ABOUT, claim(name), finding(verdict))
    write_overview(tmp_path, CLAIMS)
    text = (tmp_path / "report.md").read_text()
    assert "1 holds, 1 does not hold, 1 is undecided." in text
    assert re.findall(r"^\| \[(.*?)\]\((.*?)\) \| . (.*?) \|", text, re.MULTILINE) == [
        ("zero-one", "zero-one/report.md", "does not hold"),
        ("noise", "noise/report.md", "holds"),
        ("mine", "mine/report.md", "undecided"),
    ]
    assert "Not examined yet: probability-sum, likelihood" in text
    assert text.count("/one.png)") == 3
    assert "two.png" not in text
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img") == 3
    for target in re.findall(r'href="(.*?)"', page):
        assert target == "data:," or (tmp_path / target).is_file()


@pytest.mark.parametrize(("count", "said"), [(1, "1 claim examined:"), (2, "2 claims examined:")])
def test_the_overview_counts(tmp_path, count, said):
    for name in ("noise", "zero-one")[:count]:
        write_finding(tmp_path / name, ABOUT, claim(name), finding())
    write_overview(tmp_path, CLAIMS)
    assert said in (tmp_path / "report.md").read_text()


def test_an_overview_of_nothing(tmp_path):
    with pytest.raises(UserError, match="no claim in"):
        write_overview(tmp_path, CLAIMS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "sure"}, "'sure' is no verdict"),
        ({"verdict": None}, "verdict should be str"),
        ({"pictures": [{"name": "../../secret.png", "alt": ""}]}, "no plain file name"),
        ({"pictures": [{}]}, "name"),
        ({"measures": [1]}, r"measures\[0\] should be dict"),
        ({"tables": [{"columns": []}]}, "rows"),
        ({"about": None}, "about should be dict"),
    ],
)
def test_bad_claims(written, change, message):
    path = written / "claim.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message) as caught:
        write_reports([written])
    assert "\n" not in str(caught.value)


def test_missing_files_of_a_claim(written):
    (written / "one.png").unlink()
    with pytest.raises(UserError, match=r"cannot read .*one\.png"):
        write_reports([written])
    (written / "claim.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read .*claim\.json"):
        write_reports([written])
    (written / "claim.json").unlink()
    with pytest.raises(UserError, match="no claim in"):
        read_claim(written)


def test_a_picture_may_not_leave_its_directory(tmp_path):
    outside = finding(pictures=(ClaimFigure("../x.png", b"", ""),))
    with pytest.raises(UserError, match="no plain file name"):
        write_finding(tmp_path / "claim", ABOUT, claim(), outside)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (-1.234, "−1.23"),
        (74.123, "74.1"),
        (123456.7, "123,457"),
        (-1500.0, "−1,500"),
        (1e-7, "1.0e-7"),
        (-2.5e-7, "−2.5e-7"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_several_on_one_page(written, experiment, tmp_path):
    other = written.parent / "zero-one"
    write_finding(other, ABOUT, claim("zero-one"), finding("does not hold"))
    output = tmp_path / "all of them"
    paths = write_reports([written, experiment, other], output)
    assert paths[:2] == [output / "report.html", output / "report.md"]
    assert all(path.is_file() for path in paths)
    assert len(paths) == 8
    text = (output / "report.md").read_text()
    assert text.index("1 holds, 1 does not hold") < text.index("## noise: Does it matter?")
    assert text.index("## noise") < text.index("## tiny") < text.index("## zero-one")
    linked = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(linked) >= 6
    assert [link for link in linked if not (output / link).is_file()] == []
    page = (output / "report.html").read_text()
    for target in re.findall(r'href="#(.*?)"', page):
        assert f'id="{target}"' in page
        assert f'<a id="{target}">' in text
    assert len(page) < 3_000_000


def test_several_go_to_the_working_directory(written, experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_reports([written, experiment])
    assert (tmp_path / "report.html").is_file()
    assert "](evidence/noise/one.png)" in (tmp_path / "report.md").read_text()


def test_directories_that_are_neither(tmp_path, written):
    (tmp_path / "empty").mkdir()
    before = (written / "report.html").stat().st_mtime_ns
    with pytest.raises(UserError, match=r"empty holds neither experiment\.json nor claim\.json"):
        write_reports([written, tmp_path / "empty"])
    assert (written / "report.html").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="is no directory"):
        write_reports([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="named once"):
        write_reports([written, written / ".." / "noise"])
    with pytest.raises(UserError, match="report of its own"):
        write_reports([written], written)
    with pytest.raises(UserError, match="nothing to report"):
        write_reports([])
