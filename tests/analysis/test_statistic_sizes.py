"""Constraint numbers are those of GW Table 1 and appendix D."""

import pytest
from torch import nn

from whiten_plugins import norms
from whiten_plugins.analysis.statistic_sizes import (
    largest_rows,
    statistic_sizes,
)

N, C, H, W = 4, 64, 5, 6


def sizes(norm, **settings):
    return statistic_sizes(norm, N, (H, W), **settings)


@pytest.mark.parametrize(
    'norm, name, values, constraints',
    [
        # Table 1, with d channels, m = N·H·W values and g groups
        (nn.BatchNorm2d(C), 'bn', N * H * W, 2 * C),
        (norms.BW(C, num_pergroup=C), 'bw', N * H * W, C * (C + 3) // 2),
        (norms.ItN(C), 'bw', N * H * W, C // 16 * 16 * 19 // 2),
        (nn.GroupNorm(8, C), 'gn', C // 8 * H * W, 2 * 8 * N),
        (norms.GW(C, num_groups=8), 'gw', C // 8 * H * W, N * 8 * 11 // 2),
        (nn.InstanceNorm2d(C), 'in', H * W, 2 * C * N),
        (norms.IW(C), 'iw', H * W, N * C // 16 * 16 * 19 // 2),
        (nn.LayerNorm((C, H, W)), 'ln', C * H * W, 2 * N),
    ],
    ids=lambda value: type(value).__name__,
)
def test_constraint_numbers(norm, name, values, constraints):
    if name == 'ln':
        found = statistic_sizes(norms.SN(C, stats=('ln',)), N, (H, W))
    else:
        found = sizes(norm)
    (size,) = found.values()
    assert size.name == name
    assert (size.values, size.constraints) == (values, constraints)
    assert size.variables == N * C * H * W


def test_a_mixture_has_a_size_for_each_statistic():
    found = sizes(norms.SW(C, sw_type=5))
    assert {name: s.values for name, s in found.items()} == {
        'bw': N * H * W,
        'iw': H * W,
        'bn': N * H * W,
        'in': H * W,
        'ln': C * H * W,
    }


def test_what_the_input_or_the_mode_leaves_out_is_absent():
    assert set(statistic_sizes(norms.SN(C), N, (1, 1))) == {'ln', 'bn'}
    assert set(statistic_sizes(norms.SN(C), 1, (1, 1))) == {'ln'}
    assert set(sizes(norms.SN(C).eval())) == {'in', 'ln'}
    assert not sizes(nn.BatchNorm2d(C).eval())


def test_processes_share_what_sync_norms_take_from_the_batch():
    found = sizes(norms.SyncSW(C), processes=8)
    assert found['bw'].values == 8 * N * H * W
    assert found['iw'].values == H * W


def test_layer_norm_of_the_last_dimension_is_of_each_position():
    found = sizes(nn.LayerNorm(C))['ln']
    assert (found.values, found.groups) == (C, N * H * W)
    assert found.variables == N * C * H * W


def test_the_pooled_maps_of_gw_64_are_over_constrained():
    found = statistic_sizes(norms.GW(512), 1, (1, 1))['gw']
    assert (found.constraints, found.variables) == (2144, 512)


@pytest.mark.parametrize(
    'values, divides, most',
    [(512, 64, 16), (2048, 64, 32), (4608, 64, 64), (2, 64, 1)],
)
def test_the_largest_group_number(values, divides, most):
    """GW Table 1: g <= (sqrt(8 d + 9) - 3) / 2."""
    assert largest_rows(values, divides) == most
    bound = ((8 * values + 9) ** 0.5 - 3) / 2
    assert most <= max(1, bound)
    larger = [g for g in range(most + 1, divides + 1) if divides % g == 0]
    assert all(g > bound for g in larger)
