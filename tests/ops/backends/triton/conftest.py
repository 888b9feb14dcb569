"""Kernels are compiled and counted in one process, and run in another."""

import pytest
import torch

from tests.ops.backends.conftest import INTERPRETED

if INTERPRETED:
    collect_ignore = [
        'test_compilation.py',
        'test_counts.py',
        'test_interpreter.py',
    ]
elif not torch.cuda.is_available():
    collect_ignore = ['test_kernels.py', 'test_first_use.py', 'test_fused.py']


@pytest.fixture
def many_chunks(monkeypatch):
    """Reductions cut into many short chunks."""
    from whiten_plugins.ops.backends.triton import tuning

    monkeypatch.setattr(tuning, '_PROGRAMS_PER_PROCESSOR', 1 << 10)
    monkeypatch.setattr(tuning, '_SHORTEST_CHUNK', 1)
    monkeypatch.setattr(tuning, '_SCALAR_TILE', 64)
    monkeypatch.setattr(tuning, '_ALONG', 16)
