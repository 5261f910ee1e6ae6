import dataclasses
import typing

import pytest
import torch
from torch import nn

from lossbench import models
from lossbench.benchmarks.config import OPTIMIZERS, TrainingConfig
from lossbench.benchmarks.training.optimizer import (
    BUILT_IN,
    SCHEDULES,
    build_optimizer,
    check_optimizer,
    cosine,
    one_cycle,
    parse_settings,
    set_learning_rate,
)

CPU = torch.device("cpu")
cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
DEVICES = [CPU, pytest.param(torch.device("cuda"), marks=cuda)]
RMSPROP = "torch.optim:RMSprop(alpha=0.9)"


def settings(optimizer: str, **others) -> TrainingConfig:
    return TrainingConfig(optimizer=optimizer, **others)


def test_every_name_of_the_settings_is_there() -> None:
    schedules = typing.get_type_hints(TrainingConfig)["schedule"]
    assert typing.get_args(schedules) == tuple(SCHEDULES)
    assert tuple(OPTIMIZERS) == tuple(BUILT_IN)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 312])
def test_one_cycle_rises_for_a_quarter_and_falls_to_zero(steps: int) -> None:
    rates = [one_cycle(step, steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak <= steps / 4 + 1


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_cosine_is_that_of_torch_in_the_middle_of_the_steps(steps: int) -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2 * steps)
    halves = []
    for _ in range(2 * steps):
        halves.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert [cosine(step, steps) for step in range(steps)] == pytest.approx(halves[1::2])


def test_constant_stays_at_the_peak() -> None:
    assert {SCHEDULES["constant"](step, 7) for step in range(7)} == {1.0}


@pytest.mark.parametrize("optimizer", [*BUILT_IN, RMSPROP])
def test_weight_decay_spares_biases_and_normalization(optimizer: str) -> None:
    model = models.build("convnet", width=4)
    groups = build_optimizer(settings(optimizer, weight_decay=0.1), model).param_groups
    decayed = {id(p) for p in groups[0]["params"]}
    assert (groups[0]["weight_decay"], groups[1]["weight_decay"]) == (0.1, 0)
    for name, parameter in model.named_parameters():
        assert (id(parameter) in decayed) == (parameter.dim() > 1), name
    assert len(groups[0]["params"]) + len(groups[1]["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_uses_the_rate_that_was_set(device: torch.device) -> None:
    model = nn.Linear(3, 1).to(device)
    optimizer = build_optimizer(settings("sgd"), model)
    for rate in (0.5, 0.25):
        before = model.weight.detach().clone()
        optimizer.zero_grad()
        model.weight.grad = torch.ones_like(model.weight)
        optimizer.state.clear()  # no momentum from the step before
        set_learning_rate(optimizer, rate)
        optimizer.step()
        # The first Nesterov step is the gradient and 0.9 of it.
        torch.testing.assert_close(before - model.weight, torch.full_like(before, 1.9 * rate))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("optimizer", ["adam", "adamw(betas=(0.8, 0.99), eps=1e-6)"])
def test_steps_of_adam_are_those_of_its_formula(optimizer: str, device: torch.device) -> None:
    model = nn.Linear(4, 1, bias=False, dtype=torch.float64).to(device)
    w, decay = model.weight.detach().clone(), 0.1
    built = build_optimizer(settings(optimizer, weight_decay=decay), model)
    decoupled = optimizer != "adam"
    beta1, beta2, eps = (0.8, 0.99, 1e-6) if decoupled else (0.9, 0.999, 1e-8)
    m = v = torch.zeros_like(w)
    for step, rate in enumerate((0.1, 0.03, 0.2), start=1):
        gradient = torch.tensor([[1.0, -1e-3, 10.0, 1e-9]], dtype=w.dtype, device=device) * step
        model.weight.grad = gradient.clone()
        set_learning_rate(built, rate)
        built.step()
        if decoupled:
            w = w - rate * decay * w
        else:
            gradient = gradient + decay * w
        m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2
        w = w - rate * (m / (1 - beta1**step)) / ((v / (1 - beta2**step)).sqrt() + eps)
        torch.testing.assert_close(model.weight.detach(), w, rtol=1e-6, atol=1e-7)


def test_a_class_of_torch_gets_its_settings() -> None:
    group = build_optimizer(settings(RMSPROP), nn.Linear(1, 1)).param_groups[0]
    assert group["alpha"] == 0.9


@pytest.mark.parametrize("text", ["sgd(momentum=0)", "sgd(momentum=0.0, nesterov=False)"])
def test_sgd_without_momentum_steps_along_the_gradient(text: str) -> None:
    model = nn.Linear(2, 1)
    plain, before = build_optimizer(settings(text), model), model.weight.detach().clone()
    for _ in range(2):
        model.weight.grad = torch.tensor([[1.0, -2.0]])
        set_learning_rate(plain, 0.5)
        plain.step()
        before -= 0.5 * model.weight.grad
        torch.testing.assert_close(model.weight.detach(), before)


def test_a_tensor_rate_is_filled_in_place() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=torch.tensor(0.0))
    rate = optimizer.param_groups[0]["lr"]
    set_learning_rate(optimizer, 0.5)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate == 0.5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sgd", ("sgd", {})),
        ("sgd()", ("sgd", {})),
        (
            "adam(betas=(0.9, 0.95), amsgrad=True)",
            ("adam", {"betas": (0.9, 0.95), "amsgrad": True}),
        ),
        ("a.b:C(x=-1e-3, y='z', w=None)", ("a.b:C", {"x": -1e-3, "y": "z", "w": None})),
    ],
)
def test_settings_are_written_as_in_a_call(text: str, found) -> None:
    assert parse_settings(text) == found


