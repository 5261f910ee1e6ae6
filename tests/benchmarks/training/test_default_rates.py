import pytest

from lossbench.benchmarks.config import ARTICLE_LOSSES, CompareConfig
from lossbench.benchmarks.training.default_rates import default_rates, describe_table, read_table
from lossbench.benchmarks.training.rate_search import MOST_EXTENSIONS

CHANGES_NOTHING = "zero-one"


def test_the_table_is_a_search_with_the_default_settings() -> None:
    about, default = read_table(), CompareConfig()
    assert about["synthetic"] is False
    for name in set(about["shared"]) - {"fingerprint", "image_size"}:
        assert about["shared"][name] == getattr(default, name), name
    assert about["seeds"] >= 5


@pytest.mark.parametrize("name", sorted(set(read_table()["losses"]) - {CHANGES_NOTHING}))
def test_the_best_rates_lie_between_others(name: str) -> None:
    loss = read_table()["losses"][name]
    means = {float(rate): mean for rate, mean in loss["validation_accuracy"].items()}
    assert loss["best"] == max(sorted(means), key=means.__getitem__)
    assert min(means) < loss["best"] < max(means)
    assert 7 <= len(means) <= 7 + MOST_EXTENSIONS


@pytest.mark.parametrize("name", sorted(read_table()["losses"]))
def test_a_network_that_diverged_counts_as_chance(name: str) -> None:
    assert min(read_table()["losses"][name]["validation_accuracy"].values()) > 0.45


def test_every_loss_has_a_rate_and_multiples_have_that_of_the_other() -> None:
    rates = default_rates(ARTICLE_LOSSES)
    assert tuple(rates) == ARTICLE_LOSSES
    assert rates["bce"] == rates["nll"] == rates["bce-with-logits"] == rates["cross-entropy"]
    assert rates["bernoulli-sum"] == rates["cross-entropy"] / 2
    assert rates["softmax-mse"] == rates["sigmoid-mse"] / 4
    assert default_rates(["bce"]) == {"bce": rates["cross-entropy"]}
    assert default_rates(["focal", "no.such:Loss"]) == {"focal": 0.1, "no.such:Loss": 0.1}


def test_the_table_is_described() -> None:
    assert "validation images of cifar10 with convnet, 2 epochs" in describe_table()
