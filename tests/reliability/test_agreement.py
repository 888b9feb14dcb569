"""Random norms on random inputs are what the papers' equations say."""

import os
import subprocess
import sys

import pytest
import torch

from tests.reliability.agreement import PROMISE, check, draw
from whiten_plugins.ops.backends.selection import triton_refusal


@pytest.mark.parametrize('backend', ['native', 'torch'])
@pytest.mark.parametrize('first', [0, 250])
def test_a_backend_is_the_reference(backend, first, held):
    counts, failures = check(0, range(first, first + 250), backend)
    assert not failures
    assert counts.total() == 250
    assert counts['undefined'] < 50
    held(
        PROMISE,
        cases=250,
        backend=backend,
        seed=f'0, from {first} on',
        failures=0,
        undefined=counts['undefined'],
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(
    triton_refusal(torch.device('cpu')) is not None,
    reason='needs Triton 3.3 or newer',
)
def test_the_triton_kernels_are_the_reference():
    """In the interpreter, which wants a process of its own."""
    arguments = ['--backend', 'triton', '--cases', '200']
    result = subprocess.run(
        [sys.executable, '-m', 'tests.reliability.agreement', *arguments],
        env={**os.environ, 'TRITON_INTERPRET': '1'},
        capture_output=True,
        text=True,
    )
    assert '200 cases' in result.stdout
    assert result.stdout.rstrip().endswith(' 0 failures'), result.stdout


def test_a_case_is_drawn_again_from_its_number():
    assert str(draw(3, 17)) == str(draw(3, 17)) != str(draw(4, 17))
