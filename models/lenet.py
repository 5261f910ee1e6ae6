"""LeNet-5 with the sigmoid activations of its day."""

import torch
from torch import Tensor, nn


class AveragePool(nn.Module):
    """torch.nn.AdaptiveAvgPool2d, whose gradient on CUDA is a sum in any order, as a product with
    two matrices.

    Args:
        side: of the map that it makes.
    Shape: (N, C, H, W) to (N, C, side, side).
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if height == width == self.side:
            return x
        return self._shares(height, x) @ x @ self._shares(width, x).T

    def _shares(self, length: int, like: Tensor) -> Tensor:
        """What each pixel of a line counts in each mean: (side, length)."""
        k = torch.arange(self.side, device=like.device).unsqueeze(1)
        at = torch.arange(length, device=like.device)
        # From the floor of one bound to the ceiling of the next: parts may share a pixel.
        part = (at >= k * length // self.side) & (at < -((k + 1) * -length // self.side))
        return part.to(like.dtype) / part.sum(1, keepdim=True)


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
            AveragePool(5),
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
