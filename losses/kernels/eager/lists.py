"""Losses of rows with a list of right classes, from a program of pairs of classes.

The loss of a row is the sum over the pairs of a listed class l and an unlisted class c of
value(z_c, z_l), over the number of classes. A tile holds the pairs of a few rows, with as many
places for listed classes as the longest of their lists has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .program import Program


class Lists(NamedTuple):
    """The lists of some rows.

    Attributes:
        at: the listed classes, (N, L); any class where a list has ended.
        read: 1, or 0 where the list has ended, (N, L).
        unlisted: 1, or 0 for a listed class, (N, C).
    """

    at: Tensor
    read: Tensor
    unlisted: Tensor

    @staticmethod
    def of(z: Tensor, y: Tensor) -> Lists:
        """Return the lists y, which end at the first negative number."""
        read = (y < 0).cumsum(-1) == 0
        length = int(read.sum(-1).max())
        at, read = y[:, :length].clamp_min(0), read[:, :length].to(z.dtype)
        listed = torch.zeros_like(z).scatter_add_(-1, at, read)
        return Lists(at, read, (listed == 0).to(z.dtype))

    def pairs(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of the class c and of the listed class l of all pairs, (N, L, C)."""
        shape = (*self.at.shape, z.shape[-1])
        return z.unsqueeze(1).expand(shape), z.gather(-1, self.at).unsqueeze(-1).expand(shape)

    def where_counted(self, x: Tensor) -> Tensor:
        """Return numbers of pairs, 0 where a pair does not count."""
        return torch.where((self.read.unsqueeze(-1) * self.unlisted.unsqueeze(1)) > 0, x, 0.0)

    def value(self, each: Tensor) -> Tensor:
        """Return the loss of the rows, (N, 1), from that of the pairs."""
        of_listed = torch.bmm(each, self.unlisted.unsqueeze(-1)).squeeze(-1)
        return (of_listed * self.read).sum(-1, keepdim=True) / self.unlisted.shape[-1]

    def gradient(self, each: Tensor, to: Tensor) -> None:
        """Write the gradient of the rows from the derivatives of the pairs by the score of c."""
        by_unlisted = torch.bmm(self.read.unsqueeze(1), each).squeeze(1) * self.unlisted
        by_listed = torch.bmm(each, self.unlisted.unsqueeze(-1)).squeeze(-1) * self.read
        by_unlisted.scatter_add_(-1, self.at, -by_listed)
        torch.div(by_unlisted, to.shape[-1], out=to)


def tiles(y: Tensor, classes: int, size: int) -> Iterator[slice]:
    """Yield the rows of tiles of at most `size` pairs, or of one row."""
    longest = (y >= 0).sum(-1).max().item() or 1
    count = max(1, size // int(longest * classes))
    for begin in range(0, len(y), count):
        yield slice(begin, begin + count)


def run(program: Program, z: Tensor, y: Tensor, gradient: Tensor | None, *, finite: bool) -> Tensor:
    """Return the losses of rows, (N, 1), and write their gradient if there is room for it.

    Args:
        program: of the value of pairs, or of value and derivative.
        finite: whether the numbers of pairs are finite.
    """
    lists = Lists.of(z, y)
    if not lists.at.shape[1]:
        if gradient is not None:
            gradient.zero_()
        return z.new_zeros(len(z), 1)
    pairs = lists.pairs(z)
    slopes = None if gradient is None else z.new_empty(pairs[0].shape)
    value = program.run(program.start(pairs[0]), pairs, slopes, None)
    value = value.expand(pairs[0].shape)
    if not finite:
        value = lists.where_counted(value)
        slopes = None if slopes is None else lists.where_counted(slopes)
    if gradient is not None and slopes is not None:
        lists.gradient(slopes, gradient)
    return lists.value(value)
