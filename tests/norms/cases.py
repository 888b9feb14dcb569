"""The types and arguments that the family's tests run over."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tests import reference
from whiten_plugins import norms

NUM_FEATURES = 8

# Batches large enough that every covariance has full rank.
SHAPES = {
    'NC': (12, NUM_FEATURES),
    'NCL': (3, NUM_FEATURES, 11),
    'NCHW': (3, NUM_FEATURES, 4, 5),
    'NCDHW': (2, NUM_FEATURES, 2, 3, 4),
}


@dataclass(frozen=True)
class Case:
    """One type of the family with its arguments."""

    type: str
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        arguments = ','.join(f'{k}={v}' for k, v in self.kwargs.items())
        return f'{self.type}({arguments})'

    def norm(self, num_features: int = NUM_FEATURES, **kwargs) -> nn.Module:
        build = getattr(norms, self.type)
        return build(num_features, **{**self.kwargs, **kwargs})

    def reference(
        self, num_features: int = NUM_FEATURES, **kwargs
    ) -> nn.Module:
        build = getattr(reference, self.type.removeprefix('Sync'))
        return build(num_features, **{**self.kwargs, **kwargs})

    def pair(self, num_features: int = NUM_FEATURES, seed: int = 0, **kwargs):
        """The norm, and its float64 reference with the same random values."""
        expected = self.reference(num_features, **kwargs).double()
        randomize(expected, seed)
        norm = self.norm(num_features, **kwargs).double()
        copy_state(expected, norm)
        return norm, expected

    @property
    def whitening(self) -> str:
        """The method, empty for a norm without one."""
        default = {'BW': 'zca', 'SN': '', 'IBN': ''}.get(
            self.type.removeprefix('Sync'), 'itn'
        )
        return self.kwargs.get('whitening', default)

    def defined_for(self, shape: tuple[int, ...]) -> bool:
        """Something is left to normalize in training."""
        if self.type in ('IBN', 'SyncIBN'):
            return math.prod(shape[2:]) > 1
        if len(shape) > 2:
            return True
        one_channel_rows = self.kwargs.get('num_groups', 64) >= shape[1]
        return not (
            self.type == 'IW'
            or (self.type == 'GW' and one_channel_rows)
            or self.kwargs.get('stats') == ('in',)
        )


def randomize(module: nn.Module, seed: int) -> None:
    """Give parameters that differ from one another and from the defaults."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.copy_(
            torch.randn(parameter.shape, generator=generator).double()
        )


def copy_state(source: nn.Module, target: nn.Module) -> None:
    """Copy by name; the target must have all that the source has."""
    tensors = dict(target.named_parameters()) | dict(target.named_buffers())
    state = source.state_dict()
    assert set(state) <= set(tensors)
    for name, value in state.items():
        tensors[name].data.copy_(value)


