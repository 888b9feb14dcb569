"""Norms that cannot do their work are named before a training, once."""

import sys

import pytest
import torch
from mmengine.config import Config

from whiten_plugins.analysis import norm_warnings
from whiten_plugins.analysis.norm_warnings import log_once
from whiten_plugins.config.building import build_model
from whiten_plugins.placement import backbones  # noqa: F401  registers them

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

pytestmark = [
    pytest.mark.filterwarnings('ignore:``build_loss``'),
    pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``'),
    pytest.mark.filterwarnings('ignore:DeprecationWarning. pretrained'),
]
SEGMENTOR = """
default_scope = 'mmseg'
train_dataloader = dict(batch_size=4)
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=8,
        stem_channels=8,
        norm_cfg=dict(type='SN'),
        norm_eval=False,
        frozen_stages=-1,
        init_cfg=None,
    ),
    decode_head=dict(
        type='PSPHead',
        in_channels=64,
        in_index=3,
        pool_scales=(1, 2),
        channels=64,
        num_classes=3,
        norm_cfg=dict(type='SN'),
    ),
)
"""
PRETRAINED = dict(type='Pretrained', checkpoint='torchvision://resnet18')


def warnings(batch_size=4, load_from=None, loaded=False, **options):
    """Of the config above; ``options`` are keys of its model."""
    cfg = Config.fromstring(SEGMENTOR, '.py')
    cfg.train_dataloader.batch_size = batch_size
    cfg.load_from = load_from
    for path, value in options.items():
        part = cfg.model
        *owners, key = path.split('__')
        for owner in owners:
            part = part[owner]
        part[key] = value
    device = 'cpu' if loaded else 'meta'
    with torch.device(device):
        model = build_model(cfg)
    return norm_warnings(model, cfg, loaded=loaded)


def only(**settings):
    (warning,) = warnings(**settings)
    assert '\n' not in warning
    return warning


@pytest.mark.parametrize('loaded', [False, True])
def test_a_healthy_config_is_silent(loaded):
    assert warnings(loaded=loaded) == []
    assert warnings(loaded=loaded, backbone__init_cfg=PRETRAINED) == []


@pytest.mark.parametrize('kind', ['SN', 'SyncSW', 'GW', 'IW'])
def test_norms_that_are_frozen_on_weights_of_batch_norm(kind):
    """Stem and stage 1 of a ResNet-18: 5 of 20 norms."""
    warning = only(
        backbone__frozen_stages=1,
        backbone__norm_cfg=dict(type=kind),
        backbone__init_cfg=PRETRAINED,
    )
    assert warning.startswith(
        f'model.backbone.norm_cfg: 5 of 20 {kind} (backbone.bn1 … '
        'backbone.layer1.1.bn2): frozen'
    )
    assert 'frozen_stages=-1' in warning


def test_frozen_norms_that_are_batch_norm_in_evaluation_are_fine():
    frozen = dict(backbone__frozen_stages=1, backbone__init_cfg=PRETRAINED)
    for norm_cfg in (dict(type='BN'), dict(type='BW'), dict(type='SyncItN')):
        assert warnings(**frozen, backbone__norm_cfg=norm_cfg) == []


def checkpoint(path, kind):
    """A backbone's weights with norms of some kind."""
    cfg = Config.fromstring(SEGMENTOR, '.py')
    cfg.model.backbone.norm_cfg = dict(type=kind)
    torch.save(build_model(cfg).backbone.state_dict(), path)
    return dict(type='Pretrained', checkpoint=str(path))


def test_the_checkpoint_says_whether_frozen_norms_are_its_own(tmp_path):
    frozen = dict(backbone__frozen_stages=1)
    own = checkpoint(tmp_path / 'sn.pth', 'SN')
    assert warnings(**frozen, backbone__init_cfg=own) == []
    other = checkpoint(tmp_path / 'bn.pth', 'BN')
    assert 'frozen with equal ratios' in only(
        **frozen, backbone__init_cfg=other
    )
    unknown = dict(type='Pretrained', checkpoint='checkpoints/none.pth')
    assert warnings(**frozen, backbone__init_cfg=unknown) == []


