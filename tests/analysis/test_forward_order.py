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


class _Deformable(BaseModel):
    """Offsets from 7 pixels around move 3 taps; then 3 more taps, whose
    offsets the layer computes itself."""

    def __init__(self):
        super().__init__()
        ops = pytest.importorskip('mmcv.ops')
        self.offsets = nn.Conv2d(3, 18, 7, padding=3)
        self.deform = ops.DeformConv2d(3, 4, 3, padding=1)
        self.first = SN(4)
        self.pack = ops.ModulatedDeformConv2dPack(4, 4, 3, padding=1)
        self.second = SN(4)

    def forward(self, inputs, data_samples, mode):
        x = self.first(self.deform(inputs, self.offsets(inputs)))
        return self.second(self.pack(x))


def test_deformable_convolutions():
    MODELS.register_module(module=_Deformable)
    try:
        found = trace_forward(Config(dict(model=dict(type='_Deformable'))))
    finally:
        MODELS.module_dict.pop('_Deformable')
    assert found == {'first': 7, 'second': 9}


class _FixedSize(BaseModel):
    """As SSD300: takes images of one size alone."""

    def __init__(self, size):
        super().__init__()
        self.norm = SN(3)
        self.size = size

    def forward(self, inputs, data_samples, mode):
        assert inputs.shape[2:] == self.size, 'another size'
        return self.norm(inputs)


def test_models_that_take_one_size():
    """The config's own size is tried, or the one that is asked for."""
    MODELS.register_module(module=_FixedSize)
    try:
        model = dict(type='_FixedSize', size=(30, 40))
        cfg = Config(dict(model=model))
        with pytest.raises(ConfigError, match='no image of 128×128 pixels'):
            trace_forward(cfg)
        assert trace_forward(cfg, (30, 40)) == {'norm': 1}
        cfg.test_pipeline = [dict(type='Resize', scale=(40, 30))]
        assert trace_forward(cfg) == {'norm': 1}
    finally:
        MODELS.module_dict.pop('_FixedSize')


class BaseMOTModel(BaseModel):
    """mmdet's trackers take videos, and only predict."""

    __module__ = 'mmdet.models.mot.base'

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), SN(4)

    def forward(self, inputs, data_samples, mode):
        assert mode == 'predict' and inputs.dim() == 5
        frame = data_samples[0][0]
        assert frame.ori_shape == inputs.shape[3:] and frame.frame_id == 0
        return self.norm(self.conv(inputs[:, 0]))


def test_models_of_videos():
    pytest.importorskip('mmdet')
    MODELS.register_module(name='_Videos', module=BaseMOTModel)
    try:
        found = trace_forward(Config(dict(model=dict(type='_Videos'))))
    finally:
        MODELS.module_dict.pop('_Videos')
    assert found == {'norm': 3}


class _Predicts(BaseModel):
    """As PointRend: the toolkit has no mode 'tensor' for it."""

    def __init__(self):
        super().__init__()
        self.norm = SN(3)

    def forward(self, inputs, data_samples, mode):
        if mode == 'tensor':
            raise NotImplementedError
        assert data_samples[0].ori_shape == inputs.shape[2:]
        return self.norm(inputs)


def test_models_that_only_predict():
    MODELS.register_module(module=_Predicts)
    try:
        cfg = Config(dict(model=dict(type='_Predicts')))
        assert trace_forward(cfg) == {'norm': 1}
    finally:
        MODELS.module_dict.pop('_Predicts')


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
