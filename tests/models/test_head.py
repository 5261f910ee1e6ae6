import pytest
import torch
from torch import nn

from lossbench import models


@pytest.mark.parametrize("probability", [0.0003, 0.5, 0.9])
def test_begin_at_sets_the_first_prediction(probability: float) -> None:
    model = models.set_initial_probability(nn.Linear(3, 1), probability)
    nn.init.zeros_(model.weight)
    torch.testing.assert_close(
        torch.sigmoid(model(torch.randn(5, 3))), torch.full((5, 1), probability)
    )


@pytest.mark.parametrize("name", models.names())
def test_every_model_can_start_confidently_wrong(name: str) -> None:
    model = models.set_initial_probability(models.build(name, width=4), 0.0003).eval()
    assert torch.sigmoid(model(torch.randn(8, 3, 32, 32))).max() < 0.003


@pytest.mark.parametrize(
    "model", [nn.Conv2d(3, 1, 3), nn.Linear(3, 4)], ids=["no linear layer", "four outputs"]
)
def test_a_model_that_has_no_such_head_is_refused(model: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"nn\.Linear|one output"):
        models.set_initial_probability(model, 0.1)


def test_begin_at_wants_a_bias() -> None:
    with pytest.raises(ValueError, match="bias"):
        models.set_initial_probability(nn.Linear(3, 1, bias=False), 0.1)