def test_a_loaded_model_is_judged_by_its_ratios():
    cfg = Config.fromstring(SEGMENTOR, '.py')
    cfg.model.backbone.update(frozen_stages=1, init_cfg=PRETRAINED)
    model = build_model(cfg)
    for name, buffer in model.named_buffers():
        if name.endswith('running_mean'):
            buffer.fill_(0.1)
    (warning,) = norm_warnings(model, cfg, loaded=True)
    assert 'frozen with equal ratios' in warning
    for name, parameter in model.named_parameters():
        if name.endswith('mean_weight'):
            parameter.data[0] = 2
    assert norm_warnings(model, cfg, loaded=True) == []


@pytest.mark.parametrize('loaded', [False, True])
@pytest.mark.parametrize('kind', ['BN', 'SN', 'BW'])
def test_running_statistics_that_nothing_filled(kind, loaded):
    settings = dict(
        loaded=loaded,
        backbone__norm_eval=True,
        backbone__norm_cfg=dict(type=kind),
    )
    warning = only(**settings)
    assert warning.startswith(f'model.backbone.norm_cfg: 20 of 20 {kind} ')
    assert 'norm_eval=False' in warning
    if not loaded:
        assert not warnings(**settings, backbone__init_cfg=PRETRAINED)


@pytest.mark.parametrize(
    'kind, told',
    [('SN', 'bn equal to in'), ('SyncSN', ''), ('BN', ''), ('GW', '')],
)
def test_one_image_makes_two_statistics_one(kind, told):
    options = dict(decode_head__pool_scales=(8,), batch_size=1)
    norm_cfg = dict(type=kind)
    found = warnings(
        **options,
        backbone__norm_cfg=norm_cfg,
        decode_head__norm_cfg=norm_cfg,
    )
    assert bool(found) == bool(told)
    for warning in found:
        assert f'train_dataloader.batch_size=1 makes {told}' in warning
        assert 'Sync' in warning


@pytest.mark.parametrize(
    'norm_cfg, told',
    [
        (dict(type='GW'), ['1×1', '2×2']),
        (dict(type='GW', num_groups=8), []),
        (dict(type='SyncItN'), ['1×1']),
        (dict(type='SyncItN', num_pergroup=4), []),
        (dict(type='SyncSW'), ['1×1']),
        (dict(type='SW', sw_type=3), []),
        (dict(type='SN'), []),
    ],
    ids=str,
)
def test_pooled_maps_with_too_few_values(norm_cfg, told):
    """256 channels, 2 images, Sync over 8 processes."""
    found = warnings(
        batch_size=2,
        decode_head__norm_cfg=norm_cfg,
        decode_head__channels=256,
    )
    found = [w for w in found if 'sees 1×1 maps' not in w]
    assert [any(side in w for w in found) for side in told] == [True] * len(
        told
    )
    assert len(found) == len(told)
    for warning in found:
        assert 'what works' in warning
        assert 'num_groups' in warning or 'num_pergroup' in warning


def test_hard_ratios_that_no_training_chose(tmp_path):
    hard = dict(type='SN', hard=True)
    warning = only(decode_head__norm_cfg=hard)
    assert 'hard=True keeps the first statistic, in' in warning
    assert 'hard=False' in warning
    cfg = Config.fromstring(SEGMENTOR, '.py')
    whole = tmp_path / 'hard.pth'
    torch.save(build_model(cfg).state_dict(), whole)
    assert not warnings(decode_head__norm_cfg=hard, load_from=str(whole))


def test_a_warning_is_logged_once(monkeypatch):
    module = sys.modules[log_once.__module__]
    seen = []
    monkeypatch.setattr(
        module, 'print_log', lambda text, **_: seen.append(text)
    )
    monkeypatch.setattr(module, '_logged', set())
    log_once(['one', 'two'])
    log_once(['two', 'three'])
    assert seen == ['one', 'two', 'three']
