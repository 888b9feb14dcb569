"""Which backends the contract is tested on, and where.

Triton's kernels run on a GPU if there is one. On the CPU they need Triton's
interpreter, which has to be chosen before Triton is imported: so an ordinary
run collects ``triton/test_interpreter.py``, which starts pytest on this
directory once more with ``TRITON_INTERPRET=1``, for Triton alone.
"""

import importlib
import os

import pytest
import torch

from whiten_plugins.ops.backends import selection

INTERPRETED = os.environ.get('TRITON_INTERPRET') == '1'
if INTERPRETED:
    BACKENDS = ['triton']
    collect_ignore = ['test_selection.py', 'native', 'torch']
elif torch.cuda.is_available():
    BACKENDS = ['torch', 'native', 'triton']
else:
    BACKENDS = ['torch', 'native']


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param == 'native' and selection.native_failure():
        pytest.skip('no C++ kernels here')
    package = f'whiten_plugins.ops.backends.{request.param}'
    return importlib.import_module(package).BACKEND


@pytest.fixture
def device(backend):
    on_gpu = backend.name == 'triton' and not INTERPRETED
    return torch.device('cuda' if on_gpu else 'cpu')
