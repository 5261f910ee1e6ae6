import pytest

from lossbench.benchmarks.plots.svg import Chart
from lossbench.benchmarks.records.reading import read_experiment
from lossbench.benchmarks.report.document import (
    BulletList,
    Callout,
    Code,
    DefinitionList,
    Heading,
    Image,
    Paragraph,
    Table,
)
from lossbench.benchmarks.report.figures import Drawn
from lossbench.benchmarks.report.page import (
    comparison_document,
    provenance,
    sentence,
    uncertainty_table,
    verdicts,
)
from lossbench.benchmarks.report.render import markdown
from lossbench.benchmarks.report.summary import summarise_experiment

FIGURES = {
    name: Drawn(name.encode(), (Chart("title", "<svg></svg>"),))
    for name in ("comparison.png", "differences.png", "closed_forms.png")
}


@pytest.fixture
def read(experiment):
    found = read_experiment(experiment)
    return found, summarise_experiment(found)


def of_type(kind, document):
    return [block for block in document.blocks if isinstance(block, kind)]


def test_the_order_of_the_page(read):
    document = comparison_document(*read, FIGURES)
    assert (
        document.title
        == "cross-entropy and mse compared on dog and cat, from a normal start (tiny)"
    )
    assert [image.path for image in of_type(Image, document)] == [
        *list(FIGURES)[:2],
        "",
        *list(FIGURES)[2:],
    ]
    assert [len(table.columns) for table in of_type(Table, document)] == [9, 10]
    kinds = [type(block) for block in document.blocks]
    first = [kinds.index(kind) for kind in (Image, Callout, Table, DefinitionList)]
    assert first == sorted(first)
    # A sentence of what was done, one of what was found, and the figure.
    assert kinds[:3] == [Paragraph, Paragraph, Image]
    assert "one line per loss" in of_type(Image, document)[0].alt.lower()
    assert of_type(Image, document)[0].charts == FIGURES["comparison.png"].charts
    few = comparison_document(*read, {"comparison.png": FIGURES["comparison.png"]})
    assert [image.path for image in of_type(Image, few)] == ["comparison.png", ""]
    read[1]["start"] = "confidently-wrong"
    wrong = of_type(Table, comparison_document(*read, FIGURES))
    assert [len(table.columns) for table in wrong] == [3, 9, 10]
    assert len(of_type(Heading, few)) == len(of_type(Heading, document)) - 1


@pytest.mark.parametrize(
    ("classes", "target"), [(["dog", "owl"], "an owl"), (["a", "b", "c"], "the class in question")]
)
def test_the_loss_functions_are_for_one_class(read, classes, target):
    read[1]["classes"] = classes
    texts = [block.text for block in of_type(Paragraph, comparison_document(*read, FIGURES))]
    assert any(f"an example of {target} (t = 1)" in text for text in texts)


def test_synthetic_pages_say_so_first(read):
    read[1].update(synthetic=True, note="SYNTHETIC IMAGES: no photographs")
    document = comparison_document(*read, FIGURES)
    first, _, second = markdown(document).splitlines()[:3]
    assert first.startswith("# SYNTHETIC IMAGES: cross-entropy and mse compared")
    assert second == "**SYNTHETIC IMAGES: no photographs**"
    results, uncertainty = of_type(Table, document)
    assert (results.warning, uncertainty.warning) == ("SYNTHETIC IMAGES", None)
    assert "SYNTHETIC test images" in sentence(read[1])


def difference(mean, verdict):
    return {
        "mean": mean,
        "low": mean - 0.01,
        "high": mean + 0.01,
        "low_90": mean - 0.008,
        "high_90": mean + 0.008,
        "n": 3,
        "images": 20,
        "image_share": 0.256,
        "p": 0.0004,
        "p_holm": 0.012,
        "verdict": verdict,
        "seeds_needed": 14 if verdict == "undecided" else None,
        "images_needed": None,
    }


