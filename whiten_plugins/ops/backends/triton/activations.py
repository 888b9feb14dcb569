"""The four passes over activations, in Triton.

Arguments and results are those of :mod:`..torch.activations`; groups of more
than 128 rows are PyTorch's.
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
    MAX_ROWS,
    chunks,
    gram_tile,
    launch,
    linear_tile,
    scalar_tile,
)


def _limited(function: Callable) -> Callable:
    """``function``, but PyTorch's for groups of too many rows."""
    reference = getattr(pytorch, function.__name__)

    @functools.wraps(function)
    def limited(x: Tensor, *args):
        chosen = function if x.shape[2] <= MAX_ROWS else reference
        return chosen(x, *args)

    return limited


@_limited
def moments(x: Tensor) -> Moments:
    """As :func:`..torch.activations.moments`."""
    num_samples, groups, rows, size = x.shape
    entries = num_samples * groups
    tile = scalar_tile(x) if rows == 1 else gram_tile(rows, size)
    programs = -(-entries // tile.rows) if rows == 1 else entries
    num_chunks, length = chunks(size, programs, tile, x)
    shape = (num_samples, groups * num_chunks, rows)
    mean = torch.empty(shape, dtype=torch.float32, device=x.device)
    parts = Moments(mean, mean.new_empty(*shape, rows))
    if rows == 1:
        kernel, shape = scalar_moments, {'ENTRIES': tile.rows}
    else:
        kernel, shape = matrix_moments, {'ROWS': rows, 'PADDED': tile.rows}
    launch(
        kernel,
        programs * num_chunks,
        (x, *x.stride(), *parts),
        (groups, entries, num_chunks, length, size),
        BLOCK=tile.elements,
        num_warps=tile.num_warps,
        **shape,
    )
    if num_chunks == 1:
        return parts
    return merge_parts(
        parts, (num_samples, groups), (1, num_chunks), length, size
    )


def _numbered(coefficients: Tensor | None) -> tuple:
    """Contiguous coefficients (N or 1, E or 1, ...) and the steps of their
    number from a sample and from an entry to the next."""
    if coefficients is None:
        return None, 0, 0
    samples, entries = coefficients.shape[:2]
    steps = (entries if samples > 1 else 0, 1 if entries > 1 else 0)
    return coefficients.contiguous(), *steps


def _strided(x: Tensor | None) -> tuple:
    """A tensor and its four strides."""
    return (None, 0, 0, 0, 0) if x is None else (x, *x.stride())


def _run(
    terms: list[tuple[Tensor | None, Tensor | None]],
    b: Tensor | None,
    out: Tensor,
    transpose: bool,
) -> None:
    """``out = A x + B z + b`` for the terms (x, A), (z, B)."""
    num_samples, entries, rows, size = out.shape
    tensors = ()
    for x, matrix in terms:
        tensors += _strided(x) + _numbered(matrix)
    tensors += _strided(out) + _numbered(b)
    if rows == 1:
        tile = scalar_tile(out)
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
def affine_gradients(grad: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`..torch.activations.affine_gradients`."""
    num_samples, entries, rows, size = x.shape
    total = num_samples * entries
    tile = scalar_tile(x) if rows == 1 else gram_tile(rows, size)
    programs = -(-total // tile.rows) if rows == 1 else total
    num_chunks, length = chunks(size, programs, tile, x)
    sizes = (total * rows * rows, total * rows)
    parts = torch.empty(
        num_chunks, sum(sizes), dtype=torch.float32, device=x.device
    )
    if rows == 1:
        kernel, shape = scalar_gradients, {'ENTRIES': tile.rows}
    else:
        kernel, shape = matrix_gradients, {'ROWS': rows, 'PADDED': tile.rows}
    launch(
        kernel,
        programs * num_chunks,
        (grad, *grad.stride(), x, *x.stride(), *parts.split(sizes, 1)),
        (entries, total, num_chunks, length, size),
        BLOCK=tile.elements,
        num_warps=tile.num_warps,
        **shape,
    )
    summed = parts[0] if num_chunks == 1 else parts.sum(0)
    dA, db = summed.split(sizes)
    return (
        dA.view(num_samples, entries, rows, rows),
        db.view(num_samples, entries, rows),
    )
