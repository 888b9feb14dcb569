"""Keeps what the tests held, for the page.

`make test-reliability` runs all of these tests with ``--record``: each tells
its promise and figures to the fixture ``held``, and they go to
``benchmarks/results/reliability/``, a file a test module.
"""

import time

import pytest
import torch

from tests.reliability.page import keep
from whiten_plugins.utils.machine import describe_machine


def pytest_addoption(parser):
    parser.addoption(
        '--record',
        action='store_true',
        help='write what the tests held to benchmarks/results/reliability',
    )


@pytest.fixture
def held(request):
    """Tell a promise that the test kept: text with `{names}` of figures."""
    start = time.monotonic()

    def tell(promise, **figures):
        found = {
            'promise': promise,
            'figures': figures,
            'command': f"python -m pytest -m '' {request.node.nodeid}",
            'seconds': round(time.monotonic() - start, 1),
            'machine': describe_machine(torch.device('cpu')),
        }
        promise.format(**figures)
        if request.config.getoption('--record', False):
            keep(request.path.stem.removeprefix('test_'), found)

    return tell
