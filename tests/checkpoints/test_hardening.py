"""Hard ratios of a checkpoint are those of a layer with hard=True."""

import pytest
import torch
from torch import nn

from tests.ratios.synthetic import layer, save
from whiten_plugins.checkpoints.hardening import (
    harden_checkpoint,
    harden_logits,
)
from whiten_plugins.checkpoints.reading import CheckpointError
from whiten_plugins.norms import SN, SW

ARGUMENTS = {
    'SN': (SN, {}),
    'SN tied': (SN, dict(tie_weight=True)),
    'SN groups': (SN, dict(ratio_groups=2)),
    'SW': (SW, dict(num_pergroup=4, sw_type=5)),
}


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_softmax_of_the_logits_is_one_hot(dtype):
    logits = torch.tensor([[0.1, 0.2, -3.0], [5.0, 4.9, 4.99]], dtype=dtype)
    ratios = harden_logits(logits).softmax(-1)
    assert ratios.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert harden_logits(harden_logits(logits)).softmax(-1).equal(ratios)


def test_without_the_chosen_one_the_next_is_chosen():
    logits = harden_logits(torch.tensor([0.1, 0.3, 0.2, 0.2]))
    assert logits[[0, 2, 3]].softmax(-1).tolist() == [0, 1, 0]
    assert logits[[0, 3]].softmax(-1).tolist() == [0, 1]


def test_first_of_equal_ones_is_chosen():
    logits = torch.tensor([0.0, 1.0, 1.0])
    assert harden_logits(logits).softmax(-1).tolist() == [0, 1, 0]


@pytest.mark.parametrize('name', ARGUMENTS)
@pytest.mark.parametrize('size', [4, 1])  # in, iw are left out at size 1
def test_a_soft_layer_then_works_as_a_hard_one(tmp_path, name, size):
    build, kwargs = ARGUMENTS[name]
    torch.manual_seed(0)
    soft, hard = build(8, **kwargs), build(8, **kwargs, hard=True)
    for parameter in soft.parameters():
        nn.init.normal_(parameter)
    with torch.no_grad():
        soft.mean_weight[..., -1] -= 9  # in or ln: something must be left
    hard.load_state_dict(soft.state_dict())
    source = tmp_path / 'soft.pth'
    torch.save({f'bn.{k}': v for k, v in soft.state_dict().items()}, source)
    harden_checkpoint(source, tmp_path / 'hard.pth')
    saved = torch.load(tmp_path / 'hard.pth', weights_only=True)
    model = nn.ModuleDict({'bn': soft})
    model.load_state_dict(saved['state_dict'])
    x = torch.randn(6, 8, size, size)
    y = soft(x)
    torch.testing.assert_close(y, hard(x))
    y.square().sum().backward()
    assert soft.mean_weight.grad.abs().sum() == 0


def test_all_but_the_logits_stays(tmp_path):
    state = layer('backbone.bn1', [1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    state |= layer('neck.bn', [1.0, 1.0], kind='SW')
    source = save(tmp_path / 'a.pth', state, config='model = dict()')
    result = harden_checkpoint(source, tmp_path / 'deep' / 'b.pth')
    saved = torch.load(tmp_path / 'deep' / 'b.pth', weights_only=True)
    assert saved['meta'] == {'cfg': 'model = dict()'}
    assert saved['state_dict'].keys() == state.keys()
    for key, value in state.items():
        kept = torch.equal(saved['state_dict'][key], value)
        assert kept != ('mean_weight' in key or 'var_weight' in key)
    assert [item.mean for item in result.layers] == [
        {'in': 0, 'ln': 0, 'bn': 1},
        {'bw': 1, 'iw': 0},
    ]
    assert result.layers[0].var == {'in': 1, 'ln': 0, 'bn': 0}
    assert result.ties == ['neck.bn.mean_weight']


def test_a_checkpoint_without_ratios_is_refused(tmp_path):
    torch.save({'bn.weight': torch.ones(3)}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='no SN or SW layer'):
        harden_checkpoint(tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert not (tmp_path / 'b.pth').exists()


def test_nothing_is_overwritten_unless_asked(tmp_path):
    state = layer('bn', [1.0, 2.0, 3.0])
    source = save(tmp_path / 'a.pth', state)
    (tmp_path / 'b.pth').write_text('mine')
    with pytest.raises(FileExistsError, match='b.pth: already there'):
        harden_checkpoint(source, tmp_path / 'b.pth')
    assert (tmp_path / 'b.pth').read_text() == 'mine'
    harden_checkpoint(source, tmp_path / 'b.pth', overwrite=True)
    with pytest.raises(FileExistsError, match='is the checkpoint itself'):
        harden_checkpoint(source, source, overwrite=True)
    with pytest.raises(IsADirectoryError, match='is a folder'):
        harden_checkpoint(source, tmp_path, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.pth', 'b.pth']
