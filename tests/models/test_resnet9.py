import torch
from torch import nn

from lossbench import models


def test_the_maximum_over_the_map_is_torchs() -> None:
    model = models.build("resnet9", width=4).double().eval()
    x = torch.randn(2, 3, 40, 32, dtype=torch.float64)
    expected = model.head(nn.AdaptiveMaxPool2d(1)(model.features(x)).flatten(1))
    torch.testing.assert_close(model(x), expected)
