r"""Where the importance ratios of a converted layer start.

1. At the source's own, where the layer mixes all of the source's statistics;
   those that the source does not mix share 1 - ``KEPT_SHARE``.
2. Otherwise as asked: ``uniform``, all alike, as in a new layer; or ``bn``,
   with ``KEPT_SHARE`` for the batch's statistic (``bn``, or ``bw`` where the
   layer mixes no ``bn``), the rest shared by the others.

Why ``KEPT_SHARE`` is not 1: a logit learns by :math:`\partial L / \partial
\lambda_k = w_k (g_k - \sum_j w_j g_j)`, which is 0 for good once the softmax
is one-hot in float32. At 0.999 the statistics are the batch's to a
thousandth, and gradients are 200 times smaller than those of equal ratios
(w (1 - w) for 0.999 and for 1/3): small, but ones that an optimizer can
follow, faster with ``ratio_lr_mult``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...norms.base import WhiteningNorm
from ..norm_layers import LOGITS, NormLayer

INIT_RATIOS = ('uniform', 'bn')
KEPT_SHARE = 0.999


@dataclass(frozen=True)
class RatioStart:
    """The ratio logits of a layer.

    Attributes:
        logits: the tensors by name.
        carried: names of those that are the source's.
        started: how the others start, by name.
    """

    logits: dict[str, Tensor]
    carried: list[str] = field(default_factory=list)
    started: dict[str, str] = field(default_factory=dict)


def start_ratios(
    norm: WhiteningNorm, learned: NormLayer | None, init_ratios: str
) -> RatioStart:
    """Return the logits that a layer starts with.

    Args:
        norm: the layer, with logits as in a new one.
        learned: the norm that it takes the place of, if that learned ratios.
        init_ratios: 'uniform' or 'bn'.
    """
    own = norm.state_dict()
    logits = {name: own[name].clone() for name in LOGITS if name in own}
    if learned is not None and set(learned.stats) <= set(norm.stats):
        found = dict(zip(LOGITS, learned.logits))
        if _representable(norm, found):
            return _carried(norm, logits, found, learned.stats)
    batch = batch_statistic(norm.stats)
    if init_ratios == 'uniform' or batch is None:
        return RatioStart(logits, started=dict.fromkeys(logits, 'uniform'))
    for values in logits.values():
        others = len(norm.stats) - 1
        if others:
            gap = math.log(others) + _log_odds(KEPT_SHARE)
            values[..., norm.stats.index(batch)] += gap
    how = f'{KEPT_SHARE:g} {batch}'
    return RatioStart(logits, started=dict.fromkeys(logits, how))


def batch_statistic(stats: tuple[str, ...]) -> str | None:
    """Return the statistic that alone makes a layer a BatchNorm.

    That is ``bn`` or, as the nearest to it, ``bw``; None for a layer that
    normalizes single samples.
    """
    return next((name for name in ('bn', 'bw') if name in stats), None)


def _representable(norm: WhiteningNorm, found: dict[str, Tensor]) -> bool:
    """Return whether a layer can hold the logits of the source."""
    if norm.tie_weight and not torch.equal(*found.values()):
        return False
    return all(
        values.dim() == 1 or len(values) == norm.ratio_groups
        for values in found.values()
    )


def _carried(
    norm: WhiteningNorm,
    logits: dict[str, Tensor],
    found: dict[str, Tensor],
    stats: tuple[str, ...],
) -> RatioStart:
    new = [name for name in norm.stats if name not in stats]
    for name, values in logits.items():
        theirs = found[name].to(values.dtype)
        for index, stat in enumerate(norm.stats):
            if stat in stats:
                values[..., index] = theirs[..., stats.index(stat)]
            else:
                gap = math.log(len(new)) + _log_odds(KEPT_SHARE)
                values[..., index] = theirs.logsumexp(-1) - gap
    if not new:
        return RatioStart(logits, carried=list(logits))
    how = f"the source's, {1 - KEPT_SHARE:g} for {', '.join(new)}"
    return RatioStart(logits, started=dict.fromkeys(logits, how))


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))
