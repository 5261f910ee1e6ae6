import pytest
from lossbench.benchmarks.report.facts import data_facts, split

from lossbench.benchmarks.format import duration
from lossbench.benchmarks.records.reading import WarningRecord, read_experiment
from lossbench.benchmarks.report.document import (
    Bullets,
    Facts,
    Picture,
    Table,
    Verdict,
    html,
    markdown,
)
from lossbench.benchmarks.report.page import document_of, evidence_table, facts, sentence, verdicts
from lossbench.benchmarks.report.summary import summarise_experiment

EVIL = "<script>alert('x')</script>"
PICTURES = {"differences.png": b"zero", "comparison.png": b"one", "closed_forms.png": b"two"}


@pytest.fixture
def read(experiment):
    found = read_experiment(experiment)
    return found, summarise_experiment(found)


def test_the_order_of_the_page(read):
    for text in (html(document_of(*read, PICTURES)), markdown(document_of(*read, PICTURES))):
        marks = ["tiny", "Undecided", "After 2 epochs", "intervals.", "test accuracy, %"]
        marks += ["How sure that is", "The losses themselves", "How it was measured"]
        marks += ["f1n9e5", "abacus", "lossbench compare"]
        places = [text.rindex(mark) if mark == "tiny" else text.index(mark) for mark in marks]
        assert places[1:] == sorted(places[1:])


def test_pictures_that_are_not_there_are_left_out(read):
    blocks = document_of(*read, {"comparison.png": b"one"}).blocks
    assert [block.path for block in blocks if isinstance(block, Picture)] == ["comparison.png"]
    shown = [
        block.path for block in document_of(*read, PICTURES).blocks if isinstance(block, Picture)
    ]
    assert shown == list(PICTURES)


def test_whatever_a_user_names_is_escaped(tmp_path, describe, evaluations, write_experiment):
    about = describe(name=EVIL, losses=[EVIL], seeds=[0], note=EVIL)
    about["command"] = about["git"] = about["date"] = EVIL
    about["data"] |= {"name": EVIL, "description": EVIL, "fingerprint": EVIL, "skipped": [EVIL]}
    about["data"]["classes"] = [EVIL, EVIL]
    about["model"]["name"] = about["hardware"]["processor"] = about["versions"]["torch"] = EVIL
    rows = evaluations(EVIL, 0, [0.5, 0.6, 0.7])
    found = read_experiment(write_experiment(tmp_path / "e", about, rows))
    document = document_of(found, summarise_experiment(found), PICTURES)
    page = html(document)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 15
    # In Markdown a tag may stand only where it is shown as it is: in the indented command.
    lines = markdown(document).splitlines()
    assert [line for line in lines if "<script" in line.replace(r"\<", "")] == ["    " + EVIL]


def test_synthetic_pages_say_so_first(read):
    found, summary = read
    summary |= {"synthetic": True, "note": "SYNTHETIC IMAGES: no photographs"}
    document = document_of(found, summary, PICTURES)
    assert document.title.startswith("SYNTHETIC IMAGES")
    first, _, second = markdown(document).splitlines()[:3]
    assert first.startswith("# SYNTHETIC IMAGES")
    assert second == "**SYNTHETIC IMAGES: no photographs**"
    (numbers,) = (block for block in document.blocks if isinstance(block, Table) and block.title)
    assert numbers.title == "SYNTHETIC IMAGES"


def difference(mean, verdict, n=3):
    return {
        "mean": mean,
        "low": mean - 0.01,
        "high": mean + 0.01,
        "n": n,
        "p": 0.0004,
        "p_holm": 0.012,
        "detectable": 0.015,
        "examples": {"mean": mean, "low": mean - 0.02, "high": mean + 0.02, "n": 20},
        "verdict": verdict,
    }


def test_the_verdict_says_who_is_better_and_who_worse(read):
    losses = read[1]["losses"]
    for name, mean, verdict in (
        ("mse", 0.02, "better"),
        ("bce", 0.03, "better"),
        ("zero-one", -0.2, "worse"),
        ("nll", 0.001, "undecided"),
    ):
        losses[name] = losses["cross-entropy"] | {"minus_cross_entropy": difference(mean, verdict)}
    better, worse, undecided, over = verdicts(read[1])
    assert better == Verdict(
        "better", "bce (+3.0 ± 1.0), mse (+2.0 ± 1.0).", "Better than cross-entropy:"
    )
    assert worse.text == "zero-one (−20.0 ± 1.0)."
    assert undecided.text.startswith("nll (+0.1 ± 1.0). With 3 seeds, a difference of 1.5 points")
    assert "3 seeds and 20 test images" in over.text
    table = evidence_table(read[1])
    assert [row[0] for row in table.rows] == ["bce", "mse", "nll", "zero-one"]
    assert table.rows[0][1:] == (
        *("+3.0", "+2.0 to +4.0", "+1.0 to +5.0", "< 0.001", "0.012", "1.5", "3", "better"),
    )


