"""The four passes over activations, in PyTorch.

Each pass walks over blocks that fit the processor's cache and does all its
work on a block while it is there: memory is read once, half precision is
widened block by block, and no temporary grows with the input. Activations
are (N, E, c, M) views of any strides; A is (N or 1, E or 1, c, c).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ...spec import Moments

_BLOCK_ELEMENTS = 1 << 20
"""4 MB of float32: large enough to hide the cost of a call, small enough
for a block and its result to stay in the last-level cache."""


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return float64 for float64, float32 for everything narrower."""
    return torch.promote_types(x.dtype, torch.float32)


def _blocks(x: Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield slices of samples and elements that cut ``x`` into blocks."""
    num_samples, entries, rows, size = x.shape
    if x.numel() == 0:
        return
    sample = entries * rows * size
    samples = max(1, _BLOCK_ELEMENTS // sample)
    elements = size
    if sample > _BLOCK_ELEMENTS:
        elements = max(1, _BLOCK_ELEMENTS // (entries * rows))
    for n in range(0, num_samples, samples):
        for m in range(0, size, elements):
            yield slice(n, n + samples), slice(m, m + elements)


def _matrices(x: Tensor, block: tuple[slice, slice]) -> Tensor:
    """Return a block of ``x`` as a batch of (c, m) matrices."""
    samples, elements = block
    x = x[samples, :, :, elements]
    return x.reshape(-1, *x.shape[2:]).to(compute_dtype(x))


def _entries(v: Tensor, x: Tensor, block: tuple[slice, slice]) -> Tensor:
    r"""Return the part of ``v`` (N or 1, E or 1, \*) for a block."""
    v = v.expand(*x.shape[:2], *v.shape[2:])[block[0]]
    return v.reshape(-1, *v.shape[2:])


def _joined(
    x: Tensor, block: tuple[slice, slice], shift: Tensor | None = None
) -> Tensor:
    """Return a block as (E, c, m), with its samples side by side.

    A shift (E, c) is subtracted from it if one is given.
    """
    samples, elements = block
    x = x[samples, :, :, elements].permute(1, 2, 0, 3)
    out = torch.empty(x.shape, dtype=compute_dtype(x), device=x.device)
    if shift is None:
        out.copy_(x)
    else:
        torch.sub(x, shift[..., None, None], out=out)
    return out.flatten(2)


def moments(x: Tensor, shared: bool = False) -> Moments:
    """Compute mean and centred covariance of every sample and group.

    Sums are taken about the mean of a sample's first block, so that no
    digits are lost where the mean is far larger than the deviation.

    Args:
        x: (N, G, c, M).
        shared: of the whole batch instead, in one reduction.

    Returns:
        mean (N, G, c) and cov (N, G, c, c), float32 or wider; N is 1 where
        shared.
    """
    if shared:
        return _batch_moments(x)
    num_samples, groups, rows, size = x.shape
    options: dict[str, Any] = {
        'dtype': compute_dtype(x),
        'device': x.device,
    }
    mean = torch.zeros(num_samples, groups, rows, **options)
    cov = torch.zeros(num_samples, groups, rows, rows, **options)
    for block in _blocks(x):
        samples, elements = block
        block_x = _matrices(x, block)
        if elements.start == 0:
            shift = block_x.mean(-1, keepdim=True)
            centred = block_x - shift
            gram = centred @ centred.mT
            total = centred.sum(-1, keepdim=True)
        else:
            centred = block_x - shift
            gram.baddbmm_(centred, centred.mT)
            total += centred.sum(-1, keepdim=True)
        if elements.stop >= size:
            offset = total / size
            mean[samples] = (shift + offset).view_as(mean[samples])
            block_cov = torch.baddbmm(
                gram, offset, offset.mT, beta=1 / size, alpha=-1
            )
            cov[samples] = block_cov.view_as(cov[samples])
    return Moments(mean, cov)


def _batch_moments(x: Tensor) -> Moments:
    """Compute moments of all samples, (1, G, c) and (1, G, c, c)."""
    _, groups, rows, _ = x.shape
    options: dict[str, Any] = {
        'dtype': compute_dtype(x),
        'device': x.device,
    }
    shift = torch.zeros(groups, rows, **options)
    total = torch.zeros(groups, rows, **options)
    gram = torch.zeros(groups, rows, rows, **options)
    for number, block in enumerate(_blocks(x)):
        if number == 0:
            shift = _joined(x, block).mean(-1)
        centred = _joined(x, block, shift)
        gram.baddbmm_(centred, centred.mT)
        total += centred.sum(-1)
    count = max(1, len(x) * x.shape[-1])
    offset = (total / count).unsqueeze(-1)
    cov = torch.baddbmm(gram, offset, offset.mT, beta=1 / count, alpha=-1)
    return Moments((shift + offset.squeeze(-1)).unsqueeze(0), cov.unsqueeze(0))


@contextmanager
def _writing(out: Tensor, block: tuple[slice, slice]) -> Iterator[Tensor]:
    """Provide a block of ``out`` as (c, m) matrices to write to."""
    samples, elements = block
    target = out[samples, :, :, elements]
    matrices = target.flatten(0, 1)
    wide = compute_dtype(out)
    in_place = matrices.dtype == wide and matrices._is_view()
    matrices = matrices if in_place else torch.empty_like(matrices, dtype=wide)
    yield matrices
    if not in_place:
        target.copy_(matrices.view(target.shape))


def _multiply(matrix: Tensor, x: Tensor, out: Tensor) -> None:
    """Set ``out = matrix @ x`` for a batch of (c, m) matrices."""
    if matrix.shape[-1] == 1:
        torch.mul(x, matrix, out=out)
    else:
        torch.bmm(matrix, x, out=out)


def _multiply_add(matrix: Tensor, x: Tensor, out: Tensor) -> None:
    """Add ``matrix @ x`` to ``out``."""
    if matrix.shape[-1] == 1:
        out.addcmul_(x, matrix)
    else:
        out.baddbmm_(matrix, x)


def affine(x: Tensor, A: Tensor, b: Tensor, out: Tensor) -> None:
    """Set ``out = A x + b``.

    Args:
        x: (N, E, c, M).
        A: (N or 1, E or 1, c, c).
        b: (N or 1, E or 1, c).
        out: (N, E, c, M), written.
    """
    b = b.unsqueeze(-1)
    for block in _blocks(x):
        with _writing(out, block) as y:
            _multiply(_entries(A, x, block), _matrices(x, block), y)
            y += _entries(b, x, block)


def affine_gradients(
    grad: Tensor, x: Tensor, shared: bool = False
) -> tuple[Tensor, Tensor]:
    """Compute the gradients of the affine map's coefficients.

    dA = sum over elements of g x^T, db = sum over elements of g. x is taken
    about its first element, again for the sake of digits.

    Args:
        grad: g, the gradient of the output, (N, E, c, M).
        x: (N, E, c, M).
        shared: all samples have the same coefficients.

    Returns:
        dA (N, E, c, c) and db (N, E, c), float32 or wider; N is 1 where
        shared.
    """
    num_samples, entries, rows, _ = x.shape
    num_samples = 1 if shared else num_samples
    options: dict[str, Any] = {
        'dtype': compute_dtype(x),
        'device': x.device,
    }
    dA = torch.zeros(num_samples, entries, rows, rows, **options)
    db = torch.zeros(num_samples, entries, rows, **options)
    if not x.numel():
        return dA, db
    shift = x[:num_samples, ..., :1].to(dA.dtype)
    for block in _blocks(x):
        if shared:
            block_grad = _joined(grad, block)
            block_x = _joined(x, block, shift[0, ..., 0])
            dA[0].baddbmm_(block_grad, block_x.mT)
            db[0].add_(block_grad.sum(-1))
        else:
            block_grad = _matrices(grad, block)
            block_x = _matrices(x, block) - _entries(shift, x, block)
            dA[block[0]].flatten(0, 1).baddbmm_(block_grad, block_x.mT)
            db[block[0]].flatten(0, 1).add_(block_grad.sum(-1))
    dA += db.unsqueeze(-1) * shift.mT
    return dA, db


def input_gradient(
    grad: Tensor,
    x: Tensor,
    A: Tensor,
    B: Tensor | None,
    d: Tensor | None,
    out: Tensor,
) -> None:
    """Set ``out = A^T g + B x + d``; without statistics, ``A^T g`` alone.

    Args:
        grad: g, the gradient of the output, (N, E, c, M).
        x: (N, E, c, M).
        A: coefficients of the forward map, (N or 1, E or 1, c, c).
        B: what reaches x through the covariances, as A.
        d: what reaches x through the means, (N or 1, E or 1, c).
        out: (N, E, c, M), written.
    """
    for block in _blocks(x):
        with _writing(out, block) as dx:
            _multiply(_entries(A.mT, x, block), _matrices(grad, block), dx)
            if B is not None and d is not None:
                _multiply_add(_entries(B, x, block), _matrices(x, block), dx)
                dx += _entries(d.unsqueeze(-1), x, block)
