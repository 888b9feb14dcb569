"""What looks for BatchNorm finds these norms, or says that it does not."""

import copy
import types

import pytest
import torch
from mmengine.model import convert_sync_batchnorm
from mmengine.utils.dl_utils import has_batch_norm, is_norm
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.optim.swa_utils import AveragedModel, update_bn

from whiten_plugins.norms import BW, GW, IW, NORMS, SN, SW, SyncSN
from whiten_plugins.norms.base import SyncStatistics

with_batch = [norm for norm in NORMS if norm(8).spec.uses_batch]


def _network(norm):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), norm(8), nn.ReLU(), norm(8))


def _batches():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 3, 8, 8, generator=generator) for _ in range(3)]


def _running(model):
    return {k: v for k, v in model.named_buffers() if 'running' in k}


@pytest.mark.parametrize('norm', with_batch, ids=lambda norm: norm.__name__)
def test_update_bn_averages_the_batches(norm):
    model = AveragedModel(_network(norm)).eval()
    for buffer in _running(model).values():
        buffer.fill_(7)
    last = copy.deepcopy(model).train()
    for module in (last.module[1], last.module[3]):
        module.momentum = 1.0
    values = []
    for batch in _batches():
        last(batch)
        values.append({k: v.clone() for k, v in _running(last).items()})

    update_bn(_batches(), model)

    for name, buffer in _running(model).items():
        expected = torch.stack([v[name] for v in values]).mean(0)
        torch.testing.assert_close(buffer, expected, rtol=1e-5, atol=1e-6)
    assert model.module[1].momentum == 0.1
    assert not model.module[1].training


def test_the_hook_of_mmdet_averages_over_processes(monkeypatch):
    pytest.importorskip('mmdet')
    from mmdet.registry import HOOKS

    hook = HOOKS.build(dict(type='mmdet.SyncNormHook'))
    module = __import__(type(hook).__module__, fromlist=['_'])
    mine, others = _network(SN).train(), _network(SN).train()
    mine(_batches()[0])
    others(_batches()[1])
    expected = {
        name: (buffer + others.get_buffer(name)) / 2
        for name, buffer in _running(mine).items()
    }

    def mean_of_two(states, op):
        assert op == 'mean'
        return {k: (v + others.state_dict()[k]) / 2 for k, v in states.items()}

    monkeypatch.setattr(module, 'get_dist_info', lambda: (0, 2))
    monkeypatch.setattr(module, 'all_reduce_dict', mean_of_two)
    hook.before_val_epoch(types.SimpleNamespace(model=mine))

    assert len(expected) == 4
    for name, buffer in _running(mine).items():
        torch.testing.assert_close(buffer, expected[name])


def test_mmengine_sees_norms_and_those_that_use_the_batch():
    assert has_batch_norm(nn.Sequential(SN(8)))
    assert not has_batch_norm(nn.Sequential(GW(8)))
    assert is_norm(SW(8)) and is_norm(IW(8))
    assert not is_norm(SW(8), exclude=SW)
    assert not is_norm(nn.Conv2d(3, 8, 3))


@pytest.mark.parametrize(
    'convert',
    [convert_sync_batchnorm, nn.SyncBatchNorm.convert_sync_batchnorm],
    ids=['mmengine', 'torch'],
)
def test_conversion_to_sync_norms_names_what_stays_local(convert):
    model = nn.Sequential(nn.BatchNorm2d(8), SN(8), SyncSN(8), GW(8))
    norms = list(model)[1:]
    with pytest.warns(UserWarning, match="SN as it is.*type='SyncSN'") as seen:
        converted = convert(model)
    assert len(seen) == 1
    assert isinstance(converted[0], nn.SyncBatchNorm)
    assert list(converted)[1:] == norms


def test_removing_running_statistics_names_what_keeps_them():
    model = nn.Sequential(nn.BatchNorm2d(8), BW(8), GW(8))
    with pytest.warns(UserWarning, match='BW as it is.*are GW, IW') as seen:
        torch.func.replace_all_batch_norm_modules_(model)
    assert len(seen) == 1
    assert model[0].running_mean is None
    assert model[1].running_mean is not None


@pytest.mark.parametrize('norm', NORMS, ids=lambda norm: norm.__name__)
@pytest.mark.parametrize(
    'fuse, layer',
    [
        (fuse_conv_bn_eval, nn.Conv2d(3, 8, 3)),
        (torch.nn.utils.fuse_conv_bn_eval, nn.Conv2d(3, 8, 3)),
        (fuse_linear_bn_eval, nn.Linear(3, 8)),
    ],
    ids=['imported', 'attribute', 'linear'],
)
def test_fusion_refuses_norms_that_are_not_batch_norm(fuse, layer, norm):
    with pytest.raises(TypeError, match=f'{norm.__name__}, .*fold_norms'):
        fuse(layer.eval(), norm(8).eval())


def test_fusion_of_batch_norm_is_as_ever():
    conv, norm = nn.Conv2d(3, 8, 3).eval(), nn.BatchNorm2d(8).eval()
    x = _batches()[0]
    norm.running_mean.fill_(0.3)
    torch.testing.assert_close(
        fuse_conv_bn_eval(conv, norm)(x), norm(conv(x)), rtol=1e-5, atol=1e-5
    )


def test_sync_statistics_are_no_reason_to_warn(recwarn):
    model = nn.Sequential(
        *[n(8) for n in NORMS if issubclass(n, SyncStatistics)]
    )
    nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert not recwarn.list
