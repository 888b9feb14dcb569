"""What becomes of moments between the passes.

Chunks of a sample merge in a kernel; the rest is PyTorch's.
"""

from __future__ import annotations

from ...spec import Moments
from ..torch.statistics import merge_samples, moments_backward, update_running
from .kernels.merge import merge
from .tuning import launch, merge_tile

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
    """Merges parts of ``length`` elements, ``size`` in all.

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
