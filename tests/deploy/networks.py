"""Networks with norms as training leaves them, and which norms to try."""

import pytest
import torch
from torch import nn

from tests.norms.cases import CASES, KINDS
from whiten_plugins.norms.base import WhiteningNorm

KINDS_AND_SLOW_CASES = [
    *KINDS,
    *(
        pytest.param(c, marks=pytest.mark.slow)
        for c in CASES
        if c not in KINDS
    ),
]


def as_trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights, biases and running statistics; evaluation mode."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=generator)

    for module in model.modules():
        if getattr(module, 'running_mean', None) is None:
            continue
        module.running_mean.copy_(0.3 * randn(*module.running_mean.shape))
        if module.weight is not None:
            module.weight.data.copy_(1 + 0.2 * randn(*module.weight.shape))
            module.bias.data.copy_(0.2 * randn(*module.bias.shape))
        if isinstance(module, WhiteningNorm) and module.spec.whitens:
            second = getattr(module, module.covariance_buffer)
            groups, rows, _ = second.shape
            x = randn(groups, rows, 8 * rows)
            second.copy_(x @ x.mT / (8 * rows))
        else:
            module.running_var.copy_(1 + 0.5 * randn(1).tanh())
    model.train(False)
    return model


def relative_difference(actual, expected) -> float:
    """The largest difference of two outputs, tensors or sequences of them,
    relative to the largest value of each."""
    if isinstance(expected, torch.Tensor):
        actual, expected = [actual], [expected]
    assert len(actual) == len(expected) > 0
    return max(
        ((a - e).abs().max() / e.abs().max()).item()
        for a, e in zip(actual, expected)
    )
