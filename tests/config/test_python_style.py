"""Configs in the pure-Python style, whose types are classes."""

import pytest
from mmengine.config import Config

from whiten_plugins.config.errors import ConfigError
from whiten_plugins.config.loading import load_config
from whiten_plugins.config.types import toolkit_of, type_name, type_path
from whiten_plugins.norms import SW
from whiten_plugins.runner import enable_amp, save_predictions
from whiten_plugins.runner.launch import _use_cpu_amp

CONFIG = """
from mmengine.optim import {wrapper}
from torch.optim import SGD
from whiten_plugins.norms import SW

norm_cfg = dict(type=SW)
model = dict(type='mmseg.EncoderDecoder', backbone=dict(norm_cfg=norm_cfg))
optim_wrapper = dict(type={wrapper}, optimizer=dict(type=SGD, lr=0.1))
test_evaluator = dict(type='mmseg.IoUMetric')
"""


@pytest.fixture
def load(tmp_path):
    def load(options=None, wrapper='OptimWrapper'):
        path = tmp_path / 'net.py'
        path.write_text(CONFIG.format(wrapper=wrapper))
        return load_config(path, options)

    return load


def test_types_are_known_by_name_and_by_path(load):
    cfg = load()
    norm_cfg = cfg.model.backbone.norm_cfg
    assert norm_cfg.type is SW
    assert type_name(norm_cfg) == type_name(dict(type='mmdet.SW')) == 'SW'
    assert type_path(SW) == f'{SW.__module__}.SW'
    assert type_path('mmdet.SW') == 'mmdet.SW'


@pytest.mark.parametrize(
    ('cfg', 'toolkit'),
    [
        (dict(default_scope='mmdet'), 'mmdet'),
        (dict(default_scope='mmpose', model=dict(type='mmdet.A')), None),
        (dict(model=dict(type='mmseg.EncoderDecoder')), 'mmseg'),
        (dict(model=dict(type=SW)), None),
        (dict(), None),
    ],
)
def test_toolkit_is_that_of_the_scope_or_the_model(cfg, toolkit):
    assert toolkit_of(Config(cfg)) == toolkit


def test_amp_is_switched_on_and_runs_on_a_cpu(load):
    cfg = load()
    enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    for gpu in (cfg, load(wrapper='AmpOptimWrapper')):
        _use_cpu_amp(gpu)
        assert gpu.optim_wrapper.type == 'CPUAmpOptimWrapper'
        assert 'loss_scale' not in gpu.optim_wrapper


def test_predictions_are_saved_without_a_default_scope(load):
    cfg = load()
    save_predictions(cfg, 'out')
    assert cfg.test_evaluator.output_dir == 'out'


def test_norm_is_overridden_on_the_command_line(load):
    cfg = load({'norm_cfg.type': 'SN'})
    assert cfg.model.backbone.norm_cfg.type == 'SN'


@pytest.mark.parametrize('wrapper', ['NoSuchWrapper', 'OptimWrapper.none'])
def test_an_import_that_fails_is_one_line_with_the_file(load, wrapper):
    with pytest.raises(ConfigError) as caught:
        load(wrapper=wrapper)
    message = str(caught.value)
    assert 'net.py: ' in message and '\n' not in message
