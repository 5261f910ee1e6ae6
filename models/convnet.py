"""The default model: three 3x3 convolutions."""

from torch import Tensor, nn


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Build one block: 3x3 convolution, 2x2 maximum pooling, batch normalisation, ReLU."""
    # Pooling first keeps the function class and leaves the normalisation and the activation a
    # quarter of the work.
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class ConvNet(nn.Module):
    """Three blocks of 3x3 convolution, 2x2 maximum pooling, batch normalisation and ReLU.

    The channels double from block to block: `width`, 2 `width`, 4 `width`. Global average pooling
    and one linear layer follow.

    Args:
        num_outputs: columns of the output.
        width: channels of the first block.
    Shape: (N, 3, S, S), S from 32 to 224, to (N, num_outputs).
    Parameters: 23,761 with the defaults, at every image size.
    """

    block = staticmethod(block)

    def __init__(self, num_outputs: int = 1, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            self.block(3, width),
            self.block(width, 2 * width),
            self.block(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(4 * width, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, S, S) to outputs (N, num_outputs)."""
        logits: Tensor = self.head(self.features(images))
        return logits
