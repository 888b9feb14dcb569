"""Products are full float32 inside the norms, whatever torch's switches."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from whiten_plugins.norms import SW
from whiten_plugins.ops.backends.torch import transform
from whiten_plugins.ops.precision import full_float32, has_fp32_precision


@pytest.fixture(autouse=True)
def switched():
    """tf32 and bfloat16 are asked for."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('medium')
    yield
    torch.set_float32_matmul_precision(before)


def tf32():
    matmul = torch.backends.cuda.matmul
    if has_fp32_precision(matmul):
        return matmul.fp32_precision == 'tf32'
    return matmul.allow_tf32


def test_switches_are_off_inside_and_as_before_after(monkeypatch):
    monkeypatch.setenv('WHITEN_PLUGINS_BACKEND', 'torch')
    seen = []
    invert = transform.invert

    def looking(*args):
        matmul = getattr(torch.backends.mkldnn, 'matmul', None)
        seen.append(getattr(matmul, 'fp32_precision', 'ieee'))
        return invert(*args)

    monkeypatch.setattr(transform, 'invert', looking)
    x = torch.randn(2, 32, 5, 5, requires_grad=True)
    SW(32)(x).sum().backward()
    assert seen == ['ieee', 'ieee']  # forward and backward
    assert torch.get_float32_matmul_precision() == 'medium'


def test_tf32_is_off_inside():
    with full_float32('cuda'):
        assert not tf32()
    assert tf32()


def test_an_error_turns_the_switch_back():
    with pytest.raises(KeyError), full_float32('cuda'):
        raise KeyError
    assert tf32()


def test_threads_that_overlap_leave_the_switch_as_it_was():
    both = Barrier(2)

    def work(_):
        with full_float32('cuda'):
            both.wait()
            inside = tf32()
            both.wait()
        return inside

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, range(2))) == [False, False]
    assert tf32()
