"""Norms, inputs and comparisons of the checks on a GPU: torch alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from whiten_plugins.norms.switchable import SN, SW
from whiten_plugins.norms.whitening import BW, GW, IW, ItN

NORMS: dict[str, Callable[[int], nn.Module]] = {
    'SN': SN,
    'SN hard': lambda channels: SN(channels, hard=True, tie_weight=True),
    'SN ratio groups': lambda channels: SN(channels, ratio_groups=2),
    'SW': SW,
    'SW 3': lambda channels: SW(channels, sw_type=3),
    'SW 5': lambda channels: SW(channels, sw_type=5),
    'SW zca': lambda channels: SW(channels, whitening='zca'),
    'GW': lambda channels: GW(channels, min(64, channels // 2)),
    'ItN': ItN,
    'BW of covariances': lambda channels: BW(channels, running='cov'),
    'IW': IW,
}

Results = dict[str, Tensor]
TOLERANCE = 1e-4
"""Of the largest value, beside one rounding to the dtype."""


def inputs(
    shape: tuple[int, ...],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return an input of correlated channels and a gradient."""
    generator = torch.Generator().manual_seed(seed)
    x, noise, grad = (torch.randn(shape, generator=generator) for _ in '123')
    channel = torch.linspace(0.5, 2, shape[1])
    sample = torch.linspace(0.7, 1.3, shape[0])
    channel = channel.view(1, -1, *(1 for _ in shape[2:]))
    sample = sample.view(-1, *(1 for _ in shape[1:]))
    x = (x + 0.5 * x.roll(1, 1) + 0.1 * noise) * channel * sample + channel
    x, grad = (v.to(device, dtype) for v in (x, grad))
    if len(shape) == 4:
        x, grad = (
            v.contiguous(memory_format=memory_format) for v in (x, grad)
        )
    return x, grad


def step(norm: nn.Module, x: Tensor, grad: Tensor) -> Results:
    """Return output, gradients and buffers of one forward and backward.

    In float64 for a norm in float64, which is PyTorch's.
    """
    wide = next(norm.parameters()).dtype == torch.float64
    if wide:
        x, grad = x.double(), grad.double()
    x = x.detach().requires_grad_()
    norm.zero_grad(set_to_none=True)
    y = norm(x)
    y.backward(grad)
    assert x.grad is not None
    found = {'output': y.detach(), 'input': x.grad}
    for name, parameter in norm.named_parameters():
        if parameter.grad is not None:
            found[name] = parameter.grad
    return found | dict(norm.named_buffers())


def assert_same(
    label: str,
    actual: Results,
    expected: Results,
    dtype: torch.dtype = torch.float32,
    factor: float = 1,
) -> float:
    """Compare results; return the largest difference beyond rounding.

    A ratio's gradient is a sum over all elements, of both signs: its rounding
    errors are in proportion to the terms, not to what is left of them.

    Args:
        label: what is compared, for the message.
        actual: of the kernels.
        expected: of PyTorch.
        dtype: that outputs were rounded to.
        factor: by which errors may be larger than elsewhere.
    """
    assert set(actual) == set(expected), f'{label}: {set(actual)}'
    worst = 0.0
    terms = expected['input'].double().norm().item()
    for name, wanted in expected.items():
        wanted = wanted.double()
        found = actual[name].double().to(wanted.device)
        scale = max(wanted.abs().max().item(), 1e-3)
        if name in ('mean_weight', 'var_weight'):
            scale = max(scale, terms)
        difference = (found - wanted).abs()
        if name in ('output', 'input') and dtype != torch.float32:
            rounding = 0.51 * torch.finfo(dtype).eps
            if found.device.type == 'cpu':  # the interpreter truncates
                rounding *= 2
            difference = (difference - rounding * wanted.abs()).clamp(min=0)
        error = (difference.max() / scale).item()
        if not error <= factor * TOLERANCE:
            raise AssertionError(f'{label}: {name} is off by {error:.1e}')
        worst = max(worst, error)
    return worst
