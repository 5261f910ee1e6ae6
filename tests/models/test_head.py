import copy

import pytest
import torch
from torch import nn

from lossbench import models


@pytest.mark.parametrize("name", models.names())
def test_a_split_head_is_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    model = models.build(name, width=4).eval()
    images = torch.randn(16, 3, 32, 32)
    z = model(images).squeeze(1)
    p = torch.softmax(models.split_head(copy.deepcopy(model))(images), 1)
    torch.testing.assert_close(p[:, 1], torch.sigmoid(z))
    torch.testing.assert_close(p[:, 0], torch.sigmoid(-z))


def test_splitting_leaves_every_other_parameter_alone() -> None:
    model = models.build("convnet", width=4)
    before = {n: p.detach().clone() for n, p in model.named_parameters() if "head" not in n}
    after = dict(models.split_head(model).named_parameters())
    assert before
    assert all(torch.equal(p, after[n]) for n, p in before.items())


def test_a_head_without_bias_and_one_deep_inside_can_be_split() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(4, 1, bias=False)))
    x = torch.randn(3, 2, 2)
    z = model(x)
    torch.testing.assert_close(models.split_head(model)(x), torch.cat([-z, z], 1) / 2)


@pytest.mark.parametrize("probability", [0.0003, 0.5, 0.9])
def test_begin_at_sets_the_first_prediction(probability: float) -> None:
    model = models.set_initial_probability(nn.Linear(3, 1), probability)
    nn.init.zeros_(model.weight)
    torch.testing.assert_close(
        torch.sigmoid(model(torch.randn(5, 3))), torch.full((5, 1), probability)
    )


def test_begin_at_survives_the_split() -> None:
    model = models.set_initial_probability(models.build("convnet", width=4), 0.0003).eval()
    p = torch.softmax(models.split_head(model)(torch.randn(8, 3, 32, 32)), 1)[:, 1]
    assert p.max() < 0.003


@pytest.mark.parametrize(
    "change", [models.split_head, lambda m: models.set_initial_probability(m, 0.1)]
)
@pytest.mark.parametrize(
    "model", [nn.Conv2d(3, 1, 3), nn.Linear(3, 4)], ids=["no linear layer", "four outputs"]
)
def test_a_model_that_has_no_such_head_is_refused(change, model: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"nn\.Linear|one output"):
        change(model)


def test_begin_at_wants_a_bias() -> None:
    with pytest.raises(ValueError, match="bias"):
        models.set_initial_probability(nn.Linear(3, 1, bias=False), 0.1)
