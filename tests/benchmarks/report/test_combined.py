import re

import pytest

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.report import combined
from lossbench.benchmarks.report.claims import write_finding
from lossbench.benchmarks.report.combined import write_reports

from .test_claims import ABOUT, claim, finding


@pytest.fixture
def claims(tmp_path):
    """Two claims."""
    for name, verdict in (("noise", "holds"), ("zero-one", "does not hold")):
        write_finding(tmp_path / "evidence" / name, ABOUT, claim(name), finding(verdict))
    return [tmp_path / "evidence" / "noise", tmp_path / "evidence" / "zero-one"]


def test_one_report_is_written_in_its_place(claims, experiment):
    directory = claims[0]
    assert write_reports([directory]) == [directory / "report.html", directory / "report.md"]
    assert write_reports([experiment]) == [experiment / "report.html", experiment / "summary.md"]


def test_several_on_one_page(claims, experiment, tmp_path):
    output = tmp_path / "all of them"
    paths = write_reports([claims[0], experiment, claims[1]], output)
    assert paths[:2] == [output / "report.html", output / "report.md"]
    assert all(path.is_file() for path in paths)
    assert len(paths) == 8
    text = (output / "report.md").read_text()
    assert text.index("1 holds, 1 does not hold") < text.index("## noise: Does it matter?")
    (tiny,) = re.findall(r"^## .*from a normal start \(tiny\)$", text, re.MULTILINE)
    assert text.index("## noise") < text.index(tiny) < text.index("## zero-one")
    assert text.startswith("# 2 claims and 1 comparison\n")
    linked = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(linked) >= 6
    assert [link for link in linked if not (output / link).is_file()] == []
    page = (output / "report.html").read_text()
    for target in re.findall(r'href="#(.*?)"', page):
        assert f'id="{target}"' in page
        assert f'<a id="{target}">' in text
    assert page.count("<h1>") == 1


def test_a_comparison_that_is_known_is_not_made_again(claims, experiment, tmp_path, monkeypatch):
    made = combined.write_comparison(experiment)
    write_reports([claims[0], experiment], tmp_path / "read")
    monkeypatch.delattr(combined, "write_comparison")
    write_reports([claims[0], experiment], tmp_path / "kept", {experiment: made})
    for name in ("report.html", "report.md"):
        assert (tmp_path / "kept" / name).read_text() == (tmp_path / "read" / name).read_text()


def test_the_combined_page_is_written_to_the_working_directory(claims, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_reports(claims)
    assert (tmp_path / "report.html").is_file()
    assert "](evidence/noise/one.png)" in (tmp_path / "report.md").read_text()
    assert "SYNTHETIC" not in (tmp_path / "report.md").read_text()


def test_one_synthetic_report_makes_the_page_synthetic(claims, tmp_path):
    write_finding(tmp_path / "drawn", ABOUT | {"synthetic": True}, claim("drawn"), finding())
    write_reports([claims[0], tmp_path / "drawn"], tmp_path)
    assert (tmp_path / "report.md").read_text().startswith("# SYNTHETIC IMAGES: ")


def test_directories_that_cannot_be_reported(claims, tmp_path):
    (tmp_path / "empty").mkdir()
    before = (claims[0] / "report.html").stat().st_mtime_ns
    for directories, output, message in (
        ([claims[0], tmp_path / "empty"], None, r"empty holds neither experiment\.json nor claim"),
        ([tmp_path / "nowhere"], None, "is no directory"),
        ([claims[0], claims[0] / ".." / "noise"], None, "name each directory once"),
        ([], None, "nothing to report"),
    ):
        with pytest.raises(UserError, match=message):
            write_reports(directories, output)
    assert (claims[0] / "report.html").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="report of its own"):
        write_reports([claims[0]], claims[0])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_reports([claims[0]], tmp_path / "file" / "below")
