import pytest

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.identities import Identity, read_identities, run_keys
from lossbench.benchmarks.records.reading import read_experiment

from ..written_experiments import describe, evaluations, write_experiment

NLL = {"of": "cross-entropy", "factor": 1.0, "difference": 0.0}
SUM = {"of": "cross-entropy", "factor": 2.0, "difference": 1e-8}


def test_an_identity_is_trained_with_the_first_seed_alone() -> None:
    assert run_keys(["a", "b"], [4, 5, 6], ["b"]) == [("a", 4), ("b", 4), ("a", 5), ("a", 6)]
    assert run_keys(["a", "b"], range(2), ()) == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_identities_are_read_and_printed() -> None:
    found = read_identities({"identities": {"nll": NLL, "bernoulli-sum": SUM}})
    assert found["bernoulli-sum"] == Identity("cross-entropy", 2.0, 1e-8)
    assert [str(each) for each in found.values()] == ["cross-entropy", "2 × cross-entropy"]
    assert read_identities({}) == {}


@pytest.mark.parametrize(
    ("identities", "words"),
    [
        ([], "should be dict"),
        ({"nll": []}, "identities.nll should be dict"),
        ({"nll": NLL | {"factor": "2"}}, r"identities.nll.factor should be"),
        ({"nll": {"of": "cross-entropy"}}, "should have of, factor, difference"),
        ({"nll": NLL | {"more": 1}}, "should have of, factor, difference"),
        ({"nll": NLL | {"of": "nll"}}, "identities.nll.of should be no identity itself"),
        ({"nll": NLL, "cross-entropy": NLL | {"of": "nll"}}, "should be no identity itself"),
    ],
)
def test_another_shape_is_refused(identities, words: str, tmp_path) -> None:
    with pytest.raises(ValueError, match=words):
        read_identities({"identities": identities})
    about = describe(losses=["cross-entropy", "nll"]) | {"identities": identities}
    written = write_experiment(tmp_path / "x", about, evaluations("nll", 0, [0.5, 0.5, 0.5]))
    with pytest.raises(UserError, match=words):
        read_experiment(written)


def test_runs_of_an_identity_are_apart_if_the_other_loss_has_finished(tmp_path) -> None:
    about = describe(losses=["nll", "cross-entropy"], seeds=2) | {"identities": {"nll": NLL}}
    rows = evaluations("nll", 0, [0.5, 0.6, 0.7])
    alone = read_experiment(write_experiment(tmp_path / "alone", about, rows))
    assert [(run.loss, run.seed) for run in alone.runs] == [
        ("nll", 0),
        ("cross-entropy", 0),
        ("cross-entropy", 1),
    ]
    assert set(alone.compared) == {"nll"}
    rows += evaluations("cross-entropy", 1, [0.5, 0.6, 0.8])
    both = read_experiment(write_experiment(tmp_path / "both", about, rows))
    assert set(both.compared) == {"cross-entropy"}
    assert set(both.identities) == {"nll"}
