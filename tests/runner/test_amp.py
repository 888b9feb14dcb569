"""bfloat16 on the CPU: what runs in it, and what stays in float32."""

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS, DefaultScope
from torch import nn

from whiten_plugins.runner import CPUAmpOptimWrapper

pytest.importorskip('mmdet')

from mmcv.ops import ModulatedDeformConv2dPack, RoIAlign
from mmdet.registry import MODELS


@pytest.fixture(autouse=True)
def mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def _forward(model, *inputs):
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    wrapper = CPUAmpOptimWrapper(optimizer=optimizer)
    with wrapper.optim_context(model):
        return model(*inputs)


def test_convolution_runs_in_bfloat16():
    out = _forward(nn.Conv2d(2, 2, 1), torch.rand(1, 2, 3, 3))
    assert out.dtype == torch.bfloat16


def test_built_by_name():
    assert OPTIM_WRAPPERS.get('CPUAmpOptimWrapper') is CPUAmpOptimWrapper


@pytest.mark.parametrize(
    'module', [RoIAlign(2), ModulatedDeformConv2dPack(4, 4, 3, padding=1)]
)
def test_mmcv_operator_agrees_with_float32(module):
    features = torch.rand(1, 4, 8, 8)
    rois = torch.tensor([[0, 1.3, 1.7, 6.1, 5.9]])
    inputs = (features, rois) if isinstance(module, RoIAlign) else (features,)
    low = [features.bfloat16(), *inputs[1:]]
    out = _forward(module, *low)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, module(low[0].float(), *inputs[1:]))


@pytest.mark.parametrize('kind', ['SN', 'SW', 'GW', 'BW', 'ItN', 'IW'])
def test_norm_takes_float32_statistics_of_bfloat16_features(kind):
    low, full = (MODELS.build(dict(type=kind, num_features=4)) for _ in '12')
    # Bfloat16 cannot add up a mean that is far from 0.
    features = (torch.randn(2, 4, 16, 16) + 20).bfloat16()
    out = _forward(low, features)
    assert out.dtype == torch.bfloat16
    expected = full(features.float())
    torch.testing.assert_close(out.float(), expected, rtol=4e-3, atol=1e-3)
    for name, buffer in full.named_buffers():
        torch.testing.assert_close(low.get_buffer(name), buffer)


def test_rois_keep_their_fractions():
    extractor = MODELS.build(
        dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=2),
            out_channels=1,
            featmap_strides=[4, 8],
        )
    )
    ramp = torch.arange(64.0).repeat(64, 1)[None, None]
    features = [ramp, ramp[..., ::2, ::2].contiguous()]
    rois = torch.tensor([[0, 200.4, 10.0, 216.4, 26.0]])
    low = [f.bfloat16() for f in features]
    out = _forward(extractor, low, rois)
    torch.testing.assert_close(out, extractor(features, rois))


def test_dense_head_gives_float32_from_bfloat16_convolutions():
    head = MODELS.build(dict(type='RPNHead', in_channels=4, feat_channels=4))
    inputs = [torch.rand(1, 4, 8, 8)]
    scores, boxes = _forward(head, inputs)
    assert {t.dtype for t in (*scores, *boxes)} == {torch.float32}
    full, _ = head(inputs)
    assert not torch.equal(scores[0], full[0])


def test_model_is_left_as_it_was():
    head = MODELS.build(dict(type='RPNHead', in_channels=4, feat_channels=4))
    with pytest.raises(TypeError):
        _forward(head, [None])
    assert 'forward' not in vars(head)
