"""Loading a BatchNorm state dict into any norm of the family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .base import WhiteningNorm


def _second_from_variance(norm: WhiteningNorm, variance: Tensor) -> Tensor:
    """A diagonal running covariance or whitening matrix from variances."""
    rows = norm.spec.num_rows
    if norm.spec.running == 'matrix':
        variance = (variance + norm.eps).rsqrt()
    if not norm.spec.whitens:
        return variance
    return variance.view(-1, rows).diag_embed()


def adopt_bn_state(
    norm: WhiteningNorm, state_dict: Mapping[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    """``norm``'s part of ``state_dict``, completed where it is BatchNorm's.

    What BatchNorm does not have starts from what it has: covariances and
    whitening matrices from the variances on their diagonal, ratio logits
    from where ``norm`` has them. Running statistics that ``norm`` does not
    keep are left out. Anything but a BatchNorm's state is returned as it is.

    Args:
        norm: the norm that loads.
        state_dict: a model's state dict.
        prefix: of the keys of ``norm`` in it.
    """
    own = {k: v for k, v in state_dict.items() if k.startswith(prefix)}
    variance = own.get(prefix + 'running_var')
    is_batch_norm = variance is not None and prefix + 'mean_weight' not in own
    if not is_batch_norm or variance.shape != (norm.num_features,):
        return own
    # BatchNorms of old have no count; torch's own starts it at 0 then.
    own.setdefault(prefix + 'num_batches_tracked', torch.tensor(0))
    for name in ('running_mean', 'running_var', 'num_batches_tracked'):
        if name not in norm._buffers:
            own.pop(prefix + name, None)
    second = norm.second_buffer
    if second is not None:
        own[prefix + second] = _second_from_variance(norm, variance)
    for name in ('mean_weight', 'var_weight'):
        logits = norm._parameters.get(name)
        if logits is not None:
            own[prefix + name] = logits.detach()
    return own
