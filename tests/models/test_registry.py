import re
import sys

import pytest
import torch

from lossbench import models

SIZES = (32, 47, 64, 224)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("num_outputs", [1, 2, 10])
def test_every_size_gives_one_row_an_image(name: str, size: int, num_outputs: int) -> None:
    model = models.build(name, num_outputs=num_outputs, width=4)
    assert model(torch.randn(2, 3, size, size)).shape == (2, num_outputs)


@pytest.mark.parametrize("name", models.names())
def test_the_docstring_tells_the_true_number_of_parameters(name: str) -> None:
    told = re.search(r"Parameters: ([\d,]+) with the defaults", models.find(name).__doc__ or "")
    assert told is not None
    assert parameters(models.build(name)) == int(told[1].replace(",", ""))


@pytest.mark.parametrize("name", models.names())
def test_width_scales_and_none_is_the_default(name: str) -> None:
    assert parameters(models.build(name, width=8)) < parameters(models.build(name, width=16))
    assert parameters(models.build(name, width=None)) == parameters(models.find(name)())


@pytest.mark.parametrize("name", models.names())
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = models.build(name, width=4)
    model(torch.randn(4, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_lenet_has_the_activations_of_1998() -> None:
    kinds = {type(layer) for layer in models.build("lenet").modules()}
    assert torch.nn.Sigmoid in kinds
    assert torch.nn.ReLU not in kinds


def test_convnet_has_three_blocks_of_width_16() -> None:
    layers = [m for m in models.build("convnet").modules() if isinstance(m, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [16, 32, 64]
    assert {layer.kernel_size for layer in layers} == {(3, 3)}


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(KeyError, match="did you mean 'convnet'"):
        models.build("convnett")


@pytest.fixture
def own_model(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(
        "from torch import nn\n"
        "class Tiny(nn.Sequential):\n"
        "    def __init__(self, num_outputs):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(3 * 32 * 32, num_outputs))\n"
        "def tiny(num_classes=1000):\n"
        "    return Tiny(num_classes)\n"
        "def passing(*, weights=None, **arguments):\n"
        "    return tiny(**arguments)\n"
        "def neither(n):\n"
        "    return Tiny(n)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    yield "my_models:Tiny"
    sys.modules.pop("my_models", None)


def test_a_model_of_ones_own_is_found_in_the_working_directory(own_model: str) -> None:
    assert models.build(own_model, num_outputs=3)(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("name", ["tiny", "passing"])
def test_a_function_gets_the_outputs_as_classes(name: str, own_model: str) -> None:
    model = models.build(own_model.replace("Tiny", name), num_outputs=3)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_a_function_of_neither_is_refused(own_model: str) -> None:
    with pytest.raises(TypeError, match="neither num_outputs nor num_classes"):
        models.build(own_model.replace("Tiny", "neither"))


def test_a_name_that_is_nearly_right_is_answered_with_the_nearest(own_model: str) -> None:
    with pytest.raises(ImportError, match="did you mean 'neither'"):
        models.build(own_model.replace("Tiny", "neiter"))


def test_the_models_of_torchvision_are_models() -> None:
    pytest.importorskip("torchvision")
    model = models.build("torchvision.models:squeezenet1_1", num_outputs=3).eval()
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_a_model_without_a_width_refuses_one(own_model: str) -> None:
    with pytest.raises(TypeError, match="width"):
        models.build(own_model, width=4)


@pytest.mark.parametrize("name", ["nowhere:Net", "math:Nothing", "math:", ":Net"])
def test_what_cannot_be_imported_says_so(name: str) -> None:
    with pytest.raises((ImportError, ValueError)):
        models.find(name)