def test_nothing_is_judged_without_cross_entropy_or_with_few_seeds(read):
    summary = read[1]
    assert "With fewer than 3 seeds nothing is decided." in verdicts(summary)[2].text
    mse = summary["losses"]["mse"] | {"minus_cross_entropy": None}
    (alone,) = verdicts(summary | {"losses": {"mse": mse}})
    assert "single loss" in alone.text
    (without,) = verdicts(summary | {"losses": {"mse": mse, "bce": mse}})
    assert "Without cross-entropy" in without.text


def test_warnings_have_their_place(read):
    found, summary = read
    assert "Warnings" not in html(document_of(found, summary, PICTURES))
    warned = WarningRecord("zero-one", 0, "vanished", "logit", 10, "zero-one has vanished")
    summary["warnings"] = [warned.text]
    blocks = document_of(found, summary, PICTURES).blocks
    assert [block.items for block in blocks if isinstance(block, Bullets)] == [(warned.text,)]


def test_the_sentence_is_made_of_the_numbers(read):
    assert sentence(read[1]) == (
        "After 2 epochs from a normal start, over 2 seeds, accuracy on test images ranges from "
        "60.0 % (mse) to 75.0 % (cross-entropy), where chance is 60.0 %."
    )


def test_the_sentence_names_the_gradients(read):
    losses = read[1]["losses"]
    losses["mse"]["gradient"]["logit_when_wrong"]["last"] = 1e-4
    losses["cross-entropy"]["gradient"]["logit_when_wrong"]["last"] = 0.5
    assert sentence(read[1]).endswith(
        ", and the mean |dL/dz| of wrongly classified examples at the end from 1.0e-4 (mse) to "
        "0.500 (cross-entropy)."
    )


def test_the_sentence_names_all_of_equals(read):
    losses = read[1]["losses"]
    losses["nll"] = losses["cross-entropy"]
    assert "75.0 % (cross-entropy, nll)" in sentence(read[1])


def test_the_sentence_of_a_single_loss(read):
    summary = read[1] | {"epochs": 1, "seeds": [0], "chance": None}
    summary["losses"] = {"mse": summary["losses"]["mse"]}
    expected = (
        "After 1 epoch from a normal start, over 1 seed, mse is right on 60.0 % of test images."
    )
    assert sentence(summary) == expected


def test_whether_it_was_tuned_and_how(read):
    found, _ = read
    lines = dict(facts(found))
    assert lines["learning rates"] == "not tuned: 0.1 for every loss"
    assert lines["validation images"] == "4 (2 dog, 2 cat)"
    found.about["config"] |= {"tuned": True, "learning_rates": {"cross-entropy": 0.1, "mse": 0.03}}
    lines = dict(facts(found))
    assert lines["learning rates"].startswith("tuned")
    assert lines["learning rates"].endswith("cross-entropy 0.1, mse 0.03")
    assert "learning_rate " not in lines["configuration"]


def test_images_are_counted_by_class():
    assert split(0, [0, 0], ["dog", "cat"]) == "none"
    assert split(3000, [1000, 2000], ["dog", "cat"]) == "3,000 (1,000 dog, 2,000 cat)"
    assert split(30, [10, 10, 10], ["a", "b", "c"]) == "30 (10 of each class)"
    assert split(33, [10, 11, 12], ["a", "b", "c"]) == "33 (10 to 12 of each class)"
    assert split(33, [], []) == "33"
    classes = dict(data_facts({"classes": ["a", "b", "c"]}))["classes"]
    assert classes == "3: a, b, c"
    assert dict(data_facts({"classes": list(map(str, range(37)))}))["classes"] == "37"


def test_long_lists_of_skipped_files_are_cut():
    lines = dict(data_facts({"skipped": [f"{i}.jpg" for i in range(25)]}))
    assert lines["files skipped"].startswith("25: 0.jpg, 1.jpg")
    assert lines["files skipped"].endswith("19.jpg and 5 more")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (4, "4 s"), (59.6, "1 min 0 s"), (75, "1 min 15 s"), (3723, "1 h 2 min")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_a_bare_description_still_makes_a_page(read):
    found, summary = read
    for key in ("data", "model", "versions", "hardware", "command", "date", "git"):
        del found.about[key]
    blocks = document_of(found, summary, PICTURES).blocks
    assert any(isinstance(block, Facts) for block in blocks)
