"""The four passes over activations, in Triton.

Arguments and results are those of :mod:`..torch.activations`; what
:func:`_serves` refuses is PyTorch's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from ...spec import Moments
from ..torch import activations as pytorch
from .kernels.affine import matrix_affine, scalar_affine
from .kernels.gradients import matrix_gradients, scalar_gradients
from .kernels.moments import matrix_moments, scalar_moments
from .statistics import merge_parts
from .tuning import (
    HALF_ROWS_OF_BLACKWELL,
    MAX_ROWS,
    capability,
    chunks,
    gram_tile,
    launch,
    linear_tile,
    scalar_tile,
)


def _serves(x: Tensor) -> bool:
    """Return whether the kernels take groups of so many rows on this chip.

    For Blackwell (capability 10) Triton makes tf32 products of half-precision
    tiles of 64 rows and more, although full float32 is asked for.
    """
    rows = x.shape[2]
    if rows > HALF_ROWS_OF_BLACKWELL and x.element_size() < 4:
        return rows <= MAX_ROWS and capability(x.device)[0] != 10
    return rows <= MAX_ROWS


def _limited(function: Callable) -> Callable:
    """Hand what the kernels do not take to PyTorch."""
    reference = getattr(pytorch, function.__name__)

    @functools.wraps(function)
    def limited(x: Tensor, *args):
        return (function if _serves(x) else reference)(x, *args)

    return limited


@_limited
def moments(x: Tensor, shared: bool = False) -> Moments:
    """As :func:`..torch.activations.moments`."""
    cut = _Reduction(x, shared)
    shape = (cut.samples, cut.entries * cut.num_chunks, x.shape[2])
    mean = torch.empty(shape, dtype=torch.float32, device=x.device)
    parts = Moments(mean, mean.new_empty(*shape, shape[-1]))
    kernel = scalar_moments if shape[-1] == 1 else matrix_moments
    cut.launch(kernel, (x, *x.stride(), *parts))
    if cut.num_chunks == 1:
        return parts
    return merge_parts(
        parts,
        (cut.samples, cut.entries),
        (1, cut.num_chunks),
        cut.length,
        cut.size,
    )


class _Reduction:
    """How a sum over elements is cut into chunks and tiles.

    Args:
        x: (N, E, c, M).
        shared: over the elements of all samples, as if they were one.
    """

    def __init__(self, x: Tensor, shared: bool) -> None:
        self.samples, self.entries, self.rows, self.width = x.shape
        self.shared, self.size = shared, self.width
        if shared:
            self.size *= self.samples
            self.samples = 1
        self.total = self.samples * self.entries
        if self.rows == 1:
            self.tile = scalar_tile(x, self.size)
            self.programs = -(-self.total // self.tile.rows)
        else:
            self.tile = gram_tile(self.rows, self.size)
            self.programs = self.total
        self.num_chunks, self.length = chunks(
            self.size, self.programs, self.tile, x
        )

    def launch(self, kernel: Callable, tensors: tuple) -> None:
        if self.rows == 1:
            shape = {'ENTRIES': self.tile.rows}
        else:
            shape = {'ROWS': self.rows, 'PADDED': self.tile.rows}
        launch(
            kernel,
            self.programs * self.num_chunks,
            tensors,
            (
                *(self.entries, self.total, self.num_chunks),
                *(self.length, self.size, self.width),
            ),
            BLOCK=self.tile.elements,
            SHARED=self.shared,
            num_warps=self.tile.num_warps,
            **shape,
        )


def _numbered(coefficients: Tensor | None) -> tuple:
    """Return coefficients (N or 1, E or 1, ...), contiguous, and steps.

    The steps lead from the number of one sample to the next, and from that
    of one entry to the next.
    """
    if coefficients is None:
        return None, 0, 0
    samples, entries = coefficients.shape[:2]
    steps = (entries if samples > 1 else 0, 1 if entries > 1 else 0)
    return coefficients.contiguous(), *steps


def _strided(x: Tensor | None) -> tuple:
    """Return a tensor and its four strides."""
    return (None, 0, 0, 0, 0) if x is None else (x, *x.stride())


def _run(
    terms: list[tuple[Tensor | None, Tensor | None]],
    b: Tensor | None,
    out: Tensor,
    transpose: bool,
) -> None:
    """Set ``out = A x + B z + b`` for the terms (x, A), (z, B)."""
    num_samples, entries, rows, size = out.shape
    tensors = ()
    for x, matrix in terms:
        tensors += _strided(x) + _numbered(matrix)
    tensors += _strided(out) + _numbered(b)
    if rows == 1:
        tile = scalar_tile(out, size)
        tiles = -(-size // tile.elements)
        launch(
            scalar_affine,
            -(-num_samples * entries // tile.rows) * tiles,
            tensors,
            (num_samples, entries, tiles, size),
            ENTRIES=tile.rows,
            BLOCK=tile.elements,
            num_warps=tile.num_warps,
        )
        return
    tile = linear_tile(rows, size)
    tiles = -(-size // tile.elements)
    # Entries that interleave in memory run at the same time.
    interleaved = out.stride(1) < out.stride(3)
    steps = (1, entries) if interleaved else (tiles, 1)
    launch(
        matrix_affine,
        num_samples * entries * tiles,
        tensors,
        (entries, steps[0], tiles, steps[1], size),
        ROWS=rows,
        PADDED=tile.rows,
        BLOCK=tile.elements,
        TRANSPOSE=transpose,
        num_warps=tile.num_warps,
    )


@_limited
def affine(x: Tensor, A: Tensor, b: Tensor, out: Tensor) -> None:
    """As :func:`..torch.activations.affine`."""
    _run([(x, A), (None, None)], b, out, transpose=False)


@_limited
def input_gradient(
    grad: Tensor,
    x: Tensor,
    A: Tensor,
    B: Tensor | None,
    d: Tensor | None,
    out: Tensor,
) -> None:
    """As :func:`..torch.activations.input_gradient`."""
    second = (None, None) if B is None else (x, B)
    _run([(grad, A), second], d, out, transpose=True)


@_limited
def affine_gradients(
    grad: Tensor, x: Tensor, shared: bool = False
) -> tuple[Tensor, Tensor]:
    """As :func:`..torch.activations.affine_gradients`."""
    cut, rows = _Reduction(x, shared), x.shape[2]
    sizes = (cut.total * rows * rows, cut.total * rows)
    parts = torch.empty(
        cut.num_chunks, sum(sizes), dtype=torch.float32, device=x.device
    )
    kernel = scalar_gradients if rows == 1 else matrix_gradients
    cut.launch(
        kernel, (grad, *grad.stride(), x, *x.stride(), *parts.split(sizes, 1))
    )
    summed = parts[0] if cut.num_chunks == 1 else parts.sum(0)
    dA, db = summed.split(sizes)
    shape = (cut.samples, cut.entries, rows)
    return dA.view(*shape, rows), db.view(shape)
