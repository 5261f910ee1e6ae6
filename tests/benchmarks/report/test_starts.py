import json
import re

import pytest

from lossbench.benchmarks.report.combined import write_reports
from lossbench.benchmarks.report.comparison import write_comparison
from lossbench.benchmarks.report.document import MARKS
from lossbench.benchmarks.report.starts import differ_in_start, starts_table

from ..written_experiments import describe, evaluations, write_experiment

STARTS = {"normal": (0.8, 0.7, 0.5), "confidently-wrong": (0.7, 0.5, 1e-4)}
"""Per start: accuracy of cross-entropy and of zero-one, first gradient of zero-one."""


@pytest.fixture
def both(tmp_path):
    """Two comparisons of the same losses, from both starts, in one directory."""
    identities = {"bernoulli-sum": {"of": "cross-entropy", "factor": 2.0, "difference": 0.0}}
    losses = ["cross-entropy", "zero-one", "bernoulli-sum"]
    (tmp_path / "both").mkdir()
    for start, (good, bad, gradient) in STARTS.items():
        about = describe(start, losses=losses, start=start) | {"identities": identities}
        rows = evaluations("bernoulli-sum", 0, [0.5, 0.6, good])
        for seed in (0, 1):
            rows += evaluations("cross-entropy", seed, [0.5, 0.6, good], logit_when_wrong=[0.9] * 3)
            tiny = [gradient] * 3
            rows += evaluations("zero-one", seed, [0.5, 0.5, bad], logit_when_wrong=tiny)
        write_experiment(tmp_path / "both" / start, about, rows)
    return [tmp_path / "both" / start for start in STARTS]


def test_the_page_begins_with_the_start_that_shows_most(both):
    write_reports(both, both[0].parent)
    text = (both[0].parent / "report.md").read_text()
    title, was_done, was_found, picture = [line for line in text.splitlines() if line][:4]
    assert title == (
        "# cross-entropy, zero-one and bernoulli-sum compared on dog and cat, from a normal start "
        "and a confidently wrong start"
    )
    assert "from weights that make it sure of the wrong class and from random weights." in was_done
    assert was_found.startswith("From a confidently wrong start, cross-entropy ends with 70.0")
    assert "0.0001 with zero-one" in was_found
    assert picture.endswith("](confidently-wrong/comparison.png)")
    page = (both[0].parent / "report.html").read_text()
    assert page.index("<svg") < page.index("<table")
    assert "<img" not in page


def test_all_starts_are_in_one_table(both):
    summaries = [write_comparison(path).summary for path in reversed(both)]
    table = starts_table(summaries)
    assert table.rows == (
        ("cross-entropy", "0.900", "70.0 ± 0.0", "", "0.900", "80.0 ± 0.0", ""),
        ("zero-one", "1.0e-4", "50.0 ± 0.0", "undecided", "0.500", "70.0 ± 0.0", "undecided"),
    )
    same = "same gradient as cross-entropy, × 2"
    assert table.foot == (("bernoulli-sum", "", "70.0", same, "", "80.0", same),)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "changes"), [("data", {"fingerprint": "another"}), ("config", {"start": "normal"})]
)
def test_comparisons_that_differ_in_more_have_no_common_lead(both, part, changes):
    path = both[1] / "experiment.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about | {part: about[part] | changes}))
    assert not differ_in_start([write_comparison(path) for path in both])
    write_reports(both, both[0].parent)
    assert (both[0].parent / "report.md").read_text().startswith("# 2 comparisons\n")


def test_no_verdict_has_the_sign_of_a_marker():
    # As the markers of losses look in a text: circle, square, diamond, triangles, crosses, stars.
    shapes = "●○■□◆◇▲△▼▽◀◁▶▷✖✕×+✚★☆⬟⬢⯃"
    assert not set("".join(MARKS.values())) & set(shapes)


def test_wherever_an_identity_is_named_it_says_of_which_loss(both):
    document = write_comparison(both[0])
    text = (both[0] / "summary.md").read_text()
    named = re.findall(r"bernoulli-sum(?: \(| \| .*?)same gradient as cross-entropy, × 2", text)
    assert len(named) == 2
    assert document.summary["identities"]["bernoulli-sum"]["factor"] == 2
