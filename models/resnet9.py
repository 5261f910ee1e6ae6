"""ResNet-9, a small residual network from fast-training competitions."""

from torch import Tensor, nn


def convolution(inputs: int, outputs: int, pool: bool = False) -> nn.Sequential:
    """Build a 3x3 convolution with optional 2x2 maximum pooling, batch normalisation and ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs), nn.ReLU())


class Residual(nn.Module):
    """Residual block x + f(x), where f is two convolutions that keep the shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(convolution(channels, channels), convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return x + f(x), of the shape of x."""
        change: Tensor = self.body(x)
        return x + change


class ResNet9(nn.Module):
    """ResNet-9 after David Page's entry to DAWNBench (2018), with batch normalisation and ReLU.

    Eight 3x3 convolutions with `width` to 8 `width` channels, four of them in two residual blocks.
    Global maximum pooling and one linear layer follow.

    Args:
        num_outputs: columns of the output.
        width: channels of the first convolution.
    Shape: (N, 3, S, S), S from 32 to 224, to (N, num_outputs).
    Parameters: 6,568,513 with the defaults, at every image size.
    """

    def __init__(self, num_outputs: int = 1, width: int = 64) -> None:
        super().__init__()
        self.features = nn.Sequential(
            convolution(3, width),
            convolution(width, 2 * width, pool=True),
            Residual(2 * width),
            convolution(2 * width, 4 * width, pool=True),
            convolution(4 * width, 8 * width, pool=True),
            Residual(8 * width),
        )
        self.head = nn.Linear(8 * width, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, S, S) to outputs (N, num_outputs)."""
        # AdaptiveMaxPool2d(1) gives the same, but its gradient on CUDA is not deterministic.
        logits: Tensor = self.head(self.features(images).amax((2, 3)))
        return logits
