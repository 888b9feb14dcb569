"""Examples in docstrings run and print what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest
import torch

PACKAGE = Path(__file__).parents[1] / 'whiten_plugins'


def _with_examples():
    for path in sorted(PACKAGE.rglob('*.py')):
        if '>>> ' in path.read_text():
            parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
            yield '.'.join(p for p in parts if p != '__init__')


@pytest.mark.parametrize('name', list(_with_examples()))
def test_examples_of_a_module_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    try:
        module = import_module(name)
    except ImportError as error:  # a toolkit that this lane has not
        pytest.skip(str(error))
    failed, tried = doctest.testmod(module)
    assert tried and not failed
