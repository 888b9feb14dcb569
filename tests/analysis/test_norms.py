"""The table names every norm and who put it there; mistakes name their key."""

import pytest
import torch
from mmengine.config import Config
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from whiten_plugins.analysis import list_norms, pooling_warnings
from whiten_plugins.config.building import build_model
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.norms import GW, SW
from whiten_plugins.norms.base import WhiteningNorm
from whiten_plugins.placement import backbones  # noqa: F401  registers them

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

pytestmark = [
    pytest.mark.filterwarnings('ignore:``build_loss``'),
    pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``'),
]
# A tiny PSPNet with whitening in its backbone and heads.
SEGMENTOR = """
default_scope = 'mmseg'
train_dataloader = dict(batch_size=2)
backbone = dict(
    type='WhitenResNetV1c',
    depth=18,
    base_channels=8,
    stem_channels=8,
    norm_cfg=dict(type='BN', requires_grad=False),
    norm_eval=True,
    frozen_stages=1,
    whiten_cfg=dict(type='SW', num_pergroup=4),
    whiten_at='sw14',
)
head = dict(num_classes=3, channels=16)
decode_head = dict(
    type='PSPHead',
    in_channels=64,
    in_index=3,
    pool_scales=(1, 8),
    norm_cfg=dict(type='SN'),
    **head,
)
auxiliary_head = [
    dict(
        type='FCNHead',
        in_channels=32,
        in_index=2,
        num_convs=1,
        norm_cfg=dict(type=kind),
        **head,
    )
    for kind in ('GW', 'SyncBN')
]
model = dict(
    type='EncoderDecoder',
    backbone=backbone,
    decode_head=decode_head,
    auxiliary_head=auxiliary_head,
)
"""
ASPP = dict(
    type='ASPPHead',
    in_channels=64,
    in_index=3,
    channels=16,
    num_classes=3,
    norm_cfg=dict(type='SW'),
)
DETECTOR = """
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
model = dict(
    backbone=dict(
        type='WhitenResNet', whiten_cfg=dict(type='GW'), whiten_at='s1b2'
    ),
    roi_head=dict(mask_head=dict(norm_cfg=dict(type='SyncSN'))),
)
"""


def _config(text=SEGMENTOR, **options):
    """A config; ``options`` are keys of its model with ``__`` for dots."""
    cfg = Config.fromstring(text, '.py')
    for path, value in options.items():
        *owners, key = path.split('__')
        part = cfg.model
        for owner in owners:
            part = part[int(owner) if owner.isdecimal() else owner]
        part[key] = value
    return cfg


def _build(cfg):
    with torch.device('meta'):
        return build_model(cfg)


def _rows(cfg):
    return {row.name: row for row in list_norms(_build(cfg), cfg)}


def _warnings(batch_size=2, **options):
    cfg = _config(**options)
    cfg.train_dataloader.batch_size = batch_size
    return pooling_warnings(_build(cfg), cfg)


def test_every_norm_has_a_row():
    cfg = _config()
    model = _build(cfg)
    expected = [
        name
        for name, module in model.named_modules()
        if isinstance(module, (WhiteningNorm, _BatchNorm))
    ]
    assert [row.name for row in list_norms(model, cfg)] == expected
    # Stem 3, blocks 2 each, shortcuts 3, then the heads'.
    assert len(expected) == 3 + 2 * 8 + 3 + 3 + 2 + 2


@pytest.mark.parametrize(
    'name, expected',
    [
        (
            'backbone.stem.1',
            ('BN', 4, None, ('bn',), 'frozen, running statistics')
            + ('model.backbone.norm_cfg',),
        ),
        (
            'backbone.layer1.0.bn1',
            ('SW', 8, (2, 4), ('bw', 'iw'), 'frozen, running statistics')
            + ('model.backbone.whiten_at=sw14',),
        ),
        (
            'backbone.layer3.1.bn1',
            ('SW', 32, (8, 4), ('bw', 'iw'), 'trainable')
            + ('model.backbone.whiten_at=sw14',),
        ),
        (
            'decode_head.psp_modules.0.1.bn',
            ('SN', 16, None, ('in', 'ln', 'bn'), 'trainable')
            + ('model.decode_head.norm_cfg',),
        ),
        (
            'auxiliary_head.0.convs.0.bn',
            ('GW', 16, (16, 1), ('gw',), 'trainable')
            + ('model.auxiliary_head.0.norm_cfg',),
        ),
        (
            'auxiliary_head.1.convs.0.bn',
            ('SyncBN', 16, None, ('bn',), 'trainable')
            + ('model.auxiliary_head.1.norm_cfg',),
        ),
    ],
)
def test_rows_of_a_segmentor(name, expected):
    row = _rows(_config())[name]
    assert expected == (
        row.type,
        row.channels,
        row.groups,
        row.statistics,
        row.state,
        row.source,
    )


