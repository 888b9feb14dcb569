"""The four passes over activations, in Triton.

Arguments and results are those of :mod:`..torch.activations`; groups of more
than :data:`.tuning.MAX_ROWS` rows are PyTorch's.
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
from .layouts import ELEMENTS, ENTRIES, Layout, layout_of
from .statistics import Cut, empty_moments, merge_parts
from .tuning import (
    MAX_ROWS,
    chunks,
    gram_tile,
    launch,
    linear_tile,
    scalar_tile,
)


def _limited(function: Callable) -> Callable:
    """Hand what the kernels do not take to PyTorch."""
    reference = getattr(pytorch, function.__name__)

    @functools.wraps(function)
    def limited(x: Tensor, *args):
        return (function if x.shape[2] <= MAX_ROWS else reference)(x, *args)

    return limited


@_limited
def moments(x: Tensor, shared: bool = False) -> Moments:
    """As :func:`..torch.activations.moments`."""
    cut = Reduction(x, shared)
    parts = parts_of_moments(cut)
    if cut.num_chunks == 1:
        return parts
    merged = empty_moments(parts.mean, cut.samples, cut.entries)
    merge_parts(parts, cut.parts(), merged, None)
    return merged


def parts_of_moments(cut: Reduction, out: Moments | None = None) -> Moments:
    """Return the moments of every chunk, (N, E * chunks, c) and (…, c, c).

    Args:
        cut: into chunks.
        out: where they go; new tensors by default.
    """
    x, parts = cut.x, out
    if parts is None:
        shape = (cut.samples, cut.entries * cut.num_chunks, cut.rows)
        mean = torch.empty(shape, dtype=torch.float32, device=x.device)
        parts = Moments(mean, mean.new_empty(*shape, cut.rows))
    kernel = scalar_moments if cut.rows == 1 else matrix_moments
    cut.launch(kernel, (x, *cut.layout.strides, *parts))
    return parts


class Reduction:
    """How a sum over elements is cut into chunks and tiles.

    Args:
        x: (N, E, c, M).
        shared: over the elements of all samples, as if they were one.
    """

    def __init__(self, x: Tensor, shared: bool) -> None:
        self.x, self.layout, self.shared = x, layout_of(x), shared
        self.samples, self.entries, self.rows, self.width = x.shape
        self.size = self.width
        if shared:
            self.size *= self.samples
            self.samples = 1
        self.total = self.samples * self.entries
        if self.rows == 1:
            self.tile = scalar_tile(x, self.layout)
            self.programs = -(-self.total // self.tile.rows)
        else:
            self.tile = gram_tile(self.rows)
            self.programs = self.total
        self.num_chunks, self.num_tiles = chunks(
            self.size, self.programs, self.tile, x
        )

    def parts(self, slots: int = 1) -> Cut:
        """Describe the chunks of groups of ``slots`` entries."""
        return Cut(
            self.samples,
            self.entries,
            slots,
            self.num_chunks,
            self.num_tiles * self.tile.elements,
            self.size,
        )

    def launch(self, kernel: Callable, tensors: tuple, **layouts: int) -> None:
        """Run a kernel on all chunks."""
        if self.rows == 1:
            shape = {'TILE_ENTRIES': self.tile.rows}
        else:
            shape = {'ROWS': self.rows, 'PADDED': self.tile.rows}
        extent = self.layout.extent
        launch(
            kernel,
            self.programs * self.num_chunks,
            tensors,
            (
                self.samples,
                extent(self.entries, ENTRIES),
                *(self.num_chunks, self.num_tiles),
                extent(self.size, ELEMENTS),
                extent(self.width, ELEMENTS),
            ),
            BLOCK=self.tile.elements,
            SHARED=self.shared,
            LAYOUT=self.layout.code,
            num_warps=self.tile.num_warps,
            **shape,
            **layouts,
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


_NOTHING = Layout(0, (0, 0, 0, 0))


def _run(
    terms: list[tuple[Tensor | None, Tensor | None]],
    b: Tensor | None,
    out: Tensor,
    transpose: bool,
) -> None:
    """Set ``out = A x + B z + b`` for the terms (x, A), (z, B)."""
    num_samples, entries, rows, size = out.shape
    tensors: tuple = ()
    layouts = []
    for x, matrix in terms:
        layouts.append(_NOTHING if x is None else layout_of(x))
        tensors += (x, *layouts[-1].strides, *_numbered(matrix))
    layouts.append(layout_of(out))
    tensors += (out, *layouts[-1].strides, *_numbered(b))
    extent = layouts[0].extent
    names = ('LAYOUT', 'LAYOUT_Z', 'LAYOUT_OUT')
    codes = {name: layout.code for name, layout in zip(names, layouts)}
    if rows == 1:
        tile = scalar_tile(out, layouts[-1])
        tiles = -(-size // tile.elements)
        launch(
            scalar_affine,
            -(-num_samples * entries // tile.rows) * tiles,
            tensors,
            (
                num_samples,
                extent(entries, ENTRIES),
                tiles,
                extent(size, ELEMENTS),
            ),
            TILE_ENTRIES=tile.rows,
            BLOCK=tile.elements,
            num_warps=tile.num_warps,
            **codes,
        )
        return
    tile = linear_tile(rows)
    tiles = -(-size // tile.elements)
    # Entries that interleave in memory run at the same time.
    interleaved = out.stride(1) < out.stride(3)
    steps = (1, entries) if interleaved else (tiles, 1)
    launch(
        matrix_affine,
        num_samples * entries * tiles,
        tensors,
        (
            extent(entries, ENTRIES),
            *(steps[0], tiles, steps[1]),
            extent(size, ELEMENTS),
        ),
        ROWS=rows,
        PADDED=tile.rows,
        BLOCK=tile.elements,
        TRANSPOSE=transpose,
        num_warps=tile.num_warps,
        **codes,
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
    cut = Reduction(x, shared)
    parts, sizes = parts_of_gradients(cut, grad)
    summed = parts[0] if cut.num_chunks == 1 else parts.sum(0)
    dA, db = summed.split(sizes)
    shape = (cut.samples, cut.entries, cut.rows)
    return dA.view(*shape, cut.rows), db.view(shape)


def parts_of_gradients(
    cut: Reduction, grad: Tensor
) -> tuple[Tensor, list[int]]:
    """Return the sums of every chunk, and the sizes of dA and db in them."""
    x, rows = cut.x, cut.rows
    sizes = [cut.total * rows * rows, cut.total * rows]
    parts = torch.empty(
        cut.num_chunks, sum(sizes), dtype=torch.float32, device=x.device
    )
    kernel = scalar_gradients if rows == 1 else matrix_gradients
    of_grad = layout_of(grad)
    tensors = (x, *cut.layout.strides, grad, *of_grad.strides)
    cut.launch(
        kernel, (*tensors, *parts.split(sizes, 1)), LAYOUT_G=of_grad.code
    )
    return parts, sizes
