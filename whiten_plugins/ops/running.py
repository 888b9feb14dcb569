"""Running statistics: what evaluation reads for the batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .spec import Moments


class Running(NamedTuple):
    """A norm's buffers.

    ``mean`` is (C,); ``second`` is a variance (C,), or covariances or
    whitening matrices (G, c, c).
    """

    mean: Tensor
    second: Tensor

    def moments(self, num_rows: int, dtype: torch.dtype) -> Moments:
        """The buffers as (1, G, c) and (1, G, c, c), without a copy where
        they have ``dtype``."""
        return Moments(
            self.mean.view(1, -1, num_rows).to(dtype),
            self.second.view(1, -1, num_rows, num_rows).to(dtype),
        )


def update_running(
    running: Running, mean: Tensor, second: Tensor, momentum: float
) -> None:
    """running = (1 - momentum) * running + momentum * batch, in place.

    A group whose batch statistics hold NaN or Inf keeps its old values.

    Args:
        running: the buffers.
        mean: batch mean, (1, G, c).
        second: batch covariance or whitening matrix, (1, G, c, c).
        momentum: weight of the batch, in [0, 1].
    """
    groups = mean.shape[1]
    sums = mean.view(groups, -1).sum(1) + second.view(groups, -1).sum(1)
    finite = sums.isfinite().unsqueeze(1)
    for buffer, value in zip(running, (mean, second)):
        old = buffer.view(groups, -1)
        value = value.view(groups, -1).to(old.dtype)
        old.copy_(torch.where(finite, old.lerp(value, momentum), old))
