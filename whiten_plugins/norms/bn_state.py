"""Loading a BatchNorm state dict into any norm of the family."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..ops import NormSpec

_LOGITS = ('mean_weight', 'var_weight')
_COVARIANCES = ('running_var', 'running_cov', 'running_wm')
_BN_BUFFERS = ('running_mean', 'running_var', 'num_batches_tracked')


def adopt_bn_state(
    spec: NormSpec,
    tensors: Mapping[str, Tensor],
    state_dict: Mapping[str, Tensor],
    prefix: str,
    num_features: int,
) -> dict[str, Tensor]:
    """Return a norm's part of ``state_dict``, completed if it is BatchNorm's.

    What BatchNorm does not have starts from what it has: covariances and
    whitening matrices from the variances on their diagonal, ratio logits
    from where the norm has them. Running statistics that the norm does not
    keep are left out. Anything but a BatchNorm's state is returned as it is.

    Args:
        spec: of the norm that loads.
        tensors: its parameters and buffers by name.
        state_dict: a model's state dict.
        prefix: of the norm's keys in it.
        num_features: channels of the norm.
    """
    own = {k: v for k, v in state_dict.items() if k.startswith(prefix)}
    variance = own.get(prefix + 'running_var')
    if variance is None or prefix + 'mean_weight' in own:
        return own
    if variance.shape != (num_features,):
        return own
    # Old checkpoints lack num_batches_tracked; torch starts it at 0 then.
    own.setdefault(prefix + 'num_batches_tracked', torch.tensor(0))
    for name in _BN_BUFFERS:
        if name not in tensors:
            own.pop(prefix + name, None)
    for name in _COVARIANCES:
        if name in tensors:
            own[prefix + name] = _from_variance(spec, variance)
    for name in _LOGITS:
        if name in tensors:
            own[prefix + name] = _start_logits(tensors[name], variance.device)
    return own


def _from_variance(spec: NormSpec, variance: Tensor) -> Tensor:
    """Build a diagonal covariance or whitening matrix from variances."""
    if spec.running == 'matrix':
        variance = (variance + spec.eps).rsqrt()
    if not spec.whitens:
        return variance
    return variance.view(-1, spec.num_rows).diag_embed()


def _start_logits(logits: Tensor, device: torch.device) -> Tensor:
    """Return the norm's logits, or equal ones if it has no storage yet."""
    if logits.is_meta:
        return torch.ones(logits.shape, dtype=logits.dtype, device=device)
    return logits.detach()
