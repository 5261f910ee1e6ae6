import copy
import dataclasses

import pytest
import torch
from torch import nn

from lossbench.benchmarks.commands.plan import create_plan
from lossbench.benchmarks.config import ARTICLE_LOSSES, CompareConfig, TuneConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.training import checks
from lossbench.benchmarks.training.checks import (
    check_losses,
    check_model,
    check_model_name,
    check_settings,
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


@pytest.mark.parametrize("used", [True, False])
def test_kernels_are_built_only_where_they_are_used(used: bool, monkeypatch) -> None:
    built = []
    monkeypatch.setattr(checks.kernels, "ensure", built.append)
    for config in (CompareConfig(losses=("mse",), kernels=used), TuneConfig(kernels=used)):
        check_settings(dataclasses.replace(config, device="cpu"), print)
    assert built == [print] * 2 * used


def test_an_unknown_loss_is_refused_before_kernels_are_built(refusal, monkeypatch) -> None:
    monkeypatch.setattr(checks.kernels, "ensure", lambda _: pytest.fail("kernels were built"))
    config = CompareConfig(losses=("mse", "nl"), device="cpu")
    refusal(lambda: check_settings(config, print), "'nl'")


def test_cuda_that_is_absent_is_refused(refusal, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refusal(lambda: resolve_device("cuda"), "--device cuda", "--device cpu")
    assert resolve_device("auto") == CPU


def linear(inputs: int = 3072, outputs: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs))


def no_head() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 1, 32), nn.Flatten())


def spare_head() -> nn.Module:
    """Return a model whose last linear layer is not the one that answers."""
    model = nn.Sequential(linear(), nn.Identity())
    model[1].spare = nn.Linear(3072, 1)
    return model


def only_trains() -> nn.Module:
    def refuse(model: nn.Module, *_) -> None:
        if not model.training:
            raise RuntimeError("not in\nevaluation")

    model = linear()
    model.register_forward_hook(refuse)
    return model


def detached() -> nn.Module:
    model = linear()
    model.register_forward_hook(lambda *each: each[-1].detach())
    return model


@pytest.mark.parametrize(
    ("model", "start", "words"),
    [
        (linear(outputs=2), "normal", "1 image gave (1, 2), not (1, 1)"),
        (only_trains(), "normal", "not in evaluation"),
        (detached(), "normal", "no parameter that requires a gradient"),
        (linear(inputs=5), "normal", "RuntimeError"),
        (no_head(), "confidently-wrong", "no torch.nn.Linear"),
        (spare_head(), "confidently-wrong", "does not come from '1.spare'"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(model, start, words, refusal, monkeypatch) -> None:
    monkeypatch.setattr(checks.models, "build", lambda *_, **__: copy.deepcopy(model))
    config = CompareConfig(model="my:Model", start=start).run_config("cross-entropy", 0, 0.1)
    refusal(lambda: check_model(config, 32, 2, CPU), "my:Model", words)


OWN = f"{__package__}.own_networks"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("Pair", "it returns tuple, not a tensor"),
        ("PairInTraining", "it returns dict, not a tensor"),
        ("Squeezed", "1 image gave (1,), not (1, 1)"),
        ("Half", "1 image gave torch.bfloat16, not torch.float32"),
        ("Frozen", "no parameter that requires a gradient"),
        ("Buffers", "no parameter that requires a gradient"),
        ("meta", "meta tensor"),
        ("no_module", "it returns function, not a torch.nn.Module"),
    ],
)
def test_a_model_that_cannot_be_trained_leaves_nothing(model, words, config, refusal) -> None:
    config = dataclasses.replace(config, model=f"{OWN}:{model}", width=None)
    refusal(lambda: create_plan(config, "", Reporter()), f"--model {OWN}:{model}: ", words)
    assert not config.runs.exists()


@pytest.mark.parametrize("views", ["none", "mirror"])
def test_a_model_that_changes_images_is_not_shown_them_again(views: str, refusal) -> None:
    config = CompareConfig(model=f"{OWN}:InPlace", test_time_augmentation=views)
    run = config.run_config("cross-entropy", 0, 0.1)
    if views == "none":
        assert check_model(run, 32, 2, CPU) == 3073
    else:
        refusal(lambda: check_model(run, 32, 2, CPU), "changes its input in place")


def test_a_module_that_exits_on_import_is_refused(tmp_path, monkeypatch, refusal) -> None:
    (tmp_path / "exits_on_import.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "lacks_a_key.py").write_text("import os\nos.environ['NO_SUCH_NAME']\n")
    monkeypatch.syspath_prepend(tmp_path)
    refusal(lambda: check_model_name("exits_on_import:Net"), "SystemExit: 3", "importable")
    refusal(lambda: check_model_name("lacks_a_key:Net"), "KeyError: 'NO_SUCH_NAME'", "importable")


@pytest.mark.parametrize("model", [no_head(), spare_head()])
def test_a_normal_start_needs_no_linear_layer(model, monkeypatch) -> None:
    monkeypatch.setattr(checks.models, "build", lambda *_, **__: copy.deepcopy(model))
    config = CompareConfig(model="my:Model").run_config("cross-entropy", 0, 0.1)
    assert check_model(config, 32, 2, CPU) == sum(p.numel() for p in model.parameters())


def test_a_model_check_counts_the_parameters() -> None:
    config = CompareConfig().run_config("cross-entropy", 0, 0.1)
    assert check_model(config, 32, 2, CPU) == 23_761
    assert check_model(config, 32, 10, CPU) == 23_761 + 9 * 65
