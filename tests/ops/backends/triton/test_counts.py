"""Few launches a step, and nothing compiled anew when image sizes change."""

import pytest
import torch

from tests.norms.cases import Case
from whiten_plugins.ops.backends.selection import triton_refusal

pytestmark = pytest.mark.skipif(
    triton_refusal(torch.device('cpu')) is not None,
    reason='needs Triton 3.3 or newer',
)

LAST = torch.channels_last
NORMS = {
    'SN': Case('SN'),
    'SW': Case('SW'),
    'SW 5': Case('SW', dict(sw_type=5)),
    'GW': Case('GW'),
    'ItN': Case('ItN'),
}
FORMATS = {'contiguous': torch.contiguous_format, 'channels_last': LAST}


@pytest.mark.parametrize('memory_format', FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize('case', NORMS.values(), ids=NORMS)
def test_four_launches_each_way_and_no_operator_between(case, memory_format):
    from benchmarks.gpu_kernels import count_launches

    x = torch.zeros(2, 128, 40, 64).contiguous(memory_format=memory_format)
    forward, backward = count_launches(case.norm(128), x)
    assert forward.triton.total() <= 4 and not forward.torch
    assert backward.triton.total() <= 4 and not backward.torch


@pytest.mark.parametrize('memory_format', FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize('name', ['SN', 'SW', 'GW'])
def test_image_sizes_compile_little(name, memory_format):
    """Every kernel once, and once more where sizes are no multiple of 16."""
    from benchmarks.gpu_kernels import distinct, recording
    from benchmarks.gpu_model import random_shapes

    norm = NORMS[name].norm(256)
    with recording() as launches:
        for shape in random_shapes(200, 256):
            x = torch.empty(shape, memory_format=memory_format)
            norm(x.requires_grad_()).backward(torch.empty_like(x))
    # The affine map comes twice: forward, and for the input's gradient.
    kernels = 8
    assert len(distinct(launches)) <= kernels - 1
    layouts = 1 if memory_format is LAST else 2
    assert distinct(launches).total() <= kernels * layouts
