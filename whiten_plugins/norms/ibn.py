"""Norms that give each statistic a part of the channels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..ops import NormSpec
from .base import SyncStatistics, WhiteningNorm

STATS = ('in', 'bn')


class IBN(WhiteningNorm):
    r"""Instance-batch normalization: some channels by IN, the others by BN.

    From the paper `Two at Once: Enhancing Learning and Generalization
    Capacities via IBN-Net <https://arxiv.org/abs/1807.09441>`__ (IBN). The
    first ``half`` of the channels is InstanceNorm, the rest BatchNorm:

    .. math::
        y_c = \gamma_c \frac{x_c - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}}
            + \beta_c

    with mean and variance of each sample where :math:`c < hC`, of the batch
    elsewhere. There are no ratios to learn. Running statistics are kept of
    all channels, so that BatchNorm checkpoints load; those of the first
    part are not used.

    Args:
        num_features: C, channels of the input.
        eps: added to the variance.
        momentum: weight of a batch in the running statistics, as torch's
            BatchNorm means it; None for a cumulative average.
        affine: learn ``weight`` (gamma) and ``bias`` (beta).
        half: share of the channels that are InstanceNorm, rounded down as
            the authors do; between 0 and 1, with channels left for both.
            1 is InstanceNorm (IBN-b).

    Shape:
        - Input: (N, C, \*), more than one element a channel and sample.
        - Output: as the input, in its dtype and memory format.

    Raises:
        ValueError: for arguments out of range, and in ``forward`` if a
            channel has one element.

    Examples::

        >>> import torch
        >>> y = IBN(64)(torch.randn(2, 64, 50, 80))
    """

    if TYPE_CHECKING:  # as in the base
        num_instance: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        half: float = 0.5,
    ) -> None:
        num_instance = int(num_features * half)
        if not 0 < num_instance <= num_features:
            raise ValueError(
                f'half={half} of num_features={num_features} channels are '
                f'{num_instance} with InstanceNorm; it must be between '
                f'{1 / num_features:g} and 1'
            )
        spec = NormSpec(STATS, num_rows=1, eps=eps, hard=True)
        super().__init__(
            num_features,
            spec,
            momentum,
            affine,
            tie_weight=True,
            ratio_groups=num_features // math.gcd(num_features, num_instance),
        )
        self._half = half  # `half` is a method of modules
        self.num_instance = num_instance

    def _logits(self, input: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return fixed choices, one for each group of channels."""
        groups = torch.arange(self.ratio_groups, device=input.device)
        share = self.ratio_groups * self.num_instance // self.num_features
        instance = (groups < share).float()
        choices = torch.stack([instance, 1 - instance], dim=1)
        return choices, choices

    def _check_input(self, input: Tensor) -> None:
        super()._check_input(input)
        if input.shape[0] and input.shape[2:].numel() == 1:
            raise ValueError(
                'expected more than one value per channel and sample for '
                f'InstanceNorm, got input size {tuple(input.shape)}'
            )

    def _shown_arguments(self) -> dict[str, Any]:
        shown = super()._shown_arguments()
        del shown['running']
        return {**shown, 'half': self._half}


class SyncIBN(SyncStatistics, IBN):
    """:class:`IBN` whose batch statistics span all processes.

    :class:`~.base.SyncStatistics` says how. Takes the arguments of
    :class:`IBN`, and ``process_group``.

    Examples::

        >>> import torch
        >>> norm_cfg = dict(type='SyncIBN')
        >>> y = SyncIBN(64)(torch.randn(2, 64, 50, 80))
    """
