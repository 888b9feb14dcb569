"""One number says of a tensor's memory what the compiler needs."""

import pytest
import torch

from whiten_plugins.ops.backends.selection import triton_refusal
from whiten_plugins.ops.layout import affine_view
from whiten_plugins.ops.spec import NormSpec

pytestmark = pytest.mark.skipif(
    triton_refusal(torch.device('cpu')) is not None,
    reason='needs Triton 3.3 or newer',
)

SN = NormSpec(('in',), 1)
SW = NormSpec(('iw',), 16)
GW = NormSpec(('iw',), 16, across_groups=True)
LAST = torch.channels_last


def layout(spec, shape, memory_format=torch.contiguous_format):
    from whiten_plugins.ops.backends.triton.layouts import layout_of

    x = torch.empty(shape).contiguous(memory_format=memory_format)
    return layout_of(affine_view(x, spec))


@pytest.mark.parametrize('spec', [SN, SW, GW])
def test_aligned_maps(spec):
    found = layout(spec, (2, 32, 4, 8))
    assert found.code == 7  # elements innermost
    assert found.strides[0] == 32 * 32 // 16
    assert found.extent(32, 3) == 2 and found.extent(32, 1) == 32


@pytest.mark.parametrize('spec', [SN, SW, GW])
def test_maps_that_are_no_multiple_of_16(spec):
    found = layout(spec, (2, 32, 5, 7))
    assert found.code == 6 and found.extent(35, 3) == 35
    assert found.strides[0] == 32 * 35


@pytest.mark.parametrize('spec, code', [(SN, 3), (SW, 5), (GW, 2)])
def test_channels_last(spec, code):
    """Entries innermost, rows, and GW's two slots of a row."""
    assert layout(spec, (2, 32, 5, 7), LAST).code == code
    # The size of the map does not matter.
    assert layout(spec, (2, 32, 4, 8), LAST).code == code


def test_strides_of_dimensions_of_one_do_not_count():
    assert layout(SN, (1, 32, 4, 8)).code == 7
    assert layout(SW, (1, 16, 4, 8)).code == 7


def test_gaps_between_all_elements():
    from whiten_plugins.ops.backends.triton.layouts import layout_of

    found = layout_of(torch.empty(2, 2, 4, 16)[..., ::2])
    assert found.code == 0 and found.strides == (128, 64, 16, 2)
