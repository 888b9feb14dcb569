"""What becomes of moments between the passes.

Moments merge in a kernel; the rest is PyTorch's.
"""

from __future__ import annotations

from ...spec import Moments
from ..torch import statistics as pytorch
from ..torch.statistics import moments_backward, update_running
from .kernels.merge import merge
from .tuning import MAX_ROWS, launch, merge_tile

__all__ = [
    'merge_parts',
    'merge_samples',
    'moments_backward',
    'update_running',
]


def merge_parts(
    parts: Moments,
    shape: tuple[int, int],
    strides: tuple[int, int],
    length: int,
    size: int,
) -> Moments:
    """Merge parts of ``length`` elements, ``size`` in all.

    Args:
        parts: contiguous moments (..., c) and (..., c, c), numbered along
            their leading dimensions.
        shape: leading dimensions of the result.
        strides: from one part's number to the next part's, and from one
            group's to the next group's.
        length: elements of a part; the last may have fewer.
        size: elements of all parts.
    """
    rows = parts.mean.shape[-1]
    mean = parts.mean.new_empty(*shape, rows)
    cov = parts.cov.new_empty(*shape, rows, rows)
    num_parts = -(-size // length)
    tile = merge_tile(rows, num_parts)
    blocks = -(-rows // tile.rows)
    launch(
        merge,
        shape[0] * shape[1] * blocks,
        (*parts, mean, cov),
        (num_parts, *strides, length, size, blocks),
        ROWS=rows,
        PADDED=tile.columns,
        BLOCK=tile.rows,
        BLOCK_PARTS=tile.parts,
        num_warps=tile.num_warps,
    )
    return Moments(mean, cov)


def merge_samples(sample: Moments) -> Moments:
    """As :func:`..torch.statistics.merge_samples`."""
    samples, groups, rows = sample.mean.shape
    if rows > MAX_ROWS or samples == 0:
        return pytorch.merge_samples(sample)
    return merge_parts(sample, (1, groups), (groups, 1), 1, samples)
