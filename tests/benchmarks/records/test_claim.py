import json

import pytest

from lossbench.benchmarks.records.claim import (
    FILE,
    Finding,
    Measure,
    Statement,
    read_claim,
    verdict_of,
    write_claim,
)

STATEMENT = Statement("noise", "question", "claim", "refuted", "procedure", "source")


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["undecided", "does not hold"], "does not hold"),
        ([], "undecided"),
    ],
)
def test_a_claim_holds_if_all_its_numbers_do(verdicts, together):
    measures = [Measure("x", 1.0, None, None, "below 2", verdict) for verdict in verdicts]
    assert verdict_of(measures) == together


def test_a_directory_that_cannot_be_made_is_refused(tmp_path, refusal):
    finding = Finding("holds", "It holds.", (), (), ())
    (tmp_path / "file").touch()
    refusal(lambda: write_claim(tmp_path / "file", {}, STATEMENT, finding), "cannot write")


def test_a_record_that_lacks_something_is_refused(tmp_path, refusal):
    write_claim(tmp_path, {}, STATEMENT, Finding("holds", "It holds.", (), (), ()))
    record = read_claim(tmp_path)
    for change, words in (
        ({"sentence": None}, "sentence"),
        ({"about": {"data": [1]}}, "about.data"),
    ):
        (tmp_path / FILE).write_text(json.dumps(record | change))
        refusal(lambda: read_claim(tmp_path), words, "examine the claim again")
    del record["question"]
    (tmp_path / FILE).write_text(json.dumps(record))
    refusal(lambda: read_claim(tmp_path), "it has no question")
