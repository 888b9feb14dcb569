"""The error of a norm names its layer, whatever runs the model."""

import pytest
import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from torch import distributed, nn

from whiten_plugins.analysis import named_norm_errors
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.norms import SW

CFG = Config(dict(model=dict(head=dict(norm_cfg=dict(type='SW')))))
ONE = torch.zeros(1, 8, 1, 1)


def _model(*modules):
    return nn.ModuleDict(dict(head=nn.Sequential(*modules)))


@pytest.mark.parametrize(
    ('norm', 'source'),
    [(SW(8), 'model.head.norm_cfg'), (nn.BatchNorm2d(8), 'built in')],
)
def test_torch_norms_are_named_too(norm, source):
    model = _model(nn.ReLU(), norm)
    with (
        pytest.raises(ConfigError, match='more than 1 value') as caught,
        named_norm_errors(model, CFG),
    ):
        model['head'](ONE)
    kind = type(norm).__name__
    assert str(caught.value).startswith(f'{source}: head.1 ({kind}): ')


def test_a_wrong_number_of_channels_is_named():
    model = _model(SW(4))
    with (
        pytest.raises(ConfigError, match=r'head\.0 \(SW\): expected .*4'),
        named_norm_errors(model, CFG),
    ):
        model['head'](ONE)


def test_a_model_wrapped_for_several_processes(tmp_path):
    distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    try:
        wrapped = MMDistributedDataParallel(_model(SW(8)))
        with (
            pytest.raises(ConfigError, match=r'^model\.head\..*: head\.0 \('),
            named_norm_errors(wrapped, CFG),
        ):
            wrapped.module['head'](ONE)
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize('error', [ValueError('no norm'), KeyError('other')])
def test_other_errors_pass(error):
    with (
        pytest.raises(type(error)) as caught,
        named_norm_errors(_model(SW(8)), CFG),
    ):
        raise error
    assert caught.value is error


def test_a_norm_outside_the_model_is_not_named():
    with (
        pytest.raises(ValueError, match='more than 1 value') as caught,
        named_norm_errors(_model(SW(8)), CFG),
    ):
        SW(8)(ONE)
    assert not isinstance(caught.value, ConfigError)
