"""Configs and command lines: what takes effect, and what is refused."""

import logging
from pathlib import Path

import pytest

from whiten_plugins.config.errors import ConfigError
from whiten_plugins.config.loading import load_config
from whiten_plugins.runner import enable_amp, enable_auto_scale_lr, set_resume

CONFIG = """
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    backbone=dict(norm_cfg=dict(type='BN', requires_grad=False)),
    neck=dict(norm_cfg=norm_cfg),
    heads=[dict(norm_cfg=norm_cfg), dict(conv=dict(dw_norm_cfg=norm_cfg))],
)
optim_wrapper = dict(type='OptimWrapper')
data_root = 'data/'
"""


@pytest.fixture
def load(tmp_path):
    path = tmp_path / 'net.py'
    path.write_text(CONFIG)
    return lambda options=None, **kw: load_config(path, options, **kw)


def test_norm_cfg_reaches_every_copy_of_it(load):
    model = load({'norm_cfg.type': 'SN', 'norm_cfg.tie_weight': True}).model
    expected = dict(type='SN', tie_weight=True)
    assert model.neck.norm_cfg == expected
    assert model.heads[0].norm_cfg == expected
    assert model.heads[1].conv.dw_norm_cfg == expected


def test_other_norm_cfg_stays(load):
    model = load({'norm_cfg.type': 'SN'}).model
    assert model.backbone.norm_cfg == dict(type='BN', requires_grad=False)


def test_place_overridden_by_name_keeps_its_own(load):
    model = load(
        {'norm_cfg.type': 'SN', 'model.neck.norm_cfg.type': 'GN'}
    ).model
    assert model.neck.norm_cfg.type == 'GN'
    assert model.heads[0].norm_cfg.type == 'SN'


def test_norm_cfg_inherited_from_a_toolkit_loses_its_scope(tmp_path):
    path = tmp_path / 'child.py'
    path.write_text("_base_ = 'mmseg::_base_/models/pspnet_r50-d8.py'")
    cfg = load_config(path, {'norm_cfg.type': 'SW'})
    for part in ('backbone', 'decode_head', 'auxiliary_head'):
        assert cfg.model[part].norm_cfg == dict(type='SW')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'norm_cfg.type': 'SWW'}, "'SWW' is not registered; did you mean SW"),
        ({'norm_cfg': 3}, 'norm_cfg must stay a dict with a type'),
        ({'norm_cfg._delete_': True}, 'norm_cfg must stay a dict with a type'),
        ({'data_root.type': 'SW'}, 'data_root'),
    ],
)
def test_option_that_cannot_work_is_refused(load, options, message):
    with pytest.raises(ConfigError, match=message):
        load(options)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ("model = dict(norm_cfg=dict(type='BN'))", 'no top-level norm_cfg'),
        (
            "norm_cfg = dict(type='BN')\n"
            "model = dict(norm_cfg=dict(type='GN', num_groups=8))",
            'nothing in model uses',
        ),
    ],
)
def test_norm_cfg_that_would_change_nothing_is_refused(
    tmp_path, text, message
):
    path = tmp_path / 'net.py'
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path, {'norm_cfg.type': 'SN'})


def test_variable_without_effect_is_warned_of(load, caplog, monkeypatch):
    logger = logging.getLogger('mmengine')
    monkeypatch.setattr(
        'whiten_plugins.config.loading.print_log',
        lambda text, level=logging.INFO, **_: logger.log(level, text),
    )
    with caplog.at_level(logging.WARNING, 'mmengine'):
        load({'data_root': 'elsewhere/', 'optim_wrapper.accumulate': 2})
    assert ['data_root' in r.message for r in caplog.records] == [True]


def test_work_dir_of_argument_then_config_then_name(load):
    assert load().work_dir == str(Path('work_dirs', 'net'))
    assert load({'work_dir': 'mine'}).work_dir == 'mine'
    assert load({'work_dir': 'mine'}, work_dir='its').work_dir == 'its'


def test_unreadable_config_is_one_line(tmp_path):
    path = tmp_path / 'net.py'
    with pytest.raises(ConfigError, match=f'no such config file: {path}'):
        load_config(path)
    path.write_text('model = dict(\n')
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value).startswith(f'{path}: SyntaxError')
    assert '\n' not in str(error.value)


def test_amp_replaces_the_plain_wrapper_alone(load):
    cfg = load()
    enable_amp(cfg)
    assert cfg.optim_wrapper == dict(
        type='AmpOptimWrapper', loss_scale='dynamic'
    )
    with pytest.raises(ConfigError, match='ApexOptimWrapper'):
        enable_amp(load({'optim_wrapper.type': 'ApexOptimWrapper'}))


def test_auto_scale_lr_needs_a_base_batch_size(load):
    cfg = load({'auto_scale_lr.base_batch_size': 16})
    enable_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable
    with pytest.raises(ConfigError, match='base_batch_size'):
        enable_auto_scale_lr(load())


@pytest.mark.parametrize(
    ('resume', 'expected'),
    [
        (None, (False, 'w.pth')),
        ('auto', (True, None)),
        ('iter_3.pth', (True, 'iter_3.pth')),
    ],
)
def test_resume(load, resume, expected):
    cfg = load({'resume': False, 'load_from': 'w.pth'})
    set_resume(cfg, resume)
    assert (cfg.resume, cfg.load_from) == expected
