"""Order and receptive fields come from the network's own forward pass."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn

from whiten_plugins.analysis.forward_order import trace_forward
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.config.loading import load_config
from whiten_plugins.norms import SN

MINI = Path(__file__).parents[2] / 'configs' / 'mini'


class _Toy(BaseModel):
    """Registers its norms in another order than it runs them."""

    def __init__(self, broken=False):
        super().__init__()
        self.broken = broken
        self.unused = SN(4)
        self.last = nn.BatchNorm2d(4)
        self.shared = SN(4)
        self.first = SN(4)
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.wide = nn.Conv2d(4, 4, 5)

    def forward(self, inputs, data_samples, mode):
        if self.broken:
            raise RuntimeError('no such luck')
        x = self.shared(self.first(self.conv(inputs)))
        return self.last(self.shared(self.wide(x)))


@pytest.fixture
def toy():
    MODELS.register_module(module=_Toy)
    yield lambda **kwargs: Config(dict(model=dict(type='_Toy', **kwargs)))
    MODELS.module_dict.pop('_Toy')


def test_norms_are_found_in_the_order_in_which_they_run(toy):
    state = torch.random.get_rng_state()
    found = trace_forward(toy())
    # A shared layer runs first over 3 pixels, then over 3 + 4 * 2.
    assert list(found.items()) == [('first', 3), ('shared', 11), ('last', 11)]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_model_that_does_not_run(toy):
    with pytest.raises(ConfigError, match='RuntimeError: no such luck'):
        trace_forward(toy(broken=True))


def test_config_is_left_as_it_is():
    pytest.importorskip('mmdet')
    cfg = load_config(MINI / 'mask-rcnn_r18_fpn_sw-all_1xb4-400i_mini-coco.py')
    before = cfg.pretty_text
    found = trace_forward(cfg)
    assert cfg.pretty_text == before
    names = list(found)
    assert names[0] == 'backbone.bn1'
    assert names[-1] == 'roi_head.mask_head.convs.3.bn'
    assert found['backbone.layer4.1.bn2'] == 435  # ResNet-18's
    assert found['neck.lateral_convs.0.bn'] == 43
    assert names.index('neck.lateral_convs.3.bn') < names.index(
        'neck.fpn_convs.0.bn'
    )
    heads = [field for name, field in found.items() if 'roi_head' in name]
    assert set(heads) == {'RoI'}


def _segmentor(*heads):
    backbone = dict(
        type='mmseg.ResNet',
        depth=18,
        base_channels=8,
        stem_channels=8,
        norm_cfg=dict(type='SN'),
    )
    decode, *auxiliary = (
        dict(channels=8, num_classes=3, norm_cfg=dict(type='SN'), **head)
        for head in heads
    )
    return Config(
        dict(
            default_scope='mmseg',
            custom_imports=dict(imports=['mmseg.models', 'whiten_plugins']),
            model=dict(
                type='EncoderDecoder',
                backbone=backbone,
                decode_head=decode,
                auxiliary_head=auxiliary or None,
            ),
        )
    )


def test_upernet_runs_laterals_before_its_pooling():
    pytest.importorskip('mmseg.models')
    cfg = _segmentor(
        dict(
            type='UPerHead',
            in_channels=[8, 16, 32, 64],
            in_index=[0, 1, 2, 3],
        ),
        dict(type='FCNHead', in_channels=32, in_index=2, num_convs=1),
    )
    head = [
        name.removeprefix('decode_head.')
        for name in trace_forward(cfg)
        if name.startswith('decode_head')
    ]
    assert [name.split('.')[0] for name in head] == [
        *['lateral_convs'] * 3,
        *['psp_modules'] * 4,
        'bottleneck',
        *['fpn_convs'] * 3,
        'fpn_bottleneck',
    ]


def test_auxiliary_heads_run_last():
    pytest.importorskip('mmseg.models')
    found = trace_forward(
        _segmentor(
            dict(type='PSPHead', in_channels=64, in_index=3),
            dict(
                type='FCNHead',
                in_channels=32,
                in_index=2,
                num_convs=1,
                concat_input=False,
            ),
        )
    )
    *_, bottleneck, auxiliary = found.items()
    assert bottleneck == ('decode_head.bottleneck.bn', 'image')
    name, field = auxiliary
    assert name == 'auxiliary_head.0.convs.0.bn'
    assert field == found['backbone.layer3.1.bn2'] + 2 * 16


def test_resnet50_has_the_receptive_fields_of_sn_fig_7():
    pytest.importorskip('mmseg.models')
    cfg = _segmentor(dict(type='FCNHead', in_channels=256, num_convs=1))
    cfg.model.backbone.depth = 50
    found = [
        field
        for name, field in trace_forward(cfg).items()
        if name.startswith('backbone')
    ]
    expected, seen, jump = [7], 11, 4
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            before = seen
            seen += 2 * jump
            jump *= 2 if stage and block == 0 else 1
            expected += [before, seen, seen] + [before] * (block == 0)
    assert len(found) == 53
    assert found == expected
    assert max(found) == 427
