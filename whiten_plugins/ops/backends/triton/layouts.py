"""What the compiler is told about a tensor's memory, and nothing more.

Triton compiles a kernel anew for each set of arguments that are 1, or
multiples of 16, or neither: image sizes that change would compile for
minutes. The kernels are told not to look, and get instead one number that
names the innermost dimension and whether all else is aligned: enough for
loads of 16 bytes, and few cases.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor

UNIT = 16
"""Of aligned strides and sizes, in elements."""

ENTRIES, ROWS, ELEMENTS = 1, 2, 3
"""Dimensions of (N, E, c, M) that can be innermost."""


class Layout(NamedTuple):
    """Strides of (N, E, c, M) as the kernels take them.

    ``code`` is twice the innermost dimension, 0 for none, and 1 more where
    all other strides and the size of the innermost are multiples of
    :data:`UNIT`; the strides then count units.
    """

    code: int
    strides: tuple[int, ...]

    def extent(self, size: int, dimension: int) -> int:
        """Return a size as the kernels take it: in units where aligned."""
        return size // UNIT if self.code == 2 * dimension + 1 else size


def layout_of(x: Tensor) -> Layout:
    """Describe the memory of (N, E, c, M)."""
    return _layout(x.shape, x.stride())


@functools.lru_cache(maxsize=1 << 14)
def _layout(shape: torch.Size, steps: tuple[int, ...]) -> Layout:
    # The stride of a dimension of size 1 has no meaning.
    strides = tuple(
        stride if size > 1 else 0 for size, stride in zip(shape, steps)
    )
    for inner in (ELEMENTS, ROWS, ENTRIES):
        if strides[inner] == 1:
            break
    else:
        return Layout(0, strides)
    others = [s for place, s in enumerate(strides) if place != inner]
    # Rows and their number are constants of the kernels.
    sizes = [] if inner == ROWS else [shape[inner]]
    if any(number % UNIT for number in others + sizes):
        return Layout(2 * inner, strides)
    return Layout(2 * inner + 1, tuple(stride // UNIT for stride in strides))
