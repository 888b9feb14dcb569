"""A work directory whose latest checkpoint was being written."""

import pytest
import torch
from mmengine.config import Config

from whiten_plugins.config.errors import ConfigError
from whiten_plugins.runner import set_resume


@pytest.fixture
def cfg(tmp_path):
    for number in (2, 4, 10):
        torch.save({'state_dict': {}}, tmp_path / f'iter_{number}.pth')
    name(tmp_path, tmp_path / 'iter_10.pth')
    return Config(dict(work_dir=str(tmp_path)))


def name(folder, choice):
    (folder / 'last_checkpoint').write_text(str(choice))


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def test_a_whole_one_is_mmengines_choice(cfg):
    set_resume(cfg, 'auto')
    assert cfg.resume and cfg.load_from is None


def test_of_one_that_is_cut_off_the_one_before_is_taken(cfg, tmp_path):
    cut(tmp_path / 'iter_10.pth')
    set_resume(cfg, 'auto')
    assert cfg.resume and cfg.load_from == str(tmp_path / 'iter_4.pth')


def test_where_nothing_is_named_the_latest_is_taken(cfg, tmp_path):
    name(tmp_path, '')
    set_resume(cfg, 'auto')
    assert cfg.load_from == str(tmp_path / 'iter_10.pth')


def test_one_that_is_gone(cfg, tmp_path):
    (tmp_path / 'iter_10.pth').unlink()
    set_resume(cfg, 'auto')
    assert cfg.load_from == str(tmp_path / 'iter_4.pth')


def test_none_that_is_whole(cfg, tmp_path):
    for file in tmp_path.glob('*.pth'):
        cut(file)
    with pytest.raises(ConfigError, match='max_keep_ckpts=2'):
        set_resume(cfg, 'auto')


def test_a_chosen_one_and_a_new_training_are_left_alone(cfg, tmp_path):
    cut(tmp_path / 'iter_10.pth')
    set_resume(cfg, 'other.pth')
    assert cfg.load_from == 'other.pth'
    new = Config(dict(work_dir=str(tmp_path)))
    set_resume(new, None)
    assert 'load_from' not in new
