"""Settings are read from config text, by place, without running it."""

import pytest
from mmengine.config import Config

from whiten_plugins.checkpoints.config_text import find_norms, norms_of

DETECTOR = dict(
    type='MaskRCNN',
    backbone=dict(
        type='ResNet',
        norm_cfg=dict(type='SyncSN', stats=('ln', 'in'), requires_grad=True),
    ),
    neck=dict(norm_cfg=dict(type='whiten_plugins.norms.SW', sw_type=5)),
    roi_head=dict(
        bbox_head=[
            dict(norm_cfg=dict(type='SN', stats=('in', 'ln'), hard=True))
        ]
    ),
    mask_head=dict(norm_cfg=dict(type='BN')),
)


def _pretty(model):
    return Config(dict(model=model, lr=0.1)).pretty_text


def test_norms_of_an_mmengine_config():
    norms = find_norms(_pretty(DETECTOR))
    assert [(s.owner, s.type, s.stats, s.hard) for s in norms] == [
        (('backbone',), 'SN', ('ln', 'in'), False),
        (('neck',), 'SW', ('bw', 'iw', 'bn', 'in', 'ln'), False),
        (('roi_head', 'bbox_head', '0'), 'SN', ('in', 'ln'), True),
    ]


@pytest.mark.parametrize(
    ('layer', 'stats'),
    [
        ('backbone.layer1.0.bn1', ('ln', 'in')),
        ('roi_head.bbox_head.0.convs.1.bn', ('in', 'ln')),
    ],
)
def test_nearest_setting_counts(layer, stats):
    norms = find_norms(_pretty(DETECTOR))
    (setting,) = norms_of(layer, 2, None, norms)
    assert setting.stats == stats


def test_norms_elsewhere_count_if_none_is_near():
    norms = find_norms(_pretty(DETECTOR))
    found = norms_of('teacher.bn1', 2, None, norms)
    assert found == [norms[0], norms[2]]


def test_setting_must_fit_type_and_number_of_statistics():
    norms = find_norms(_pretty(DETECTOR))
    assert norms_of('neck.convs.0.bn', 2, 'running_cov', norms) == []
    assert norms_of('neck.convs.0.bn', 3, 'running_var', norms) == []


def test_defaults_of_the_layers():
    text = _pretty({'a': dict(type='SN'), 'b': dict(type='SyncSW')})
    stats = [setting.stats for setting in find_norms(text)]
    assert stats == [('in', 'ln', 'bn'), ('bw', 'iw')]


@pytest.mark.parametrize(
    'text',
    [
        None,
        'model = dict(',
        'model = \0',
        'lr = 0.1',
        'model = ' + '(' * 5000,
        'model = -' + 'x.' * 20000 + 'y',
        "model = dict(a=dict(type='SN', stats=[['in']]))",
        "model = dict(a=dict(type='SN', stats='in'))",
        "model = dict(a=dict(type='SN', stats=('in', 'in')))",
        "model = dict(a=dict(type='SW', sw_type=[2]))",
        "model = dict(a=dict(type='SW', sw_type=4))",
    ],
)
def test_text_without_usable_norms(text):
    assert find_norms(text) == []


def test_text_is_not_executed(tmp_path):
    victim = tmp_path / 'victim'
    text = (
        f"open({str(victim)!r}, 'w')\n"
        f"model = dict(a=dict(type='SN', hard=open({str(victim)!r}, 'w')))"
    )
    (setting,) = find_norms(text)
    assert not setting.hard
    assert not victim.exists()
