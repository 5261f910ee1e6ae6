"""Small convolutional networks for images of 32 to 224 px.

>>> from lossbench.models import build
>>> build("convnet", num_outputs=1).head
Linear(in_features=64, out_features=1, bias=True)
"""

from .convnet import ConvNet
from .head import last_linear, set_initial_probability
from .lenet import LeNet
from .plainnet import PlainNet
from .registry import build, find, names
from .resnet9 import ResNet9
from .xception import Xception

__all__ = [
    "ConvNet",
    "LeNet",
    "PlainNet",
    "ResNet9",
    "Xception",
    "build",
    "find",
    "last_linear",
    "names",
    "set_initial_probability",
]
