"""The modes of use: mixed precision, copies, checkpoints, compilation."""

import io
import pickle
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from whiten_plugins import norms

from .cases import (
    CASES,
    KINDS,
    SHAPES,
    Case,
    assert_close,
    assert_same,
    random_input,
    run,
)

HALF = [torch.float16, torch.bfloat16]
TYPES = [
    'SN', 'SyncSN', 'SW', 'SyncSW', 'GW',
    'BW', 'SyncBW', 'ItN', 'SyncItN', 'IW', 'IBN', 'SyncIBN',
]  # fmt: skip
X = SHAPES['NCHW']
SW_STATS = ('bw', 'iw', 'bn', 'in', 'ln')


def equal(actual, expected):
    """Bit for bit, as a copy must be."""
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert torch.equal(actual[name], value), name


# ---------------------------------------------------------- mixed precision
@pytest.mark.parametrize('dtype', HALF, ids=str)
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_a_model_cast_to_half(case, dtype):
    """All is half but the arithmetic; buffers are as exact as they can be."""
    norm, expected = case.pair()
    norm.to(dtype)
    for name, parameter in norm.named_parameters():
        expected.get_parameter(name).data.copy_(parameter)
    x = (random_input(X) * 100).to(dtype)
    y = norm(x)
    assert y.dtype == dtype
    assert_close(y, expected(x.double()), 1e-5)
    for name, buffer in expected.named_buffers():
        assert_close(norm.get_buffer(name), buffer, torch.finfo(dtype).eps)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_float32_under_autocast_is_float32(case):
    """Autocast must not reach the matrix products inside."""
    norm, expected = case.pair()
    norm.float()
    x, grad = random_input(X).float(), random_input(X, 1).float()
    for training in (True, True, False):
        norm.train(training)
        expected.train(training)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            actual = run(norm, x, grad)
        assert actual['output'].dtype == torch.float32
        wanted = run(expected, x.double(), grad.double())
        assert_same(actual, wanted, 1e-5)
    for name, buffer in expected.named_buffers():
        assert_close(norm.get_buffer(name), buffer, 1e-5)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_bfloat16_from_a_layer_under_autocast(case):
    norm, expected = case.pair()
    norm.float()
    layer = nn.Conv2d(3, 8, 3)
    images = torch.randn(2, 3, 12, 12)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        x = layer(images)
        y = norm(x)
    assert x.dtype == y.dtype == torch.bfloat16
    assert_close(y, expected(x.detach().double()), 1e-5)
    y.float().pow(2).sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.isfinite().all()
    for buffer in norm.buffers():
        assert buffer.dtype in (torch.float32, torch.int64)


# ------------------------------------------------- activation checkpointing
@pytest.mark.parametrize('use_reentrant', [True, False])
@pytest.mark.parametrize('case', CASES, ids=str)
def test_activation_checkpointing(case, use_reentrant):
    norm, expected = case.pair()
    grad = random_input(X, seed=1)

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = norm

        def forward(self, x):
            return checkpoint(self.norm, x, use_reentrant=use_reentrant)

    actual = run(Checkpointed(), random_input(X), grad)
    actual = {name.removeprefix('norm.'): g for name, g in actual.items()}
    assert_same(actual, run(expected, random_input(X), grad), 1e-9)


# --------------------------------------------- copies and state dictionaries
def trained(case):
    """With parameters and running statistics that no new norm has."""
    norm, _ = case.pair()
    for seed in range(2):
        norm(random_input(X, seed))
    return norm


