"""What a training or a test needs is looked at before it is built."""

import os

import pytest
import torch
from mmengine.config import Config
from torch import nn

from whiten_plugins.checkpoints.reading import CheckpointError
from whiten_plugins.checkpoints.run_checks import (
    check_fits,
    check_run,
    latest_checkpoint,
)
from whiten_plugins.config.errors import ConfigError


@pytest.fixture
def cfg(tmp_path):
    some = dict(a=1)
    return Config(
        dict(
            model=some,
            train_dataloader=some,
            train_cfg=some,
            optim_wrapper=some,
            test_dataloader=some,
            test_cfg=some,
            test_evaluator=some,
            work_dir=str(tmp_path / 'work'),
        )
    )


@pytest.fixture
def training(tmp_path):
    """A checkpoint as a training saves it, in a work directory."""
    work = tmp_path / 'work'
    work.mkdir()
    path = work / 'iter_2.pth'
    content = dict(
        meta=dict(iter=2, epoch=0),
        state_dict=nn.Linear(2, 2).state_dict(),
        message_hub={},
        optimizer={},
    )
    torch.save(content, path)
    (work / 'last_checkpoint').write_text(str(path))
    return path


@pytest.mark.parametrize(
    ('task', 'key'),
    [
        ('train', 'model'),
        ('train', 'optim_wrapper'),
        ('test', 'model'),
        ('test', 'test_evaluator'),
    ],
)
def test_what_is_missing_in_the_config_is_named(cfg, task, key):
    cfg.test_cfg = {}
    check_run(cfg, task)
    cfg[key] = None
    with pytest.raises(ConfigError, match=f'has no {key}'):
        check_run(cfg, task)


def test_a_work_dir_that_is_a_file(cfg, tmp_path):
    (tmp_path / 'work').touch()
    with pytest.raises(NotADirectoryError, match='work: is a file'):
        check_run(cfg, 'train')


@pytest.mark.parametrize('damage', ['text', 'truncated', 'folder', 'none'])
def test_what_is_no_checkpoint(cfg, training, tmp_path, damage):
    path = tmp_path / 'a.pth'
    if damage == 'text':
        path.write_text('no checkpoint')
    elif damage == 'truncated':
        path.write_bytes(training.read_bytes()[:-500])
    elif damage == 'folder':
        path.mkdir()
    cfg.load_from = str(path)
    with pytest.raises((ConfigError, CheckpointError)) as caught:
        check_run(cfg, 'test')
    assert str(path) in str(caught.value)


def test_weights_alone_are_not_resumed(cfg, training, tmp_path):
    cfg.resume, cfg.load_from = True, str(training)
    check_run(cfg, 'train')
    weights = tmp_path / 'hard.pth'
    content = torch.load(training, weights_only=True)
    torch.save({k: content[k] for k in ('meta', 'state_dict')}, weights)
    cfg.load_from = str(weights)
    with pytest.raises(CheckpointError, match=f'load_from={weights}'):
        check_run(cfg, 'train')
    cfg.resume = False
    check_run(cfg, 'train')


def test_the_latest_checkpoint_of_a_directory_that_was_moved(
    cfg, training, tmp_path
):
    moved = tmp_path / 'moved'
    os.rename(training.parent, moved)
    cfg.resume, cfg.work_dir = True, str(moved)
    check_run(cfg, 'train')
    assert cfg.load_from == str(moved / training.name)
    (moved / training.name).unlink()
    with pytest.raises(ConfigError, match=f'names {training}, which is nei'):
        latest_checkpoint(moved)


def test_nothing_to_resume_from_is_a_new_training(cfg):
    cfg.resume = True
    check_run(cfg, 'train')
    assert cfg.get('load_from') is None


def test_a_checkpoint_of_another_network(training):
    """One tensor that fits is enough: heads are replaced on purpose."""
    path = str(training)
    check_fits(nn.Linear(3, 2), path)
    check_fits(nn.DataParallel(nn.Linear(2, 2)), path)
    for other in (nn.Sequential(nn.Linear(2, 2)), nn.Linear(3, 3)):
        with pytest.raises(CheckpointError, match='none of its 2 tensors'):
            check_fits(other, path)