@pytest.mark.parametrize(
    "text",
    [
        *("adam(", "adam(1)", "adam(x)", "adam(x=y)", "adam(x=1)(y=2)", "adam(x=1), 2"),
        *("adam(x=1, x=2)", "adam(**{'x': 1})", "adam(x=open('a'))", "adam(x=1\0)", "adam(\nx)"),
        "adam(x=" + 500 * "[" + 500 * "]" + ")",
    ],
)
def test_settings_that_are_no_plain_values_are_refused(text: str, refusal) -> None:
    assert len(refusal(lambda: parse_settings(text), "--optimizer", "keywords")) < 200


@pytest.mark.parametrize(
    ("key", "word"),
    [("lr", "--learning-rate"), ("weight_decay", "--weight-decay"), ("fused", "set by lossbench")],
)
def test_settings_with_a_flag_of_their_own_are_refused(key: str, word: str, refusal) -> None:
    refusal(lambda: parse_settings(f"adam({key}=1)"), key, word)


class NeedsClosure(torch.optim.SGD):
    def step(self, closure):
        return super().step(closure)


@pytest.mark.parametrize(
    ("optimizer", "word"),
    [
        ("torch.optim:LBFGS", "parameter groups"),
        ("torch.optim:Muon", "2D"),
        ("torch.optim:SparseAdam", "dense gradients"),
        (f"{__name__}:NeedsClosure", "needs no closure"),
        ("torch.optim:Optimizer", "TypeError"),
        ("adam(momentum=0.9)", "momentum"),
        ("sgd(momentum=0, nesterov=True)", "Nesterov"),
        ("sgd(momentum=-1)", "-1"),
        ("nowhere:X", "nowhere"),
        ("torch.optim:Adm", "Adm"),
        ("os:getcwd", "torch.optim.Optimizer"),
        ("torch.nn:Linear", "torch.optim.Optimizer"),
    ],
)
def test_an_optimizer_that_cannot_train_is_refused(optimizer: str, word: str, refusal) -> None:
    refusal(lambda: check_optimizer(settings(optimizer), CPU), "--optimizer", word)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "optimizer",
    [*BUILT_IN, RMSPROP, *(f"torch.optim:{n}" for n in ("Adagrad", "NAdam", "Adafactor", "Rprop"))],
)
def test_an_optimizer_that_can_train_is_accepted(optimizer: str, device: torch.device) -> None:
    check_optimizer(settings(optimizer), device)


def test_weight_decay_that_would_be_lost_is_refused(refusal) -> None:
    config = settings("torch.optim:Rprop")
    check_optimizer(config, CPU)
    config = dataclasses.replace(config, weight_decay=0.1)
    refusal(lambda: check_optimizer(config, CPU), "--weight-decay 0.1", "Rprop")