def test_rows_of_a_detector_on_an_inherited_config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(DETECTOR)
    rows = _rows(Config.fromfile(path)).values()
    sources = [row.source for row in rows]
    assert sources.count('model.backbone.whiten_at=s1b2') == 17
    assert sources.count('model.backbone.norm_cfg') == 53 - 17
    mask = [row for row in rows if 'mask_head' in row.name]
    assert [row.type for row in mask] == ['SyncSN'] * 4
    assert {r.source for r in mask} == {'model.roi_head.mask_head.norm_cfg'}


def test_a_pattern_is_the_source_of_its_norms():
    cfg = _config(backbone__whiten_at=['layer4.*.bn2'])
    sources = [row.source for row in _rows(cfg).values()]
    assert sources.count('model.backbone.whiten_at=layer4.*.bn2') == 2


def test_rows_without_a_config():
    rows = list_norms(
        nn.Sequential(
            nn.LayerNorm((8, 1, 1)),
            nn.GroupNorm(2, 8),
            nn.InstanceNorm2d(8),
            SW(32, sw_type=5).requires_grad_(False),
            GW(128),
            nn.Conv2d(3, 8, 1),
        )
    )
    assert [(r.type, r.channels, r.groups, r.state) for r in rows] == [
        ('LN', 8, None, 'trainable'),
        ('GN', 8, (2, 4), 'trainable'),
        ('IN', 8, None, 'no parameters'),
        ('SW', 32, (2, 16), 'frozen'),
        ('GW', 128, (64, 2), 'trainable'),
    ]
    assert [' '.join(row.statistics) for row in rows] == [
        'ln',
        'gn',
        'in',
        'bw iw bn in ln',
        'gw',
    ]
    assert {row.source for row in rows} == {'built in'}


def test_a_norm_of_another_type_is_not_put_there_by_the_norm_cfg():
    cfg = _config(decode_head__norm_cfg__type='BN')
    model = _build(cfg)
    cfg.model.decode_head.norm_cfg.type = 'SN'
    rows = {row.name: row for row in list_norms(model, cfg)}
    assert rows['decode_head.bottleneck.bn'].source == 'built in'


@pytest.mark.parametrize(
    'options, message',
    [
        (
            dict(backbone__whiten_cfg__type='SWW'),
            r"^model\.backbone\.whiten_cfg\.type='SWW' .*did you mean SW",
        ),
        (
            dict(decode_head__norm_cfg__type='XYZ'),
            r"^model\.decode_head\.norm_cfg\.type='XYZ' .*GW.*SyncSW",
        ),
        (
            dict(decode_head__norm_cfg=dict(T=5)),
            r'^model\.decode_head\.norm_cfg has no type',
        ),
        (
            dict(backbone__whiten_at='sw15'),
            r"^model\.backbone\.whiten_at='sw15' .*sw7-released",
        ),
        (
            dict(backbone__whiten_at=['layer5.*']),
            r"^model\.backbone\.whiten_at: 'layer5\.\*' matches .*stem\.1",
        ),
        (
            dict(backbone__whiten_cfg__num_pergroup=3),
            r'^model\.backbone\.whiten_cfg at stem\.7: .*num_pergroup=3',
        ),
        (
            dict(decode_head__norm_cfg=dict(type='SW', num_pergroup=5)),
            r'^model\.decode_head\.norm_cfg: num_features=16 .*4 or 8',
        ),
        (
            dict(auxiliary_head__0__norm_cfg__num_groups=5),
            r'^model\.auxiliary_head\.0\.norm_cfg: .*num_groups=5',
        ),
        (
            dict(decode_head__norm_cfg=dict(type='SW', sw_type=4)),
            r'^model\.decode_head\.norm_cfg: sw_type must be one of 2, 3, 5',
        ),
        (
            dict(decode_head__norm_cfg=dict(type='SW', groups=4)),
            r"^model\.decode_head\.norm_cfg: .*argument 'groups'",
        ),
        (dict(backbone__depth=19), '^the model cannot be built: .*depth 19'),
        (dict(backbone__type='ResNet'), "cannot be built: .*'whiten_cfg'"),
    ],
)
def test_mistakes_name_the_config_key(options, message):
    cfg = _config(**options)
    before = cfg.to_dict()
    with pytest.raises(ConfigError, match=message) as caught:
        _build(cfg)
    assert '\n' not in str(caught.value)
    assert cfg.to_dict() == before


