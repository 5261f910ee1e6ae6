"""Networks as users write them, in pairs that compute the same, and some that cannot be trained."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Lazy(nn.Sequential):
    """A network whose layers learn their sizes from the first image."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(
            nn.LazyConv2d(4, 5, stride=3),
            nn.LazyBatchNorm2d(),
            nn.ReLU(),
            nn.Flatten(),
            nn.LazyLinear(num_outputs),
        )


class NotLazy(nn.Sequential):
    """`Lazy` for images of 32 pixels."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(
            nn.Conv2d(3, 4, 5, stride=3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(400, num_outputs),
        )


class Deferred(nn.Module):
    """A network that makes its layer when it is first called."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.num_outputs, self.layer = num_outputs, None

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        if self.layer is None:
            self.layer = nn.Linear(flat.shape[1], self.num_outputs)
        return self.layer(flat)


def not_deferred(num_classes: int) -> nn.Module:
    """`Deferred` for images of 32 pixels."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))


class Viewed(nn.Module):
    """The network of PyTorch's tutorial, smaller: a view fails on images in channels_last."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5, stride=3)
        self.last = nn.Linear(400, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.conv(images).relu().view(-1, 400))


class Reshaped(Viewed):
    """`Viewed` without a view."""

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.conv(images).relu().reshape(-1, 400))


class Volume(nn.Module):
    """A network with a convolution in three dimensions, whose weights have no channels_last."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 4, (3, 5, 5), stride=3)
        self.last = nn.Linear(400, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.conv(images[:, None]).relu().flatten(1))


class Plane(Volume):
    """`Volume` with the convolution in two dimensions."""

    def forward(self, images: Tensor) -> Tensor:
        conv = self.conv
        images = F.conv2d(images, conv.weight.squeeze(1), conv.bias, conv.stride[1:])
        return self.last(images.relu().flatten(1))


class Vectors(nn.Module):
    """A network without a matrix: every parameter has one dimension."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.bias = nn.Parameter(torch.zeros(num_outputs))

    def forward(self, images: Tensor) -> Tensor:
        return (images.mean((2, 3)) * self.weight).sum(1, keepdim=True) + self.bias


class OneMatrix(Vectors):
    """`Vectors` as a matrix product."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) @ self.weight[:, None] + self.bias


class Odd(nn.Module):
    """Lazy layers, batch normalization of vectors, a view, and a layer that is never used."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.unused = nn.Linear(3, 3)
        self.conv = nn.LazyConv2d(4, 5, stride=3)
        self.norm = nn.LazyBatchNorm1d()
        self.last = nn.LazyLinear(num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv(images).relu()
        return self.last(self.norm(x.view(len(x), -1)))


class Failing(nn.Module):
    """A linear network, whose subclasses cannot be trained."""

    dtype = torch.float32

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.last = nn.Linear(3072, num_outputs, dtype=self.dtype)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(images.flatten(1).to(self.dtype))


class Pair(Failing):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(images), images


class PairInTraining(Failing):
    def forward(self, images: Tensor) -> Tensor | dict[str, Tensor]:
        outputs = super().forward(images)
        return {"logits": outputs} if self.training else outputs


class Squeezed(Failing):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).squeeze(0)


class InPlace(Failing):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.relu_())


class Half(Failing):
    dtype = torch.bfloat16


class Frozen(Failing):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs)
        self.requires_grad_(False)


class Buffers(nn.Module):
    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(3072, num_outputs))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight


def meta(num_outputs: int) -> nn.Module:
    with torch.device("meta"):
        return Failing(num_outputs)


def no_module(num_outputs: int) -> object:
    return lambda images: images.mean((1, 2, 3)).expand(num_outputs, -1).T