def through_file(norm):
    file = io.BytesIO()
    torch.save(norm, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def through_state(norm, case):
    file = io.BytesIO()
    torch.save(norm.state_dict(), file)
    file.seek(0)
    fresh = case.norm().double()
    fresh.load_state_dict(torch.load(file, weights_only=True), strict=True)
    return fresh


COPIES = {
    'deepcopy': lambda norm, case: deepcopy(norm),
    'pickle': lambda norm, case: pickle.loads(pickle.dumps(norm)),
    'file': lambda norm, case: through_file(norm),
    'state_dict': through_state,
}


@pytest.mark.parametrize('way', COPIES)
@pytest.mark.parametrize('case', CASES, ids=str)
def test_a_copy_is_equal_and_independent(case, way):
    norm = trained(case)
    copy = COPIES[way](norm, case)
    state = {k: v.clone() for k, v in norm.state_dict().items()}
    equal(copy.state_dict(), state)
    x, grad = random_input(X, 2), random_input(X, 3)
    for training in (False, True):
        results = [
            run(module.train(training), x, grad) for module in (copy, norm)
        ]
        equal(*results)
    state = {k: v.clone() for k, v in norm.state_dict().items()}
    copy(random_input(X, 5))
    for parameter in copy.parameters():
        nn.init.constant_(parameter, 7)
    equal(norm.state_dict(), state)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_a_copy_after_a_forward_pass(case):
    """Nothing of the graph stays in the module and prevents copying it."""
    norm, _ = case.pair()
    y = norm(random_input(X).requires_grad_())
    deepcopy(norm), pickle.dumps(norm)
    y.sum().backward()


LOGITS = {'mean_weight', 'var_weight'}
AFFINE = {'weight', 'bias'}
TRACKED = {'running_mean', 'num_batches_tracked'}
KEYS = {
    'SN': AFFINE | LOGITS | TRACKED | {'running_var'},
    'SW': AFFINE | LOGITS | TRACKED | {'running_cov'},
    'GW': AFFINE,
    'BW': AFFINE | TRACKED | {'running_wm'},
    'ItN': AFFINE | TRACKED | {'running_wm'},
    'IW': AFFINE,
    'IBN': AFFINE | TRACKED | {'running_var'},
}


@pytest.mark.parametrize('type', TYPES)
def test_names_and_shapes_of_the_state(type):
    state = getattr(norms, type)(32).state_dict()
    assert set(state) == KEYS[type.removeprefix('Sync')]
    for name, value in state.items():
        if name in AFFINE | {'running_mean', 'running_var'}:
            assert value.shape == (32,), name
        elif name in ('running_cov', 'running_wm'):
            assert torch.equal(value, torch.eye(16).repeat(2, 1, 1))
        elif name in LOGITS:
            assert torch.equal(value, torch.ones({'SN': 3}.get(type[-2:], 2)))


def test_state_that_arguments_change():
    def keys(type, **kwargs):
        return set(getattr(norms, type)(32, **kwargs).state_dict())

    sn, sw, bw = KEYS['SN'], KEYS['SW'], KEYS['BW']
    assert keys('SN', tie_weight=True) == sn - {'var_weight'}
    assert keys('SW', tie_weight=True) == sw - {'var_weight'}
    assert keys('SN', affine=False) == sn - AFFINE
    cov = keys('BW', running='cov')
    assert cov == (bw - {'running_wm'}) | {'running_cov'}
    grouped = norms.SN(32, ratio_groups=4)
    assert grouped.mean_weight.shape == grouped.var_weight.shape == (4, 3)
    assert norms.SW(32, sw_type=5).mean_weight.shape == (5,)


# ------------------------------------------------------ what follows the norm
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_in_place_activation_after_the_norm(case, training):
    norm, expected = case.pair()
    results = []
    for module in (norm, expected):
        module.train(training)
        x = random_input(X).requires_grad_()
        before = x.detach().clone()
        y = module(x)
        y = y.relu_() if module is norm else y.relu()
        y.pow(2).sum().backward()
        assert torch.equal(x, before)
        results.append(
            {'output': y.detach(), 'input': x.grad}
            | {n: p.grad for n, p in module.named_parameters()}
        )
    assert_same(*results, 1e-9)


@pytest.mark.parametrize('change', ['add_', 'mul_', 'zero_'])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_input_changed_in_place_is_right_or_refused(case, change):
    """Autograd's version check must see what is saved."""
    norm, expected = case.pair()
    leaf = random_input(X).requires_grad_()
    x = leaf * 1
    y = norm(x)
    with torch.no_grad():
        x.zero_() if change == 'zero_' else getattr(x, change)(2)
    try:
        y.pow(2).sum().backward()
    except RuntimeError as error:
        assert 'modified by an inplace operation' in str(error)
        return
    wanted = random_input(X).requires_grad_()
    expected(wanted).pow(2).sum().backward()
    assert_close(leaf.grad, wanted.grad, 1e-9)


MEMORY_FORMATS = {
    torch.contiguous_format: (3, 8, 4, 5),
    torch.channels_last: (3, 8, 4, 5),
    torch.channels_last_3d: (3, 8, 2, 4, 5),
}


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('memory_format', MEMORY_FORMATS, ids=str)
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_memory_format_is_kept(case, memory_format, training, dtype):
    shape = MEMORY_FORMATS[memory_format]
    x = random_input(shape).to(dtype)
    x = x.contiguous(memory_format=memory_format).requires_grad_()
    y = case.norm().train(training)(x)
    assert y.is_contiguous(memory_format=memory_format)
    assert y.stride() == x.stride()
    grad = torch.ones_like(y)
    (x_grad,) = torch.autograd.grad(y, x, grad)
    assert x_grad.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_the_output_is_no_view_of_the_input(case):
    x = random_input(X)
    for training in (True, False):
        y = case.norm().double().train(training)(x)
        assert y.data_ptr() != x.data_ptr()
        assert y._base is None


# ------------------------------------------------------------ looking inside
STATS = [
    (Case('SN'), ('in', 'ln', 'bn')),
    (Case('SN', dict(tie_weight=True)), ('in', 'ln', 'bn')),
    (Case('SN', dict(stats=('bn', 'in'))), ('bn', 'in')),
    (Case('SyncSN'), ('in', 'ln', 'bn')),
    (Case('SW'), ('bw', 'iw')),
    (Case('SW', dict(sw_type=3)), ('bw', 'iw', 'ln')),
    (Case('SW', dict(sw_type=5)), SW_STATS),
    (Case('SW', dict(sw_type=5, tie_weight=True)), SW_STATS),
    (Case('SyncSW', dict(sw_type=5)), SW_STATS),
]


@pytest.mark.parametrize('hard', [False, True])
@pytest.mark.parametrize('case, stats', STATS, ids=str)
def test_ratios(case, stats, hard):
    norm, expected = case.pair(hard=hard)
    assert tuple(norm.stats) == stats
    ratios = norm.ratios()
    assert set(ratios) == {'mean', 'var'}
    by_kind = expected.ratios_of(stats, stats, hard)
    for kind, wanted in zip(('mean', 'var'), by_kind):
        assert tuple(ratios[kind]) == stats
        values = [float(value) for value in ratios[kind].values()]
        assert values == pytest.approx(wanted.tolist(), abs=1e-6)


def test_new_norms_weigh_their_statistics_equally():
    ratios = norms.SW(16, sw_type=5).ratios()
    for values in ratios.values():
        assert [float(v) for v in values.values()] == pytest.approx([0.2] * 5)


def test_ratios_of_channel_groups_are_averaged():
    norm, expected = Case('SN', dict(ratio_groups=2)).pair()
    wanted = expected.ratios_of(norm.stats, norm.stats, False)
    for kind, matrix in zip(('mean', 'var'), wanted):
        values = list(norm.ratios()[kind].values())
        assert values == pytest.approx(matrix.mean(0).tolist(), abs=1e-6)


@pytest.mark.parametrize('type', TYPES)
def test_repr_names_the_arguments(type):
    arguments = dict(eps=1e-3, momentum=0.03, affine=False)
    arguments |= {
        'SN': dict(tie_weight=True, stats=('in', 'bn'), ratio_groups=3),
        'SW': dict(num_pergroup=4, sw_type=3, whitening='zca'),
        'GW': dict(num_groups=4, T=7, whitening='itn'),
        'BW': dict(num_pergroup=4, T=7, whitening='itn', running='cov'),
        'ItN': dict(num_pergroup=4, T=7, running='cov'),
        'IW': dict(num_pergroup=4, whitening='zca'),
        'IBN': dict(half=0.25),
    }[type.removeprefix('Sync')]
    if type in ('GW', 'IW'):  # no running statistics, so no momentum
        del arguments['momentum']
    text = repr(getattr(norms, type)(24, **arguments))
    assert text.startswith(f'{type}(24')
    for name, value in arguments.items():
        assert f'{name}={value}' in text, name


@pytest.mark.parametrize('type', TYPES)
def test_every_type_takes_the_common_arguments(type):
    norm = getattr(norms, type)(16, eps=1e-3, momentum=0.2, affine=True)
    assert norm.num_features == 16
    assert norm.eps == 1e-3
    plain = getattr(norms, type)(16, affine=False)
    assert plain.weight is None and plain.bias is None


@pytest.mark.parametrize('type', TYPES)
def test_attribute_name_in_the_toolkits(type):
    assert getattr(norms, type)._abbr_ == 'bn'


@pytest.mark.parametrize('type', TYPES)
def test_no_norm_is_a_batch_norm_by_inheritance(type):
    """Else norm_eval and convert_sync_batchnorm would act on it."""
    batch_norm_type = nn.modules.batchnorm._BatchNorm
    assert not issubclass(getattr(norms, type), batch_norm_type)


@pytest.mark.parametrize('type', TYPES)
def test_sync_norms_are_local_outside_a_process_group(type):
    if not type.startswith('Sync'):
        pytest.skip('not synchronized')
    local = getattr(norms, type.removeprefix('Sync'))(8).double()
    sync = getattr(norms, type)(8).double()
    for seed, training in enumerate((True, True, False)):
        x, grad = random_input(X, seed), random_input(X, seed + 9)
        equal(
            run(sync.train(training), x, grad),
            run(local.train(training), x, grad),
        )
    equal(sync.state_dict(), local.state_dict())