def random_input(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Correlated channels; means and scales of their own (float64).

    Samples differ as well, so that no two statistics are nearly equal and the
    gradients of their ratios do not cancel.
    """
    generator = torch.Generator().manual_seed(seed)

    def randn(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    n, c = shape[:2]
    mixing = torch.eye(c) + 0.3 * randn(c, c) / c**0.5
    x = torch.einsum('dc,nc...->nd...', mixing, randn(*shape))
    scale = 1 + 0.5 * randn(n, c).tanh()
    offset = randn(1, c) + randn(n, c) * 0.5
    trailing = (1,) * (len(shape) - 2)
    return x * scale.view(n, c, *trailing) + offset.view(n, c, *trailing)


def run(norm: nn.Module, x: Tensor, grad: Tensor) -> dict[str, Tensor]:
    """Output and gradients of one step, by name; zeros for no gradient."""
    x = x.detach().requires_grad_()
    norm.zero_grad()
    y = norm(x)
    y.backward(grad)
    results = {'output': y.detach(), 'input': x.grad}
    for name, parameter in norm.named_parameters():
        gradient = parameter.grad
        if gradient is None:
            gradient = torch.zeros_like(parameter)
        results[name] = gradient.detach().clone()
    return results


def assert_close(
    actual: Tensor, expected: Tensor, tolerance: float, scale: float = 0.0
) -> None:
    """Equal up to one rounding to the dtype, and `tolerance` of the scale.

    The scale is the largest expected value, or `scale` if that is larger.
    """
    assert actual.shape == expected.shape
    rounding = 0.0
    if actual.dtype in (torch.float16, torch.bfloat16):
        rounding = 0.51 * torch.finfo(actual.dtype).eps
    if expected.numel():
        scale = max(scale, expected.abs().max().item(), 1e-3)
    torch.testing.assert_close(
        actual.double(),
        expected.double(),
        rtol=rounding,
        atol=tolerance * scale,
    )


def assert_same(actual: dict, expected: dict, tolerance: float) -> None:
    """`assert_close` for all results of `run`.

    A ratio's gradient is a sum over all elements, of both signs: its rounding
    errors are in proportion to the terms, not to what is left of them.
    """
    assert set(actual) == set(expected)
    terms = expected['input'].norm().item()
    for name, value in expected.items():
        scale = terms if name in ('mean_weight', 'var_weight') else 0.0
        try:
            assert_close(actual[name], value, tolerance, scale)
        except AssertionError as error:
            raise AssertionError(f'{name}: {error}') from None


CASES = [
    Case('SN'),
    Case('SN', dict(tie_weight=True)),
    Case('SN', dict(hard=True)),
    Case('SN', dict(hard=True, tie_weight=True)),
    Case('SN', dict(affine=False)),
    Case('SN', dict(stats=('bn', 'in'))),
    Case('SN', dict(stats=('ln', 'bn'))),
    Case('SN', dict(stats=('in', 'ln'))),
    Case('SN', dict(stats=('bn',))),
    Case('SN', dict(stats=('ln',))),
    Case('SN', dict(stats=('ln',), affine=False)),
    Case('SN', dict(stats=('in',))),
    Case('SN', dict(ratio_groups=2)),
    Case('SN', dict(ratio_groups=4, tie_weight=True)),
    Case('SN', dict(ratio_groups=2, hard=True)),
    Case('SyncSN'),
    Case('SW', dict(num_pergroup=4)),
    Case('SW', dict(num_pergroup=4, tie_weight=True)),
    Case('SW', dict(num_pergroup=4, hard=True)),
    Case('SW', dict(num_pergroup=4, affine=False)),
    Case('SW', dict(num_pergroup=4, T=3)),
    Case('SW', dict(num_pergroup=1)),
    Case('SW'),
    Case('SW', dict(num_pergroup=4, sw_type=3)),
    Case('SW', dict(num_pergroup=4, sw_type=3, hard=True, tie_weight=True)),
    Case('SW', dict(num_pergroup=4, sw_type=5)),
    Case('SW', dict(num_pergroup=4, sw_type=5, tie_weight=True)),
    Case('SW', dict(num_pergroup=4, sw_type=5, hard=True)),
    Case('SW', dict(num_pergroup=4, whitening='zca')),
    Case('SW', dict(num_pergroup=4, sw_type=3, whitening='zca')),
    Case('SW', dict(num_pergroup=2, sw_type=5, whitening='zca')),
    Case('SW', dict(num_pergroup=4, stats=('ln', 'bw', 'in'))),
    Case('SW', dict(num_pergroup=4, stats=('iw', 'ln'), hard=True)),
    Case('SyncSW', dict(num_pergroup=4, sw_type=5)),
    Case('IBN'),
    Case('IBN', dict(half=0.25, affine=False)),
    Case('GW', dict(num_groups=4)),
    Case('GW', dict(num_groups=2, T=3)),
    Case('GW', dict(num_groups=1)),
    Case('GW', dict(num_groups=4, affine=False)),
    Case('GW'),
    Case('GW', dict(num_groups=2, whitening='zca')),
    Case('BW', dict(num_pergroup=4)),
    Case('BW', dict(num_pergroup=1)),
    Case('BW'),
    Case('BW', dict(num_pergroup=4, affine=False)),
    Case('BW', dict(num_pergroup=4, running='cov')),
    Case('BW', dict(num_pergroup=4, whitening='itn')),
    Case('BW', dict(num_pergroup=4, whitening='itn', running='cov', T=3)),
    Case('SyncBW', dict(num_pergroup=4)),
    Case('ItN', dict(num_pergroup=4)),
    Case('ItN', dict(num_pergroup=4, running='cov')),
    Case('SyncItN', dict(num_pergroup=4)),
    Case('IW', dict(num_pergroup=4)),
    Case('IW', dict(num_pergroup=4, T=3, affine=False)),
    Case('IW'),
    Case('IW', dict(num_pergroup=4, whitening='zca')),
]

# The kinds alone, where an argument more would not reach new code.
KINDS = [
    Case('SN'),
    Case('SW', dict(num_pergroup=4)),
    Case('SW', dict(num_pergroup=4, sw_type=5, whitening='zca')),
    Case('IBN'),
    Case('GW', dict(num_groups=4)),
    Case('BW', dict(num_pergroup=4)),
    Case('BW', dict(num_pergroup=4, running='cov')),
    Case('ItN', dict(num_pergroup=4)),
    Case('IW', dict(num_pergroup=4)),
]
