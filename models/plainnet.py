"""The default model without its batch normalisation: nothing in it changes but its parameters."""

from torch import Tensor, nn


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.MaxPool2d(2), nn.ReLU())


class PlainNet(nn.Module):
    """Three blocks of 3x3 convolution, 2x2 maximum pooling and ReLU, the average over the map and
    one linear layer.

    Batch normalisation counts means and variances of what it sees, in buffers that no loss trains:
    they change what a model answers while all of its parameters stand still.

    Args:
        num_outputs: columns of the output.
        width: channels of the first block, doubled from block to block.
    Shape: (N, 3, S, S), S at least 8, to (N, num_outputs).
    Parameters: 23,649 with the defaults, at every image size.
    """

    def __init__(self, num_outputs: int = 1, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            block(3, width),
            block(width, 2 * width),
            block(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(4 * width, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits
