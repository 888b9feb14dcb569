"""BatchNorm's state dicts load into norms, and evaluate as before."""

import pytest
import torch
from torch import nn

from whiten_plugins import norms

from .cases import (
    CASES,
    Case,
    assert_close,
    random_input,
)
from .test_modes import AFFINE, LOGITS, X, equal


def batch_norm(seed=0):
    norm = nn.BatchNorm2d(8).double()
    generator = torch.Generator().manual_seed(seed)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        tensor.data.copy_(torch.randn(8, generator=generator))
    norm.running_var.copy_(0.5 + torch.rand(8, generator=generator))
    norm.num_batches_tracked.fill_(7)
    return norm.eval()


@pytest.mark.parametrize('case', CASES, ids=str)
@pytest.mark.parametrize('old', [False, True])
def test_loading_a_batch_norm(case, old):
    """Strictly; old files have no version and no num_batches_tracked."""
    if not case.kwargs.get('affine', True):
        pytest.skip('BatchNorm has parameters that this norm has not')
    source = batch_norm()
    state = source.state_dict()
    if old:
        state = dict(state)
        del state['num_batches_tracked']
    norm = case.norm().double()
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    given = {k: v.clone() for k, v in state.items()}
    norm.load_state_dict(state, strict=True)
    equal(state, given)
    after = norm.state_dict()
    assert set(after) == set(before)
    for name in LOGITS & set(after):
        assert torch.equal(after[name], before[name])
    for name in {*AFFINE, 'running_mean', 'running_var'} & set(after):
        assert torch.equal(after[name], state[name])
    if 'running_cov' in after:
        blocks = state['running_var'].view(len(after['running_cov']), -1)
        assert torch.equal(after['running_cov'], torch.diag_embed(blocks))


@pytest.mark.parametrize(
    'case',
    [
        Case('SN', dict(stats=('bn',))),
        Case('BW', dict(num_pergroup=4)),
        Case('BW', dict(num_pergroup=4, running='cov')),
        Case('BW', dict(num_pergroup=1, running='cov')),
        Case('ItN', dict(num_pergroup=4)),
    ],
    ids=str,
)
def test_a_loaded_batch_norm_evaluates_as_before(case):
    source = batch_norm()
    norm = case.norm().double().eval()
    norm.load_state_dict(source.state_dict())
    x = random_input(X)
    assert_close(norm(x), source(x), 1e-9)


def test_loading_a_batch_norm_within_a_model():
    def model(norm):
        return nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU())

    source = model(batch_norm().float())
    target = model(norms.SW(8, num_pergroup=4))
    result = target.load_state_dict(source.state_dict(), strict=True)
    assert not result.missing_keys and not result.unexpected_keys
    equal(dict(w=target[0].weight), dict(w=source[0].weight))


def test_a_missing_parameter_is_still_missing():
    """Only what a BatchNorm lacks is made up."""
    state = batch_norm().state_dict()
    del state['weight']
    with pytest.raises(RuntimeError, match='weight'):
        norms.SW(8).load_state_dict(state)
    own = norms.SW(8).state_dict()
    del own['mean_weight']
    with pytest.raises(RuntimeError, match='mean_weight'):
        norms.SW(8).load_state_dict(own)


def test_a_batch_norm_of_another_width_is_refused():
    with pytest.raises(RuntimeError, match='size mismatch'):
        norms.SW(16).load_state_dict(batch_norm().state_dict())
