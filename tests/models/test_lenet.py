import pytest
import torch
from torch import nn

from lossbench.models.lenet import DeterministicAdaptiveAvgPool2d


@pytest.mark.parametrize(("height", "width"), [(5, 5), (6, 7), (13, 29), (53, 5), (3, 4)])
def test_the_pooling_is_torchs(height: int, width: int) -> None:
    x = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    ours, theirs = DeterministicAdaptiveAvgPool2d(5)(x), nn.AdaptiveAvgPool2d(5)(x)
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(ours)
    gradients = [torch.autograd.grad(each, x, upstream)[0] for each in (ours, theirs)]
    torch.testing.assert_close(*gradients)
