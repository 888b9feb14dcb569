"""What whitening would do is what the norms do."""

import pytest
import torch
from torch import nn

from whiten_plugins import norms
from whiten_plugins.diagnosis.measures import condition
from whiten_plugins.diagnosis.what_if import choose_samples, what_if

MAKE = {
    'BW': lambda c, size, T: norms.ItN(c, num_pergroup=size, T=T),
    'IW': lambda c, size, T: norms.IW(c, num_pergroup=size, T=T),
    'GW': lambda c, size, T: norms.GW(c, num_groups=size, T=T),
}


def activations(samples, channels, size):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(
        samples, channels, size, generator=generator, dtype=torch.float64
    )
    mix = torch.randn(channels, channels, generator=generator).double()
    scale = torch.rand(samples, 1, 1, generator=generator).double() + 0.5
    return scale * (mix @ x) + torch.arange(channels).view(-1, 1) / 10


@pytest.mark.parametrize(
    'samples, channels, size', [(3, 64, 100), (16, 32, 9), (200, 64, 1)]
)
def test_the_conditions_are_those_of_the_norms(samples, channels, size):
    x = activations(samples, channels, size)
    assert torch.equal(choose_samples(x), x)
    found = what_if(x, 1e-5)
    kinds = {w.norm for w in found}
    assert kinds == ({'BW', 'IW', 'GW'} if size > 1 else {'BW', 'GW'})
    sizes = {w.size for w in found if w.norm == 'BW'}
    assert sizes == {s for s in (16, 32, 64) if s <= channels}
    for w in found:
        norm = MAKE[w.norm](channels, w.size, w.T).double()
        with torch.no_grad():
            y = norm(x).transpose(0, 1).flatten(1)
        expected = condition(torch.cov(y, correction=0))
        if expected.k100 < 1e9:
            assert w.condition == pytest.approx(expected, rel=1e-5), w


@pytest.mark.parametrize('channels', [3, 24, 100, 320, 1000, 1024])
def test_layers_of_any_width(channels):
    x = choose_samples(torch.randn(2, channels, 81))
    found = what_if(x, 1e-5)
    assert found
    assert all(channels % w.size == 0 for w in found)
    assert all(w.condition.k90 >= 1 for w in found)


def test_half_precision_and_large_maps_are_sampled():
    x = torch.randn(8, 16, 4000, dtype=torch.float16)
    chosen = choose_samples(x)
    assert chosen.shape == (4, 16, 512) and chosen.dtype == torch.float64
    assert nn.functional.mse_loss(chosen[..., 0], x[:4, :, 0].double()) == 0
