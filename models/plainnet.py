"""The default model without batch normalisation, so without buffers."""

from torch import nn

from .convnet import ConvNet


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Build one block: 3x3 convolution, 2x2 maximum pooling, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.MaxPool2d(2), nn.ReLU())


class PlainNet(ConvNet):
    """Three blocks of 3x3 convolution, 2x2 maximum pooling and ReLU; then one linear layer.

    Global average pooling stands before the linear layer. Batch normalisation keeps running means
    and variances in buffers that no loss trains: with it, a model's outputs can change while all of
    its parameters stay the same.

    Args:
        num_outputs: columns of the output.
        width: channels of the first block, doubled from block to block.
    Shape: (N, 3, S, S), S at least 8, to (N, num_outputs).
    Parameters: 23,649 with the defaults, at every image size.
    """

    block = staticmethod(block)