def test_a_config_without_a_model():
    with pytest.raises(ConfigError, match='no model'):
        build_model(Config(dict(default_scope='mmseg')))


@pytest.mark.parametrize('head', [{}, ASPP], ids=['psp', 'aspp'])
@pytest.mark.parametrize(
    'norm_cfg',
    [
        dict(type='SW'),
        dict(type='SW', whitening='zca'),
        dict(type='BW'),
        dict(type='ItN'),
        dict(type='IW'),
        dict(type='GW', num_groups=16),
        dict(type='SN', stats=('in', 'bn')),
    ],
    ids=str,
)
def test_a_norm_without_a_statistic_on_one_pooled_image_is_warned_of(
    head, norm_cfg
):
    options = dict(decode_head__norm_cfg=norm_cfg)
    if head:
        options = dict(decode_head={**head, 'norm_cfg': norm_cfg})
    (warning,) = _warnings(**options)
    name = 'image_pool.1.bn' if head else 'psp_modules.0.1.bn'
    assert warning.startswith(
        f'model.decode_head.norm_cfg: decode_head.{name}'
    )
    for remedy in ('SN', 'SW with sw_type=3', 'Sync'):
        assert remedy in warning


@pytest.mark.parametrize(
    'norm_cfg',
    [
        dict(type='SN'),
        dict(type='SW', sw_type=3),
        dict(type='SyncSW'),
        dict(type='GW', num_groups=4),
        dict(type='SyncBN'),
        dict(type='GN', num_groups=4),
    ],
    ids=str,
)
@pytest.mark.parametrize('batch_size', [1, 2])
def test_a_norm_that_works_there_is_not_warned_of(norm_cfg, batch_size):
    assert not _warnings(batch_size, decode_head__norm_cfg=norm_cfg)


@pytest.mark.parametrize(
    'kind, batch_size, told',
    [
        ('SW', 1, 'fails with train_dataloader.batch_size=1'),
        ('SW', 4, 'works only with train_dataloader.batch_size=4'),
        ('IW', 4, 'fails with train_dataloader.batch_size=4'),
        ('BN', 1, 'fails with train_dataloader.batch_size=1'),
        ('BN', 2, None),
    ],
)
def test_the_warning_knows_the_batch_size(kind, batch_size, told):
    warnings = _warnings(batch_size, decode_head__norm_cfg__type=kind)
    assert len(warnings) == (told is not None)
    for warning in warnings:
        assert told in warning
        more = 'batch_size of 2 or more' in warning
        assert more == (batch_size == 1)


@pytest.mark.parametrize('batch_size', [1, 2])
@pytest.mark.parametrize('kind', ['SW', 'SN', 'IW', 'BN'])
def test_the_warning_is_true(kind, batch_size):
    """Training fails exactly where the warning says so."""
    options = dict(decode_head__norm_cfg__type=kind)
    warned = 'fails' in ' '.join(_warnings(batch_size, **options))
    model = build_model(_config(**options)).train()
    images = torch.randn(batch_size, 3, 64, 64)
    if warned:
        with pytest.raises(ValueError, match='more than 1'):
            model.decode_head(model.backbone(images))
    else:
        assert model.decode_head(model.backbone(images)).isfinite().all()
