"""What users of torch complain of: ours is right, and the page says of torch what torch does."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lossbench import losses
from lossbench.benchmarks.curves.torch_issues import case, section
from lossbench.benchmarks.curves.torch_issues.case import Outcome, TorchIssue
from lossbench.benchmarks.curves.torch_issues.derivatives import COMPILED

README = (Path(losses.__file__).parent / "README.md").read_text(encoding="utf-8")
PAGE = README[README.index(section.TITLE) :]
NOTHING = case.Losses()


def each(issues: Iterable[TorchIssue]) -> Any:
    """Run a test for every issue; those that are compiled take seconds."""
    return pytest.mark.parametrize(
        "issue",
        [
            pytest.param(
                issue,
                id=str(issue.issues[0]),
                marks=pytest.mark.slow if issue in COMPILED else (),
            )
            for issue in issues
        ],
    )


def lines() -> list[list[str]]:
    """The cells of the table on the page, its head first."""
    table = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in (table[0], *table[2:])]


@each(section.ALL)
def test_ours_is_right(issue: TorchIssue) -> None:
    found = case.outcome(issue, case.our_losses())
    assert case.is_right(issue, found), f"{found}, not {issue.truth()}"


@each(issue for issue in section.ALL if issue not in COMPILED)
@pytest.mark.slow
@pytest.mark.usefixtures("switched_on")
def test_our_kernels_are_right(issue: TorchIssue) -> None:
    found = case.outcome(issue, case.our_losses())
    assert case.is_right(issue, found), f"{found}, not {issue.truth()}"


@each(section.ALL)
def test_its_row_on_the_page_is_measured(issue: TorchIssue) -> None:
    measured = section.row(issue, case.torch_losses(), case.our_losses())
    row = next((row for row in lines() if row[0] == issue.symptom), None)
    assert row, "run: uv run lossbench catalogue"
    if lines()[0][2] != f"torch {section.torch_version()}":
        del row[2], measured[2]
    assert row == measured, "run: uv run lossbench catalogue"


def test_the_page_lists_every_issue_and_no_other() -> None:
    assert [row[0] for row in lines()[1:]] == [issue.symptom for issue in section.ALL]
    assert len(section.ALL) >= 25
    issues = [(c.repository, number) for c in section.ALL for number in c.issues]
    assert len(set(issues)) == len(issues)
    linked = re.findall(r"https://github.com/([^/]+/[^/]+)/issues/(\d+)", PAGE)
    assert linked == [(repository, str(number)) for repository, number in issues]


def test_ours_is_nowhere_bold_and_torch_somewhere() -> None:
    assert not any("**" in row[3] for row in lines())
    assert any("**" in row[2] for row in lines())


def made(run: Any, *truth: float) -> TorchIssue:
    return TorchIssue((1,), "made up", run, lambda: truth)


def numbers(*values: float) -> Any:
    return lambda _: torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("values", "right"),
    [
        ((1.0, 0.0, float("inf"), float("nan")), True),
        ((1 + 1e-7, -0.0, float("inf"), float("nan")), True),
        ((1 + 1e-5, 0.0, float("inf"), float("nan")), False),
        ((1.0, 1e-30, float("inf"), float("nan")), False),
        ((1.0, 0.0, 1e300, float("nan")), False),
        ((1.0, 0.0, -float("inf"), float("nan")), False),
        ((1.0, 0.0, float("inf"), 0.0), False),
        ((float("nan"), 0.0, float("inf"), float("nan")), False),
        ((1.0, 0.0, float("inf")), False),
    ],
)
def test_only_the_truth_is_right(values: tuple[float, ...], right: bool) -> None:
    issue = made(numbers(*values), 1.0, 0.0, float("inf"), float("nan"))
    assert case.is_right(issue, case.outcome(issue, NOTHING)) is right


def test_an_error_is_an_outcome_by_its_name() -> None:
    def run(_: Any) -> Tensor:
        raise IndexError("Target -100 is out of bounds.")

    found = case.outcome(made(run, 1.0), NOTHING)
    assert found == Outcome((), "IndexError")
    assert not case.is_right(made(run, 1.0), found)
    assert case.text(found) == "IndexError"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1 / 3, "0.333"),
        (5.55e-17, "5.55e-17"),
        (4e-6, "4e-6"),
        (1e12, "1e12"),
        (float("nan"), "NaN"),
        (-float("inf"), "-inf"),
    ],
)
def test_a_number_has_three_digits(value: float, text: str) -> None:
    assert case.text(Outcome((value, 1.0))) == f"{text}, 1"


def test_a_cell_says_wrong_fixed_or_nothing() -> None:
    wrong, right = made(numbers(2.0), 1.0), made(numbers(1.0), 1.0)
    defined = replace(right, as_defined=True, repository="pytorch/vision")
    link = "[#1](https://github.com/pytorch/pytorch/issues/1)"
    assert section.row(wrong, NOTHING, NOTHING) == ["made up", link, "**2**", "**2**"]
    assert section.row(right, NOTHING, NOTHING) == ["made up", link, "fixed: 1", "1"]
    link = "[vision #1](https://github.com/pytorch/vision/issues/1)"
    assert section.row(defined, NOTHING, NOTHING) == ["made up", link, "1", "1"]
