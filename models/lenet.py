"""LeNet-5 with the sigmoid activations of its day."""

from torch import Tensor, nn


class LeNet(nn.Module):
    """LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998) for colour images.

    Two 5x5 convolutions of `width` and 8/3 `width` channels, each with a sigmoid and an average
    pooling, then fully connected layers of 120 and 84. The maps are averaged to 5x5 before the
    first of these, which is what a 32x32 image gives by itself, so any size from 32 px on works.

    Args:
        num_outputs: columns of the output.
        width: channels of the first convolution.
    Shape: (N, 3, S, S), S from 32 to 224, to (N, num_outputs).
    Parameters: 61,241 with the defaults, at every image size.
    """

    def __init__(self, num_outputs: int = 1, width: int = 6) -> None:
        super().__init__()
        wide = width * 8 // 3
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 5),
            nn.Sigmoid(),
            nn.AvgPool2d(2),
            nn.Conv2d(width, wide, 5),
            nn.Sigmoid(),
            nn.AvgPool2d(2),
            nn.AdaptiveAvgPool2d(5),
            nn.Flatten(),
            nn.Linear(wide * 25, 120),
            nn.Sigmoid(),
            nn.Linear(120, 84),
            nn.Sigmoid(),
        )
        self.head = nn.Linear(84, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits
