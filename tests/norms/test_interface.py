"""What a norm takes, says of itself, and warns of."""

import copy
import doctest
import importlib
import inspect
import warnings

import pytest
import torch
from torch import nn

from whiten_plugins import norms
from whiten_plugins.norms import NORMS, SN, SW, ItN, SyncSN

from .cases import CASES, KINDS, assert_close, random_input

SYNC = [norm for norm in NORMS if norm.__name__.startswith('Sync')]
MODULES = ('base', 'ibn', 'switchable', 'whitening')


def arguments(norm):
    return list(inspect.signature(norm).parameters.values())


@pytest.mark.parametrize('norm', SYNC)
def test_a_sync_norm_takes_what_the_local_one_takes(norm):
    local = getattr(norms, norm.__name__.removeprefix('Sync'))
    *same, group = arguments(norm)
    assert same == arguments(local)
    assert (group.name, group.default) == ('process_group', None)


@pytest.mark.parametrize('norm', NORMS)
def test_arguments_are_written_out(norm):
    by_name_alone = [
        argument.name
        for argument in arguments(norm)
        if argument.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    assert by_name_alone == ['process_group'][: norm in SYNC]
    values = [a.default for a in arguments(norm)][1:]
    values = values[: len(values) - len(by_name_alone)]
    by_place, by_name = norm(16, *values), norm(16)
    assert repr(by_place) == repr(by_name)


@pytest.mark.parametrize('norm', NORMS)
def test_no_attribute_hides_a_method_of_modules(norm):
    methods = {n for n, v in vars(nn.Module).items() if callable(v)}
    assert methods.isdisjoint(vars(norm(16)))
    assert norm(16).half().weight.dtype == torch.half


def test_itn_takes_what_bw_takes():
    names = [argument.name for argument in arguments(ItN)]
    assert names == [argument.name for argument in arguments(norms.BW)]
    assert ItN(8, 1e-3, 0.2, False, 4, 7).spec.T == 7


@pytest.mark.parametrize('name', MODULES)
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(f'whiten_plugins.norms.{name}')
    done = doctest.testmod(module)
    assert done.attempted and not done.failed


@pytest.mark.parametrize('norm', NORMS)
def test_the_paper_is_cited_with_a_link(norm):
    local = getattr(norms, norm.__name__.removeprefix('Sync'))
    assert 'https://arxiv.org/abs/' in local.__doc__


@pytest.mark.parametrize(
    ('sw_type', 'stats'),
    [(2, ('bw', 'iw')), (5, ('bw', 'iw', 'bn', 'in', 'ln'))],
)
def test_sw_type_is_short_for_statistics(sw_type, stats):
    short, long = SW(8, 1e-5, sw_type=sw_type), SW(8, stats=stats)
    assert short.spec == long.spec
    x = random_input((3, 8, 4, 4)).float()
    assert torch.equal(short(x), long(x))


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(sw_type=2, stats=('bw', 'iw')), 'both say which'),
        (dict(stats=('bw', 'xx')), "stats must be some of 'bw'"),
        (dict(stats=('bw', 'bw')), 'stats must be some of'),
        (dict(stats=()), 'stats must be some of'),
        (dict(stats='in'), 'stats must be some of'),
        (dict(stats=(['bw'],)), 'stats must be some of'),
        (dict(sw_type=[2]), 'sw_type must be one of 2, 3, 5'),
    ],
)
def test_statistics_that_are_none(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SW(8, **kwargs)


@pytest.mark.parametrize('half', [0, -1, 0.1, 1.5])
def test_a_half_without_channels(half):
    with pytest.raises(ValueError, match=f'half={half} of num_features=8'):
        norms.IBN(8, half=half)


def test_ibn_is_instance_norm_beside_batch_norm():
    norm, instance = norms.IBN(10), nn.InstanceNorm2d(5, affine=True)
    batch = nn.BatchNorm2d(5)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    for own, part in ((norm.weight, 'weight'), (norm.bias, 'bias')):
        first, second = own.detach().split(5)
        getattr(instance, part).data.copy_(first)
        getattr(batch, part).data.copy_(second)
    x = random_input((4, 10, 6, 7)).float()
    for _ in range(2):
        parts = x.split(5, 1)
        expected = torch.cat([instance(parts[0]), batch(parts[1])], 1)
        assert_close(norm(x), expected, 1e-6)
    with pytest.raises(ValueError, match='more than one value'):
        norm(torch.ones(4, 10, 1, 1))


# --------------------------------------------------- a batch of one image
def network(norm):
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.Sequential(norm, nn.ReLU()))


def caught(model, images, times=2):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter('always')
        for _ in range(times):
            model(torch.randn(images, 3, 4, 4))
    return [str(w.message) for w in found if 'one image' in str(w.message)]


@pytest.mark.parametrize(
    ('norm', 'remedy'),
    [
        (SN(8), "stats=('in', 'ln')"),
        (SyncSN(8), "stats=('in', 'ln')"),
        (SW(8, sw_type=3), "stats=('iw', 'ln')"),
        (SW(8, stats=('bn', 'in', 'ln', 'bw')), "stats=('in', 'ln')"),
    ],
    ids=repr,
)
def test_one_image_is_warned_of_once(norm, remedy):
    model = network(norm)
    (message,) = caught(model, 1)
    assert message.startswith(f'1.0 ({type(norm).__name__})')
    assert remedy in message


def test_one_warning_for_a_whole_network():
    model = nn.Sequential(network(SN(8)), nn.Conv2d(8, 3, 1), network(SN(8)))
    (message,) = caught(model, 1)
    assert message.startswith('0.1.0 (SN)')


@pytest.mark.parametrize(
    'norm',
    [SN(8, stats=('in', 'ln')), SN(8, stats=('bn', 'ln')), norms.BW(8)],
    ids=repr,
)
def test_nothing_to_warn_of(norm):
    assert caught(network(norm), 1) == []
    assert caught(network(SN(8)), 2) == []
    assert caught(network(SN(8)).eval(), 1) == []


# ------------------------------------------------------- without storage
@pytest.mark.parametrize('case', CASES, ids=str)
def test_a_batch_norm_fills_a_norm_without_storage(case):
    state = nn.BatchNorm2d(8).state_dict()
    if not case.kwargs.get('affine', True):
        del state['weight'], state['bias']
    with torch.device('meta'):
        norm = case.norm()
    norm.load_state_dict(state, strict=True, assign=True)
    tensors = {**dict(norm.named_parameters()), **dict(norm.named_buffers())}
    assert not [name for name, value in tensors.items() if value.is_meta]
    fresh = case.norm()
    x = random_input((3, 8, 4, 5)).float()
    assert torch.equal(norm(x), fresh(x))


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_a_copy_keeps_the_process_group(case):
    """A group belongs to the processes: it cannot be copied."""

    class Group:
        def __deepcopy__(self, memo):
            raise TypeError('a process group')

    kind = getattr(norms, f'Sync{case.type.removeprefix("Sync")}', None)
    if kind is None:
        pytest.skip('not synchronized')
    norm = kind(8, process_group=Group())
    copied = copy.deepcopy(nn.Sequential(norm))[0]
    assert copied.process_group is norm.process_group
    assert copied.weight is not norm.weight
