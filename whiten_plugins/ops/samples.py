"""The first steps of the core alone, for those who measure activations."""

from __future__ import annotations

from torch import Tensor

from .backends.torch import activations
from .backends.torch.whitening import newton_schulz
from .layout import statistics_view
from .spec import Moments, NormSpec

__all__ = ['newton_schulz', 'sample_moments']


def sample_moments(x: Tensor, spec: NormSpec) -> Moments:
    r"""Compute the moments of every sample of (N, C, \*).

    They are those that a norm with this ``spec`` would take, by PyTorch's
    operations whatever the device and the type of ``x``.
    """
    return activations.moments(statistics_view(x, spec))
