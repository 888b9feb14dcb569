r"""Norms that are a fixed affine map in evaluation."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from ..norms.base import WhiteningNorm
from ..ops import (
    SAMPLE_STATS,
    Coefficients,
    Parameters,
    Running,
    running_coefficients,
)
from .alterations import alteration


class FoldError(Exception):
    """Why a norm has to stay, in words that follow its name."""


class FixedMap(NamedTuple):
    """y = A x + b on groups of neighbouring channels.

    ``A`` is (G, c, c), ``b`` is (G, c), both float64.
    """

    A: Tensor
    b: Tensor


@torch.no_grad()
def fixed_map(norm: nn.Module) -> FixedMap:
    """Return the affine map that a norm is in evaluation.

    Args:
        norm: BatchNorm of any kind, InstanceNorm with running statistics, or
            a norm of this package whose every statistic is the batch's: one
            of batch statistics alone, or one whose other ratios are 0.

    Raises:
        FoldError: if its statistics are those of its input.
    """
    if norm.training:
        raise FoldError('is in training mode')
    if isinstance(norm, WhiteningNorm):
        _check_forward(norm)
        return _of_whitening_norm(norm)
    if not isinstance(norm, _NormBase):
        raise FoldError('takes its statistics from each sample')
    _check_forward(norm)
    if norm.running_mean is None or norm.running_var is None:
        raise FoldError('keeps no running statistics')
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        scale = scale * norm.weight.double()
        shift = shift * norm.weight.double() + norm.bias.double()
    return FixedMap(scale.view(-1, 1, 1), shift.view(-1, 1))


_FORWARDS = {
    kind.forward
    for kind in (WhiteningNorm, _BatchNorm, nn.SyncBatchNorm, _InstanceNorm)
}


def _check_forward(norm: nn.Module) -> None:
    """Raise an error if a norm may compute something of its own.

    It may be altered, or of a subclass with another forward.
    """
    altered = alteration(norm)
    if altered:
        raise FoldError(altered)
    if type(norm).forward not in _FORWARDS:
        raise FoldError(f'is a {type(norm).__name__}, with its own forward')


def _of_whitening_norm(norm: WhiteningNorm) -> FixedMap:
    stats = _used_stats(norm)
    of_sample = [name for name in stats if name in SAMPLE_STATS]
    if of_sample:
        raise FoldError(
            f'takes {", ".join(of_sample)} statistics from each sample'
        )
    A, b, _ = norm_coefficients(norm, stats)
    return FixedMap(A.squeeze(0).double(), b.squeeze(0).double())


@torch.no_grad()
def norm_coefficients(norm: Any, stats: tuple[str, ...]) -> Coefficients:
    """Compute A, b and the whitening matrix from running statistics.

    They are as precise as in the norm itself, so that eigenvectors have the
    signs that they have there.

    Args:
        norm: a norm with batch statistics.
        stats: those of its statistics, all the batch's, that take part.
    """
    running = Running(norm.running_mean, getattr(norm, norm.covariance_buffer))
    cov_logits = norm.mean_weight if norm.tie_weight else norm.var_weight
    return running_coefficients(
        running,
        Parameters(norm.weight, norm.bias, norm.mean_weight, cov_logits),
        norm.spec,
        stats,
    )


def _used_stats(norm: WhiteningNorm) -> tuple[str, ...]:
    """Return those of the norm's statistics that its ratios let through.

    Ratios are exactly 0 where the norm is hard, and where its logits are so
    far apart that their softmax is, as in a hardened checkpoint.
    """
    if not norm.has_ratios:
        return norm.spec.stats
    used = {
        name
        for ratios in norm.ratios().values()
        for name, ratio in ratios.items()
        if ratio > 0
    }
    return tuple(name for name in norm.stats if name in used)
