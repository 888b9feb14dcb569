"""Where the kernels run: on a GPU if there is one, else on the CPU.

On the CPU they need Triton's interpreter, which has to be chosen before
Triton is imported. So an ordinary run collects ``test_interpreter.py``, which
starts pytest on this directory once more with ``TRITON_INTERPRET=1``, and
what needs no kernel to run.
"""

import os
from pathlib import Path

import pytest
import torch

INTERPRETED = os.environ.get('TRITON_INTERPRET') == '1'
# Of a process whose kernels are not interpreted.
COMPILED = ['test_interpreter.py', 'test_compilation.py']

if INTERPRETED:
    collect_ignore = COMPILED
elif not torch.cuda.is_available():
    here = Path(__file__).parent
    collect_ignore = [
        path.name
        for path in here.glob('test_*.py')
        if path.name not in COMPILED
    ]


@pytest.fixture
def device():
    return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


@pytest.fixture
def many_chunks(monkeypatch):
    """Reductions cut into many short chunks."""
    from whiten_plugins.ops.backends.triton import tuning

    monkeypatch.setattr(tuning, '_PROGRAMS_PER_PROCESSOR', 1 << 10)
    monkeypatch.setattr(tuning, '_SHORTEST_CHUNK', 1)
    monkeypatch.setattr(tuning, '_SCALAR_TILE', 16)
