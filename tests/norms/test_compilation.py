"""torch.compile keeps a network whole, and changes nothing it computes."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from whiten_plugins import norms
from whiten_plugins.ops import operators

from .cases import (
    KINDS,
    SHAPES,
    Case,
    assert_close,
    assert_same,
    random_input,
    run,
)

X = SHAPES['NCHW']
WHOLE = operators.AVAILABLE
CASES = [
    *KINDS,
    Case('SN', dict(hard=True, tie_weight=True)),
    Case('SN', dict(ratio_groups=2, stats=('ln', 'bn'))),
    Case('SW', dict(num_pergroup=4, sw_type=3, affine=False)),
    Case('SW', dict(num_pergroup=4, sw_type=5)),
    Case('SyncSN'),
    Case('SyncSW', dict(num_pergroup=4)),
    Case('SyncBW', dict(num_pergroup=4)),
    Case('SyncItN', dict(num_pergroup=4)),
    Case('SyncIBN'),
]

pytestmark = pytest.mark.skipif(
    not hasattr(torch, 'compile'), reason='this torch does not compile'
)


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()


def compiled(module, backend='aot_eager', **options):
    return torch.compile(module, backend=backend, fullgraph=WHOLE, **options)


def of_compiled(results):
    return {k.removeprefix('_orig_mod.'): v for k, v in results.items()}


@pytest.mark.parametrize('case', CASES, ids=str)
def test_compiled_whole_it_is_the_norm(case):
    """Output, gradients and running statistics, in both modes."""
    norm, expected = case.pair()
    whole = compiled(norm)
    for seed, training in enumerate((True, True, False)):
        norm.train(training)
        expected.train(training)
        x, grad = random_input(X, seed), random_input(X, seed + 9)
        actual = of_compiled(run(whole, x, grad))
        assert_same(actual, run(expected, x, grad), 1e-9)
    for name, buffer in expected.named_buffers():
        assert_close(norm.get_buffer(name), buffer, 1e-9)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('case', KINDS[:2], ids=str)
def test_compiled_kernels_under_autocast(case, dtype):
    norm, _ = case.pair()
    expected, _ = case.pair()
    norm.float(), expected.float()
    whole = compiled(norm)
    x = random_input(X).to(dtype).contiguous(memory_format=torch.channels_last)
    grad = random_input(X, 9).to(dtype)
    for training in (True, False):
        norm.train(training), expected.train(training)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            actual = of_compiled(run(whole, x, grad))
            wanted = run(expected, x, grad)
        assert actual['output'].dtype == dtype
        assert actual['output'].stride() == x.stride()
        for name, value in wanted.items():
            assert_close(actual[name], value, 1e-5)


@pytest.mark.skipif(not WHOLE, reason='no custom operators in this torch')
@pytest.mark.parametrize('training', [True, False])
def test_network_of_norms_has_no_graph_break(training):
    layers = []
    for case in CASES:
        layers += nn.Conv2d(8, 8, 3, padding=1), case.norm(), nn.ReLU(True)
    network = nn.Sequential(*layers).train(training)
    found = torch._dynamo.explain(network)(torch.randn(2, 8, 6, 6))
    assert found.graph_count == 1 and found.graph_break_count == 0
    called = [node.target for node in found.graphs[0].graph.nodes]
    operator = torch.ops.whiten_plugins.normalize
    assert sum(v in (operator, operator.default) for v in called) == len(CASES)


@pytest.mark.skipif(not WHOLE, reason='no custom operators in this torch')
@pytest.mark.parametrize('type', ['SN', 'SW', 'GW'])
def test_changing_image_sizes_compile_once_more(type):
    """With a size that is free; not once for each size."""
    counter = torch._dynamo.testing.CompileCounter()
    norm = getattr(norms, type)(64)
    whole = torch.compile(norm, backend=counter, fullgraph=True)
    for size in (8, 9, 11, 14, 20):
        x = torch.randn(2, 64, size, size + 1)
        torch.testing.assert_close(whole(x), norm(x), rtol=1e-4, atol=1e-5)
    assert counter.frame_count <= 2


@pytest.mark.skipif(not WHOLE, reason='no custom operators in this torch')
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_operator_is_what_it_is_registered_as(case, training, monkeypatch):
    """Its schema, shapes and gradients, by torch's own check."""
    calls = []
    operator = torch.ops.whiten_plugins.normalize

    def record(*arguments):
        calls.append(arguments)
        return operator(*arguments)

    norm = case.norm().train(training)
    with monkeypatch.context() as patched:
        patched.setattr(torch.compiler, 'is_compiling', lambda: True)
        patched.setattr(torch.ops.whiten_plugins, 'normalize', record)
        norm(random_input(X).float().requires_grad_())
    torch.library.opcheck(operator.default, calls[0])


def test_compiled_batch_that_is_too_small():
    norm = norms.BW(8)
    whole = torch.compile(norm, backend='eager')
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        whole(torch.randn(1, 8))


def test_empty_batch_compiled():
    norm = norms.SW(8)
    x = torch.randn(0, 8, 4, 4, requires_grad=True)
    y = compiled(norm)(x)
    y.sum().backward()
    assert y.shape == x.shape and norm.num_batches_tracked == 0
    assert not norm.weight.grad.any()


class Operators(TorchDispatchMode):
    """Names of the operators that are called."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('momentum', [0.1, None])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_a_training_step_never_waits_for_a_value(case, momentum, monkeypatch):
    """No value goes from a tensor to Python, nor do values decide a shape.

    Either would wait for a GPU, and no CUDA graph can hold it.
    """
    monkeypatch.setenv('WHITEN_PLUGINS_BACKEND', 'torch')
    if case.type not in ('GW', 'IW'):
        case = Case(case.type, {**case.kwargs, 'momentum': momentum})
    norm, x = case.norm(), torch.randn(X, requires_grad=True)
    with Operators() as seen:
        norm(x).square().sum().backward()
    waiting = {'_local_scalar_dense', 'item', 'nonzero', 'equal', 'is_nonzero'}
    assert seen.names and not seen.names & waiting


@pytest.mark.slow
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_compiled_by_inductor(case):
    norm, expected = case.pair()
    norm.float(), expected.float()
    whole = compiled(nn.Sequential(norm, nn.ReLU()), 'inductor')
    eager = nn.Sequential(expected, nn.ReLU())
    for seed in range(2):
        x, grad = random_input(X, seed).float(), random_input(X, 9).float()
        assert_same(
            of_compiled(run(whole, x, grad)), run(eager, x, grad), 1e-4
        )