def test_the_verdicts_and_the_numbers_behind_them(read):
    losses = read[1]["losses"]
    for name, mean, verdict in (
        ("mse", 0.02, "better"),
        ("bce", 0.03, "better"),
        ("zero-one", -0.2, "worse"),
        ("nll", 0.015, "undecided"),
        ("bernoulli-sum", 0.001, "equivalent"),
    ):
        losses[name] = losses["cross-entropy"] | {"minus_cross_entropy": difference(mean, verdict)}
    read[1]["identities"] = {"softmax-mse": {"of": "sigmoid-mse", "factor": 4.0}}
    *blocks, same, over = verdicts(read[1])
    better, worse, equivalent, undecided = blocks
    assert [b.verdict for b in blocks] == ["better", "worse", "equivalent", "undecided"]
    assert better.text == "bce (+3.0 ± 1.0), mse (+2.0 ± 1.0)."
    assert "cross-entropy" in better.lead
    assert worse.text == "zero-one (−20.0 ± 1.0)."
    assert equivalent.text == "bernoulli-sum (+0.1 ± 1.0)."
    assert "within 2 points" in equivalent.lead
    assert undecided.text == "nll (+1.5 ± 1.0; better before correction; would decide: 14 seeds)."
    assert "softmax-mse (same gradient as sigmoid-mse, × 4)" in same.text
    assert "3 seeds and 20 test images" in over.text
    table = uncertainty_table(read[1])
    assert [row[0] for row in table.rows] == [
        *("bce", "mse", "nll", "bernoulli-sum", "zero-one"),
    ]
    assert table.rows[0][1:] == (
        *("+3.0", "+2.0 to +4.0", "+2.2 to +3.8", "< 0.001", "0.012", "26", "3", "better", "–"),
    )
    assert table.rows[2][-2:] == ("better before correction", "14 seeds")
    losses["bce"]["minus_cross_entropy"].update(p=None, low=None, image_share=None)
    assert uncertainty_table(read[1]).rows[0][2:7] == ("–", "+2.2 to +3.8", "–", "0.012", "–")


def test_nothing_is_tested_without_cross_entropy_or_with_few_seeds(read):
    summary = read[1]
    assert "would decide: 3 seeds or more" in verdicts(summary)[2].text
    assert verdicts(summary)[0].text == "none."
    mse = summary["losses"]["mse"] | {"minus_cross_entropy": None}
    (alone,) = verdicts(summary | {"losses": {"mse": mse}})
    assert "single loss" in alone.text
    (without,) = verdicts(summary | {"losses": {"mse": mse, "bce": mse}})
    assert "Without cross-entropy" in without.text
    document = comparison_document(read[0], summary | {"losses": {"mse": mse}}, {})
    assert len(of_type(Table, document)) == 1


def test_warnings_are_a_list(read):
    assert of_type(BulletList, comparison_document(*read, FIGURES)) == []
    read[1]["warnings"] = ["zero-one has vanished"]
    (warnings,) = of_type(BulletList, comparison_document(*read, FIGURES))
    assert warnings.items == ("zero-one has vanished",)


def test_the_sentence_is_made_of_the_numbers(read):
    losses = read[1]["losses"]
    text = sentence(read[1])
    assert "After 2 epochs from a normal start, over 2 seeds," in text
    assert "from 60.0 % (mse) to 75.0 % (cross-entropy), where chance is 60.0 %." in text
    losses["mse"]["gradient"]["logit_when_wrong"]["last"] = 1e-4
    losses["cross-entropy"]["gradient"]["logit_when_wrong"]["last"] = 0.5
    assert sentence(read[1]).endswith("from 1.0e-4 (mse) to 0.500 (cross-entropy).")
    losses["nll"] = losses["cross-entropy"]
    assert "75.0 % (cross-entropy, nll)" in sentence(read[1])
    alike = dict.fromkeys(("cross-entropy", "nll"), losses["nll"])
    text = sentence(read[1] | {"losses": alike})
    assert "every loss is right on 75.0 % of test images, where chance" in text
    assert text.endswith(" at the end is 0.500.")
    summary = read[1] | {"epochs": 1, "seeds": [0], "chance": None}
    single = sentence(summary | {"losses": {"mse": losses["mse"]}})
    assert single.startswith("After 1 epoch from a normal start, over 1 seed, mse is right on 60.0")
    assert "chance" not in single
    losses["mse"]["test_accuracy"]["mean"] = None
    assert "no run ended" in sentence(summary | {"losses": {"mse": losses["mse"]}})


def test_the_page_says_where_the_learning_rates_come_from(read):
    found = read[0]
    found.about["learning_rates_from"] = "one for every loss"
    found.about["config"]["learning_rates"] = {"mse": 0.1}
    items = dict(provenance(found))
    assert items["learning rates"] == "one for every loss: mse 0.1"
    assert items["validation images"] == "4 (2 dog, 2 cat)"
    assert items["model"] == "convnet, 1,234 parameters"
    found.about["config"]["learning_rates"] = {"cross-entropy": 0.1, "mse": 0.03}
    assert dict(provenance(found))["learning rates"].endswith(": cross-entropy 0.1, mse 0.03")
    assert "learning_rate" not in items["configuration"]


def test_a_minimal_experiment_still_makes_a_page(read):
    for key in ("data", "model", "versions", "hardware", "command", "date", "git"):
        del read[0].about[key]
    document = comparison_document(*read, FIGURES)
    assert of_type(DefinitionList, document)
    assert not of_type(Code, document)
