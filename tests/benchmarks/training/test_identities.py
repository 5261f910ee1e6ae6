import pytest
import torch
from torch import nn

from lossbench import losses
from lossbench.benchmarks.config import ARTICLE_LOSSES
from lossbench.benchmarks.records.identities import Identity
from lossbench.benchmarks.training import identities
from lossbench.benchmarks.training.identities import find_identities, identity_rate


def multiples(names, num_classes: int = 2) -> dict[str, str]:
    return {name: str(each) for name, each in find_identities(names, num_classes).items()}


def test_of_the_ten_losses_of_the_article_five_are_different_for_two_classes() -> None:
    assert multiples(ARTICLE_LOSSES) == {
        "bce": "cross-entropy",
        "bce-with-logits": "cross-entropy",
        "nll": "cross-entropy",
        "softmax-mse": "4 × sigmoid-mse",
        "bernoulli-sum": "2 × cross-entropy",
    }


def test_for_more_classes_fewer_losses_are_alike() -> None:
    assert multiples(ARTICLE_LOSSES, 3) == {"bce-with-logits": "bce", "nll": "cross-entropy"}


def test_without_cross_entropy_the_first_is_the_other_loss() -> None:
    assert multiples(["bernoulli-sum", "nll"]) == {"nll": "0.5 × bernoulli-sum"}
    assert multiples(["zero-one", "multiclass-zero-one"]) == {"multiclass-zero-one": "zero-one"}
    assert multiples(["mse", "zero-one", "sigmoid-mse"]) == {}


class Reversed(nn.Module):
    """Loss with the gradient of cross-entropy times -1, which unlearns."""

    def __init__(self, reduction: str) -> None:
        super().__init__()
        assert reduction == "none"

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return -nn.functional.cross_entropy(input, target, reduction="none")


class Infinite(Reversed):
    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return super().forward(input, target) * torch.inf


class Failing(Reversed):
    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(f"not with {input.shape} and {target.shape}")


def test_a_negative_or_infinite_multiple_is_another_loss(monkeypatch) -> None:
    for cls in (Reversed, Infinite, Failing):
        entry = losses.registry.Entry(
            cls.__name__.lower(), cls, "multiclass", "logits", ("index",), None, "for a test"
        )
        monkeypatch.setitem(losses.registry._entries, entry.name, entry)
    assert multiples(["failing", "cross-entropy", "reversed", "infinite"]) == {}


@pytest.mark.parametrize("factor", [1.0, 0.5, 4.0])
def test_at_its_own_rate_a_multiple_takes_the_steps_of_the_other(factor: float) -> None:
    identity = Identity("other", factor, 0.0)
    for name, optimizer in {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}.items():
        ended = []
        for scale, rate in ((1.0, 0.1), (factor, identity_rate(identity, 0.1, name))):
            w = torch.ones(3, requires_grad=True)
            steps = optimizer([w], lr=rate)
            for _ in range(5):
                steps.zero_grad()
                (scale * (w - torch.arange(3)).square().sum()).backward()
                steps.step()
            ended.append(w.detach())
        torch.testing.assert_close(*ended)


def test_the_tolerance_separates_rounding_from_another_loss() -> None:
    assert max(each.difference for each in find_identities(ARTICLE_LOSSES, 2).values()) < 1e-6
    # Soft-capped logits differ from plain ones by a few percent at most.
    assert identities.TOLERANCE < 1e-3
    assert multiples(["cross-entropy", "soft-capped"]) == {}
