"""The modules: drop-ins for torch.nn's, with settings that are seen, saved and moved."""

import copy
import inspect
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossbench import losses
from lossbench.losses.registry import Entry

from .cases import each_built_in, each_loss, each_reduction, sample

DROP_INS = ["BCELoss", "BCEWithLogitsLoss", "MSELoss", "CrossEntropyLoss", "NLLLoss"]
each_drop_in = pytest.mark.parametrize("name", DROP_INS)
WEIGHT = torch.tensor([0.5, 2.0, 1.0])
SETTINGS: dict[str, dict[str, Any]] = {
    "BCEWithLogitsLoss": {"weight": WEIGHT, "pos_weight": WEIGHT + 1, "reduction": "sum"},
    "CrossEntropyLoss": {
        "weight": WEIGHT,
        "ignore_index": 2,
        "reduction": "none",
        "label_smoothing": 0.1,
    },
    "NLLLoss": {"weight": WEIGHT, "ignore_index": 1, "reduction": "sum"},
    "BCELoss": {"weight": WEIGHT, "reduction": "none"},
    "SigmoidMSELoss": {"weight": WEIGHT},
    "MSELoss": {"reduction": "sum"},
    "BernoulliSumLoss": {"reduction": "none"},
}
each_setting = pytest.mark.parametrize(("name", "settings"), SETTINGS.items(), ids=list(SETTINGS))


def build(name: str, settings: dict[str, Any]) -> nn.Module:
    module: nn.Module = getattr(losses, name)(**settings)
    return module


def example(name: str) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    if name in ("CrossEntropyLoss", "NLLLoss", "BernoulliSumLoss"):
        return torch.randn(4, 3).log_softmax(-1), torch.tensor([0, 1, 2, 0])
    return torch.rand(4, 3), torch.rand(4, 3)


# --- construction --------------------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("reduction", ["means", "", None, 1, "MEAN"], ids=repr)
def test_a_bad_reduction_is_found_at_construction(entry: Entry, reduction: Any) -> None:
    with pytest.raises(ValueError, match="is not a valid value for reduction"):
        entry.build(reduction=reduction)


@each_loss
@each_reduction
def test_repr_shows_the_reduction(entry: Entry, reduction: str) -> None:
    assert f"reduction={reduction!r}" in repr(entry.build(reduction=reduction))


@each_setting
def test_repr_shows_every_setting(name: str, settings: dict[str, Any]) -> None:
    shown = repr(build(name, settings))
    assert shown.startswith(f"{name}(")
    for key, value in settings.items():
        expected = "[3]" if isinstance(value, Tensor) else repr(value)
        assert f"{key}={expected}" in shown


# --- state ---------------------------------------------------------------------------------------


@each_setting
def test_copies_give_the_same_loss(name: str, settings: dict[str, Any]) -> None:
    module, data = build(name, settings), example(name)
    for twin in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert repr(twin) == repr(module)
        assert torch.equal(twin(*data), module(*data))
        for buffer, original in zip(twin.buffers(), module.buffers(), strict=True):
            assert torch.equal(buffer, original)
            assert buffer.data_ptr() != original.data_ptr()


@each_setting
def test_weights_are_state(name: str, settings: dict[str, Any]) -> None:
    state = build(name, settings).state_dict()
    assert set(state) == {key for key, value in settings.items() if isinstance(value, Tensor)}


@pytest.mark.parametrize("name", ["BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "NLLLoss"])
def test_state_goes_to_torchs_module_and_back(name: str) -> None:
    settings, data = SETTINGS[name], example(name)
    blank = {k: torch.zeros(3) if isinstance(v, Tensor) else v for k, v in settings.items()}
    ours, theirs = build(name, settings), getattr(nn, name)(**blank)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(*data), theirs(*data))
    back = build(name, blank)
    back.load_state_dict(theirs.state_dict())
    assert torch.equal(back(*data), ours(*data))


@each_setting
def test_weights_move_with_the_module(name: str, settings: dict[str, Any]) -> None:
    module = build(name, settings).to(torch.float64)
    assert all(buffer.dtype == torch.float64 for buffer in module.buffers())
    assert all(buffer.device.type == "meta" for buffer in module.to("meta").buffers())


@each_loss
def test_there_is_nothing_to_train(entry: Entry) -> None:
    assert not list(entry.build().parameters())


# --- in use --------------------------------------------------------------------------------------


@each_setting
def test_settings_reach_the_function(name: str, settings: dict[str, Any]) -> None:
    data = example(name)
    if hasattr(nn, name):
        torch.testing.assert_close(
            build(name, settings)(*data), getattr(nn, name)(**settings)(*data)
        )
    if "weight" in settings:
        without = {key: value for key, value in settings.items() if key != "weight"}
        assert not torch.allclose(build(name, settings)(*data), build(name, without)(*data))


def curve(loss: nn.Module, entry_input: str, target: Tensor, width: int) -> list[float]:
    """Losses of 30 steps of a small network on fixed data."""
    torch.manual_seed(0)
    features = torch.randn(24, 5, dtype=torch.float64)
    squash = {"p": nn.Sigmoid(), "log p": nn.LogSoftmax(-1), "z": nn.Identity()}[entry_input]
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, width), squash).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    history = []
    for _ in range(30):
        optimizer.zero_grad()
        value = loss(model(features), target)
        value.backward()
        optimizer.step()
        history.append(value.item())
    return history


@each_drop_in
def test_a_swapped_loss_gives_the_same_training(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (24,), generator=generator)
    takes = {"BCELoss": "p", "NLLLoss": "log p"}.get(name, "z")
    one_hot = nn.functional.one_hot(labels, 3).double()
    target = labels if name in ("CrossEntropyLoss", "NLLLoss") else one_hot
    ours = curve(getattr(losses, name)(), takes, target, 3)
    theirs = curve(getattr(nn, name)(), takes, target, 3)
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)
    assert ours[-1] < ours[0]


@each_loss
def test_a_loss_called_twice_gives_the_same(entry: Entry) -> None:
    input, target = sample(entry, entry.targets[0])
    module = entry.build()
    assert torch.equal(module(input, target), module(input, target))


@each_built_in
def test_repr_shows_every_number_of_every_loss(entry: Entry) -> None:
    shown = repr(entry.build())
    for parameter in inspect.signature(entry.module).parameters.values():
        if isinstance(parameter.default, (int, float, str)):
            value = entry.settings.get(parameter.name, parameter.default)
            assert f"{parameter.name}={value!r}" in shown


@each_built_in
def test_every_loss_is_copied_and_pickled(entry: Entry) -> None:
    data = sample(entry, entry.targets[0])
    module = entry.build(reduction="sum")
    for twin in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert repr(twin) == repr(module)
        assert torch.equal(twin(*data), module(*data))


@each_built_in
def test_every_buffer_of_every_loss_is_state_and_moves(entry: Entry) -> None:
    parameters = inspect.signature(entry.module).parameters
    tensors = [name for name in ("weight", "pos_weight", "prior") if name in parameters]
    module = entry.build(**{name: torch.ones(4) for name in tensors})
    assert set(module.state_dict()) == set(tensors)
    assert all(buffer.device.type == "meta" for buffer in module.to("meta").buffers())
    assert all(buffer.dtype == torch.float64 for buffer in module.double().buffers())
