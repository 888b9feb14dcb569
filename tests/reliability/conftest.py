"""Keeps what the tests held, for the page.

`make test-reliability` runs all of these tests with ``--record``: each tells
its promise and figures to the fixture ``held``, and they go to
``benchmarks/results/reliability/``, a file a test module.
"""

import json
import time

import pytest
import torch

from tests.reliability.page import RESULTS
from whiten_plugins.utils.files import write_texts
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
            _keep(request.path.stem.removeprefix('test_'), found)

    return tell


def _keep(area, found):
    file = RESULTS / f'{area}.json'
    before = json.loads(file.read_text()) if file.exists() else []
    others = [v for v in before if v['promise'] != found['promise']]
    rows = sorted([*others, found], key=lambda row: row['command'])
    text = json.dumps(rows, indent=1, ensure_ascii=False) + '\n'
    write_texts({file: text})
