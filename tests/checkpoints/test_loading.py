"""Checkpoints of another network are refused in one bounded line."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from whiten_plugins.checkpoints import loading
from whiten_plugins.checkpoints.loading import load_model
from whiten_plugins.checkpoints.reading import CheckpointError


class _Deep(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(99))


@pytest.fixture
def deep():
    MODELS.register_module(module=_Deep)
    yield lambda **kwargs: Config(dict(model=dict(type='_Deep', **kwargs)))
    MODELS.module_dict.pop('_Deep')


@pytest.mark.parametrize(
    ('state', 'message'),
    [
        (_Deep(5).state_dict(), 'size mismatch for layers.0.weight.*197 more'),
        ({'x' * 9999: torch.zeros(1)}, r"lacks 198 of the model's tensors"),
        (
            {'layers.0.weight': torch.zeros(60 * [1])},
            'size mismatch for layers.0.weight',
        ),
    ],
)
def test_wrong_checkpoint_is_one_short_line(deep, tmp_path, state, message):
    file = tmp_path / 'model.pth'
    torch.save(state, file)
    with pytest.raises(CheckpointError, match=message) as found:
        load_model(deep(), file)
    assert '\n' not in str(found.value)
    assert len(str(found.value)) < 400


def test_tensors_without_a_place_are_a_short_warning(
    deep, tmp_path, monkeypatch
):
    said = []
    monkeypatch.setattr(
        loading, 'print_log', lambda text, **_: said.append(text)
    )
    file = tmp_path / 'model.pth'
    torch.save(_Deep().state_dict() | {'y' * 9999: torch.zeros(1)}, file)
    model, _ = load_model(deep(), file)
    assert not model.training
    (warning,) = said
    assert 'no place for 1 tensors, yyy' in warning and len(warning) < 400
