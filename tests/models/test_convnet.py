import torch
import torch.nn.functional as F

from lossbench import models


def test_the_layers_are_those_of_the_docstring() -> None:
    model = models.build("convnet", num_outputs=3, width=4).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 3, 40, 32, dtype=torch.float64)
    model(x)  # batch statistics become running ones
    model.eval()
    expected = x
    for convolution, _, norm, _ in model.features[:3]:
        pooled = F.max_pool2d(F.conv2d(expected, convolution.weight, padding=1), 2)
        statistics = norm.running_mean, norm.running_var
        expected = F.batch_norm(pooled, *statistics, norm.weight, norm.bias).relu()
    expected = F.linear(expected.mean((2, 3)), model.head.weight, model.head.bias)
    torch.testing.assert_close(model(x), expected)
