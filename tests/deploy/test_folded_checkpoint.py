"""A folded checkpoint and its config, wherever they are moved to."""

import pytest
import torch
from mmengine.registry import DefaultScope

from tests.deploy.networks import as_trained, relative_difference
from whiten_plugins.checkpoints.loading import load_model
from whiten_plugins.config.building import build_model
from whiten_plugins.config.loading import load_config
from whiten_plugins.deploy.folded_checkpoint import fold_checkpoint

pytest.importorskip('mmseg.models')

TEXT = """
default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg.models', 'whiten_plugins'])
norm_cfg = dict(type='ItN')
model = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=8,
        stem_channels=8,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=64,
        channels=8,
        num_convs=1,
        num_classes=3,
        norm_cfg=norm_cfg,
    ),
)
"""
PYTHON = (
    TEXT.replace("'mmseg'", 'None')
    .replace(
        "custom_imports = dict(imports=['mmseg.models', 'whiten_plugins'])",
        """
from mmseg.models import EncoderDecoder, FCNHead, ResNet
from whiten_plugins.norms import ItN
""",
    )
    .replace("'EncoderDecoder'", 'EncoderDecoder')
    .replace("'ResNet'", 'ResNet')
    .replace("'FCNHead'", 'FCNHead')
    .replace("'ItN'", 'ItN')
)


@pytest.fixture(params=[TEXT, PYTHON], ids=['text', 'python'])
def trained(request, tmp_path):
    """A config in each style, and a checkpoint."""
    # As in a process of its own: a runner of another test may have left a
    # scope, which the config in Python does not name.
    DefaultScope._instance_dict.clear()
    config = tmp_path / 'config.py'
    config.write_text(request.param)
    torch.manual_seed(0)
    model = as_trained(build_model(load_config(config)))
    file = tmp_path / 'trained.pth'
    torch.save(model.state_dict(), file)
    return load_config(config), file, model


def test_config_finds_its_checkpoint_from_anywhere(
    trained, tmp_path, monkeypatch
):
    cfg, checkpoint, model = trained
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    fold_checkpoint(cfg, checkpoint, 'out/folded.pth')
    moved = tmp_path / 'moved'
    (tmp_path / 'here' / 'out').rename(moved)
    monkeypatch.chdir(tmp_path)
    folded_cfg = load_config(moved / 'folded.py')
    assert folded_cfg.load_from == str(moved / 'folded.pth')
    folded, _ = load_model(folded_cfg, folded_cfg.load_from)
    assert type(folded) is type(model)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert relative_difference(folded(x), model(x)) < 1e-4


def test_the_checkpoint_itself_is_never_written(trained):
    cfg, checkpoint, _ = trained
    before = checkpoint.read_bytes()
    with pytest.raises(FileExistsError, match='is the checkpoint itself'):
        fold_checkpoint(cfg, checkpoint, checkpoint, overwrite=True)
    assert checkpoint.read_bytes() == before
    assert not checkpoint.with_suffix('.py').exists()
