"""Runs without a GPU: what the config is given, and what is refused."""

import pytest
import torch
from mmengine.config import Config

from whiten_plugins.config.errors import ConfigError
from whiten_plugins.runner import build_runner, launch


@pytest.fixture
def built(monkeypatch, tmp_path):
    """Returns the config that Runner would get on a machine without GPU."""
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(launch.Runner, 'from_cfg', lambda cfg: cfg)
    monkeypatch.setattr(launch, 'is_distributed', lambda: True)
    monkeypatch.setenv('RANK', '0')
    return lambda **cfg: build_runner(Config(cfg))


def test_amp_wrapper_becomes_the_cpu_one(built):
    cfg = built(
        optim_wrapper=dict(
            type='AmpOptimWrapper', loss_scale='dynamic', clip_grad=None
        )
    )
    assert cfg.optim_wrapper == dict(type='CPUAmpOptimWrapper', clip_grad=None)


def test_distributed_model_gets_no_device_ids(built):
    wrapper = built(launcher='pytorch').model_wrapper_cfg
    assert wrapper == dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=False,
        device_ids=None,
    )


def test_settings_of_the_distributed_model_are_kept(built):
    unused = built(launcher='pytorch', find_unused_parameters=True)
    assert unused.model_wrapper_cfg.find_unused_parameters
    own = built(launcher='pytorch', model_wrapper_cfg=dict(static_graph=True))
    assert own.model_wrapper_cfg == dict(static_graph=True, device_ids=None)


def test_single_process_is_left_alone(built):
    assert 'model_wrapper_cfg' not in built(launcher='none')


def test_gpu_run_is_left_to_mmengine(built, monkeypatch):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    amp = dict(type='AmpOptimWrapper', loss_scale='dynamic')
    cfg = built(launcher='slurm', optim_wrapper=amp)
    assert cfg.optim_wrapper == amp
    assert 'model_wrapper_cfg' not in cfg


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_launcher_that_needs_gpus_is_refused(built, launcher):
    with pytest.raises(ConfigError, match='use --launcher pytorch'):
        built(launcher=launcher)


def test_launcher_without_torchrun_is_refused(built, monkeypatch):
    monkeypatch.delenv('RANK')
    with pytest.raises(ConfigError, match='dist_train.sh'):
        built(launcher='pytorch')


def test_missing_checkpoint_is_refused(built, tmp_path):
    missing = tmp_path / 'none.pth'
    with pytest.raises(ConfigError, match=f'no such checkpoint: {missing}'):
        built(load_from=str(missing))


def test_checkpoint_elsewhere_is_left_to_mmengine(built, tmp_path):
    built(load_from='torchvision://resnet50')
    there = tmp_path / 'there.pth'
    torch.save({}, there)
    built(load_from=str(there))
