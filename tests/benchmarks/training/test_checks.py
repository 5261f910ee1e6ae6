import pytest
import torch

from lossbench.benchmarks.config import ARTICLE_LOSSES, CompareConfig
from lossbench.benchmarks.training import checks
from lossbench.benchmarks.training.checks import (
    check_losses,
    check_model,
    check_model_name,
    resolve_device,
)
from lossbench.losses import registry

CPU = torch.device("cpu")


def test_the_check_losses_the_argument_are_the_default() -> None:
    assert check_losses(CompareConfig()) == ARTICLE_LOSSES
    assert set(ARTICLE_LOSSES) <= set(registry.names())
    assert check_losses(CompareConfig(losses=("all",))) == registry.names()


def test_an_unknown_loss_is_answered_with_the_nearest(refusal) -> None:
    config = CompareConfig(losses=("cross-entropy", "sigmoid-mes"))
    refusal(lambda: check_losses(config), "'sigmoid-mes'", "did you mean 'sigmoid-mse'")


def test_an_unknown_model_is_answered_with_the_nearest(refusal) -> None:
    refusal(lambda: check_model_name("lenett"), "did you mean 'lenet'")
    refusal(lambda: check_model_name("nowhere:Net"), "nowhere:Net", "importable")


def test_cuda_that_is_absent_is_refused(refusal, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refusal(lambda: resolve_device("cuda"), "--device cuda", "--device cpu")
    assert resolve_device("auto") == CPU


class NoHead(torch.nn.Module):
    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, num_outputs, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).flatten(1)


class TwoColumns(torch.nn.Sequential):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(3072, num_outputs + 1))


class SpareHead(torch.nn.Module):
    """The last linear layer by definition is not the one that answers."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.head = torch.nn.Linear(3072, num_outputs)
        self.spare = torch.nn.Linear(3072, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1))


class OnlyTrains(torch.nn.Sequential):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(3072, num_outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            raise RuntimeError("not in\nevaluation")
        return super().forward(x)


class Detached(torch.nn.Sequential):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(3072, num_outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).detach()


class WrongSize(torch.nn.Sequential):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(5, num_outputs))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (NoHead, "no torch.nn.Linear"),
        (TwoColumns, "(2, 1)"),
        (SpareHead, "(2, 2)"),
        (OnlyTrains, "not in evaluation"),
        (Detached, "does not require grad"),
        (WrongSize, "RuntimeError"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(model, words: str, refusal, monkeypatch) -> None:
    monkeypatch.setattr(checks.models, "build", lambda *_, **__: model(num_outputs=1))
    configs = [CompareConfig(model="my:Model").run_config(name, 0, 0.1) for name in ARTICLE_LOSSES]
    refusal(lambda: check_model(configs, 32, 2, CPU), "my:Model", words)


def test_a_model_check_counts_the_parameters_of_one_logit() -> None:
    configs = [CompareConfig().run_config(name, 0, 0.1) for name in ARTICLE_LOSSES]
    assert check_model(configs, 32, 2, CPU) == 23_761
    assert check_model(configs, 32, 10, CPU) == 23_761 + 9 * 65
