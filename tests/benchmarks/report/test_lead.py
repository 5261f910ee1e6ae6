import pytest

from lossbench.benchmarks.records.reading import read_experiment
from lossbench.benchmarks.report.differences import verdict_words
from lossbench.benchmarks.report.lead import done, found, listed, what_was_compared
from lossbench.benchmarks.report.summary import summarise_experiment

NBSP = "\N{NO-BREAK SPACE}"


@pytest.fixture
def read(experiment):
    about = read_experiment(experiment)
    return about, summarise_experiment(about)


def loss(accuracy, verdict=None, first=0.5, mean=-0.1):
    difference = None if verdict is None else {"mean": mean, "verdict": verdict}
    return {
        "test_accuracy": {"mean": accuracy},
        "gradient": {"logit_when_wrong": {"first": first}},
        "minus_cross_entropy": difference,
    }


def summary(**losses):
    return {
        "start": "confidently-wrong",
        "synthetic": False,
        "losses": {name.replace("_", "-"): each for name, each in losses.items()},
    }


def test_the_title_names_few_losses_and_counts_many(read):
    own = read[1]
    assert what_was_compared(own) == "cross-entropy and mse compared on dog and cat"
    many = own | {"losses": dict.fromkeys("abc"), "identities": {"d": {}}, "classes": ["x"] * 37}
    assert what_was_compared(many) == "4 losses compared on 37 classes"
    alone = own | {"losses": {"mse": {}}, "classes": []}
    assert what_was_compared(alone) == "mse trained"


def test_what_was_done_is_one_sentence(read):
    both = [read[1], read[1] | {"start": "confidently-wrong"}]
    assert done(read[0], both) == (
        "The network convnet (1,234 parameters) was trained to tell dog and cat apart on 30 images "
        "of made-up, for 2 epochs with each of 2 losses, 2 seeds, starting from random weights and "
        "from weights that make it sure of the wrong class."
    )
    assert "10 classes" in done(read[0], [read[1] | {"classes": list("abcdefghij")}])
    assert "tell a, b and c apart" in done(read[0], [read[1] | {"classes": list("abc")}])
    assert "SYNTHETIC images" in done(read[0], [read[1] | {"synthetic": True}])


def test_what_was_found_names_what_is_worse_and_whose_gradient_was_gone():
    text = found(
        summary(
            cross_entropy=loss(0.644, first=0.9998),
            zero_one=loss(0.5, "worse", first=0, mean=-0.144),
            mse=loss(0.608, "worse", first=18.2, mean=-0.036),
            sigmoid_mse=loss(0.628, "undecided", first=3.1e-4),
            probability_sum=loss(0.5, "worse", first=3.12e-4, mean=-0.145),
        )
    )
    assert text.replace(NBSP, " ") == (
        "From a confidently wrong start, cross-entropy ends with 64.4 % of the test images right; "
        "worse are probability-sum (50.0 %), zero-one (50.0 %) and mse (60.8 %); at first the "
        "gradient of wrong predictions is 1.00 with cross-entropy, but 0 with zero-one and "
        "0.00031 with sigmoid-mse and probability-sum."
    )


def test_without_a_difference_the_sentence_says_so():
    text = found(summary(cross_entropy=loss(0.7), mse=loss(0.71, "undecided")))
    assert text.endswith("right; no other loss is shown to be better or worse.")
    assert found(summary(mse=loss(0.7))) is None
    assert found(summary(cross_entropy=loss(0.7))) is None
    better = found(summary(cross_entropy=loss(0.7), mse=loss(0.8, "better")))
    assert "; better are mse (80.0" in better


@pytest.mark.parametrize(
    ("low", "high", "n", "verdict", "words"),
    [
        (0.01, 0.03, 5, "undecided", "better before correction"),
        (-0.03, -0.01, 5, "undecided", "worse before correction"),
        (-0.01, 0.03, 5, "undecided", "undecided"),
        (-0.03, -0.01, 2, "undecided", "undecided"),
        (None, None, 5, "undecided", "undecided"),
        (-0.03, -0.01, 5, "worse", "worse"),
        (-0.003, -0.001, 5, "equivalent", "equivalent"),
    ],
)
def test_before_correction_is_where_the_interval_alone_would_decide(low, high, n, verdict, words):
    assert verdict_words({"low": low, "high": high, "n": n, "verdict": verdict}) == words


def test_names_are_joined():
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "nothing", "a", "a and b", "a, b and c",
    ]  # fmt: skip
