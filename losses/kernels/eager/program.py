"""Programs: steps of torch's operations that read and write slots, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Step = Callable[[list[Any]], object]
"""Reads and writes the slots of a run."""

GRADIENT, FACTOR = 0, 1
"""The slots of the tensor that receives the gradient, and of what the gradient is multiplied by."""
INPUTS = {"z": 2, "t": 3, "y": 3, "w": 4}
"""Name of an input -> its slot."""


@dataclass
class Program:
    """Steps that compute value and gradient of a tile.

    Attributes:
        slots: constants, and room for all else.
        steps: in order.
        registers: dtype -> the slots of the registers of that dtype.
        value: slot of the value; None: it is not computed.
        bound: whether the inputs have to be within `bounded.BOUND`.
        of_rows: whether it computes numbers per row alone.
    """

    slots: list[Any] = field(default_factory=lambda: [None] * (2 + len(set(INPUTS.values()))))
    steps: list[Step] = field(default_factory=list)
    registers: dict[torch.dtype, list[int]] = field(default_factory=dict)
    value: int | None = None
    bound: bool = False
    of_rows: bool = False

    def start(self, tile: Tensor) -> list[Any]:
        """Return slots with registers for tiles of a shape, which `run` may use many times."""
        slots = self.slots.copy()
        for dtype, registers in self.registers.items():
            for at in registers:
                slots[at] = torch.empty_like(
                    tile, dtype=dtype, memory_format=torch.contiguous_format
                )
        return slots

    def run(
        self,
        slots: list[Any],
        inputs: tuple[Tensor, ...],
        gradient: Tensor | None,
        factor: Tensor | None = None,
    ) -> Any:
        """Compute a tile: write its gradient, if there is one, and return its value.

        Args:
            slots: those that `start` returned for a tile of this shape.
            inputs: as the formula takes them; a class index is (N, 1).
            factor: of the gradient, a number or one per row or element; only of a program that
                computes the gradient alone.
        """
        slots[GRADIENT], slots[FACTOR] = gradient, factor
        slots[FACTOR + 1 : FACTOR + 1 + len(inputs)] = inputs
        for step in self.steps:
            step(slots)
        return None if self.value is None else slots[self.value]


class Writer:
    """Writes the steps of a program and gives out its registers."""

    def __init__(self) -> None:
        self.program = Program()
        self._free: dict[torch.dtype, list[int]] = {}
        self._constants: dict[Any, int] = {}

    def room(self, value: Any = None) -> int:
        """Return a new slot."""
        self.program.slots.append(value)
        return len(self.program.slots) - 1

    def constant(self, value: Any, dtype: torch.dtype) -> int:
        """Return the slot of a number, as a tensor: with a Python number torch is slower."""
        key = (value, dtype)
        if key not in self._constants:
            self._constants[key] = self.room(torch.tensor(value, dtype=dtype))
        return self._constants[key]

    def register(self, dtype: torch.dtype) -> int:
        """Return a register that is free."""
        free = self._free.setdefault(dtype, [])
        if free:
            return free.pop()
        at = self.room()
        self.program.registers.setdefault(dtype, []).append(at)
        return at

    def release(self, at: int, dtype: torch.dtype) -> None:
        """Free a slot, if it is a register."""
        if at in self.program.registers.get(dtype, ()):
            self._free[dtype].append(at)

    def step(self, step: Step) -> None:
        self.program.steps.append(step)

    def row(self, f: Callable[..., Any], *slots: int) -> int:
        """Add a step that makes a new tensor, and return its slot."""
        to, a, b = self.room(), slots[0], slots[-1]

        def of_one(v: list[Any]) -> None:
            v[to] = f(v[a])

        def of_two(v: list[Any]) -> None:
            v[to] = f(v[a], v[b])

        def of_more(v: list[Any]) -> None:
            v[to] = f(*[v[k] for k in slots])

        self.step((of_one, of_two, of_more)[min(len(slots), 3) - 1])
        return to

    def write(self, to: int, f: Callable[..., Any], *slots: int, **options: Any) -> int:
        """Add a step that writes into a register, and return the register."""
        a, b = slots[0], slots[-1]

        def of_one(v: list[Any]) -> None:
            f(v[a], out=v[to])

        def of_two(v: list[Any]) -> None:
            f(v[a], v[b], out=v[to])

        def of_more(v: list[Any]) -> None:
            f(*[v[k] for k in slots], **options, out=v[to])

        self.step((of_one, of_two, of_more)[2 if options else min(len(slots), 3) - 1])
        return to

    def copy(self, to: int, slot: int) -> int:
        """Add a step that copies a number into a register, of another dtype too."""
        self.step(lambda v: v[to].copy_(v[slot]))
        return to

    def scatter(self, to: int, index: int, number: float | None, slot: Any) -> None:
        """Add a step that writes a number, or that of a slot, at the class of an index."""
        if number is not None:
            self.step(lambda v: v[to].scatter_(-1, v[index], number))
            return

        def of_slot(v: list[Any]) -> None:
            x, at = v[slot], v[index]
            v[to].scatter_(-1, at, x if x.dim() else x.expand_as(at))

        self.step(of_slot)
