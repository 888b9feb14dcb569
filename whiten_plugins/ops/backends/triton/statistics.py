"""Moments of parts become those of samples and of the batch, in one kernel.

What else becomes of moments between the passes, step by step, is PyTorch's.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ...spec import Moments
from ..torch import statistics as pytorch
from ..torch.statistics import moments_backward, update_running
from .kernels.merge import merge
from .tuning import MAX_ROWS, launch, merge_tile

__all__ = [
    'Cut',
    'merge_parts',
    'merge_samples',
    'moments_backward',
    'update_running',
]


class Cut(NamedTuple):
    """How the elements of groups are cut into parts.

    A sample has ``entries`` entries, ``slots`` of them in each group; an
    entry has ``chunks`` chunks of ``length`` elements, ``size`` in all.
    """

    samples: int
    entries: int
    slots: int
    chunks: int
    length: int
    size: int

    @property
    def groups(self) -> int:
        """Groups of a sample."""
        return self.entries // self.slots


def merge_parts(
    parts: Moments,
    cut: Cut,
    of_samples: Moments | None,
    of_batch: Moments | None,
    counted: Tensor | None = None,
) -> None:
    """Merge parts to the moments of samples, of the batch, or both.

    Args:
        parts: contiguous moments (..., c) and (..., c, c), numbered by
            sample, entry and chunk.
        cut: what they are parts of.
        of_samples: (N, G, c) and (N, G, c, c), written; None for no samples.
        of_batch: (1, G, c) and (1, G, c, c), likewise.
        counted: an integer that becomes 0.
    """
    rows = parts.mean.shape[-1]
    tile = merge_tile(rows)
    blocks = -(-rows // tile.rows)
    units = (cut.samples if of_samples else 0) + (1 if of_batch else 0)
    nothing = (None, None)
    launch(
        merge,
        units * cut.groups * blocks,
        (*parts, *(of_samples or nothing), *(of_batch or nothing), counted),
        (
            *(cut.samples, cut.groups, cut.entries, cut.slots),
            *(cut.chunks, cut.length, cut.size, blocks),
        ),
        ROWS=rows,
        PADDED=tile.columns,
        BLOCK=tile.rows,
        BLOCK_PARTS=tile.parts,
        num_warps=tile.num_warps,
    )


def empty_moments(like: Tensor, samples: int, groups: int) -> Moments:
    """Return room for moments of so many rows as those of ``like``."""
    rows = like.shape[-1]
    shape = samples, groups, rows
    return Moments(like.new_empty(shape), like.new_empty(*shape, rows))


def merge_samples(sample: Moments) -> Moments:
    """As :func:`..torch.statistics.merge_samples`."""
    samples, groups, rows = sample.mean.shape
    if rows > MAX_ROWS or samples == 0:
        return pytorch.merge_samples(sample)
    batch = empty_moments(sample.mean, 1, groups)
    merge_parts(sample, Cut(samples, groups, 1, 1, 1, 1), None, batch)
    return batch
