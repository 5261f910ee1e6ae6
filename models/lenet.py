"""LeNet-5 with the sigmoid activations of its day."""

import torch
from torch import Tensor, nn


class DeterministicAdaptiveAvgPool2d(nn.Module):
    """`torch.nn.AdaptiveAvgPool2d` as a product with two matrices.

    torch's backward pass on CUDA adds in an arbitrary order, so its last bits vary; this one's do
    not.

    Args:
        output_size: height and width of the output.
    Shape: (N, C, H, W) to (N, C, output_size, output_size).
    """

    def __init__(self, output_size: int) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """Average x over `output_size` by `output_size` windows."""
        height, width = x.shape[2:]
        if height == width == self.output_size:
            return x
        return self._window_weights(height, x) @ x @ self._window_weights(width, x).T

    def _window_weights(self, length: int, like: Tensor) -> Tensor:
        """Return the weight of each pixel in each window, (output_size, length)."""
        window = torch.arange(self.output_size, device=like.device).unsqueeze(1)
        pixel = torch.arange(length, device=like.device)
        # From the floor of one bound to the ceiling of the next: windows may share a pixel.
        start = window * length // self.output_size
        end = -((window + 1) * -length // self.output_size)
        inside = (pixel >= start) & (pixel < end)
        return inside.to(like.dtype) / inside.sum(1, keepdim=True)


class LeNet(nn.Module):
    """LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998) for colour images.

    Two 5x5 convolutions with `width` and 8/3 `width` channels, each followed by a sigmoid and
    average pooling, then fully connected layers of 120 and 84. Adaptive pooling to 5x5 stands
    before the fully connected layers, so every image size from 32 px works; a 32x32 image already
    gives 5x5 maps.

    Args:
        num_outputs: columns of the output.
        width: channels of the first convolution.
    Shape: (N, 3, S, S), S from 32 to 224, to (N, num_outputs).
    Parameters: 61,241 with the defaults, at every image size.
    """

    def __init__(self, num_outputs: int = 1, width: int = 6) -> None:
        super().__init__()
        channels = width * 8 // 3
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 5),
            nn.Sigmoid(),
            nn.AvgPool2d(2),
            nn.Conv2d(width, channels, 5),
            nn.Sigmoid(),
            nn.AvgPool2d(2),
            DeterministicAdaptiveAvgPool2d(5),
            nn.Flatten(),
            nn.Linear(channels * 25, 120),
            nn.Sigmoid(),
            nn.Linear(120, 84),
            nn.Sigmoid(),
        )
        self.head = nn.Linear(84, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, S, S) to outputs (N, num_outputs)."""
        logits: Tensor = self.head(self.features(images))
        return logits
