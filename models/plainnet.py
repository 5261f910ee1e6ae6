"""The default model without its batch normalisation: nothing in it changes but its parameters."""

from torch import nn

from .convnet import ConvNet


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.MaxPool2d(2), nn.ReLU())


class PlainNet(ConvNet):
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

    block = staticmethod(block)
