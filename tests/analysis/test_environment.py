"""collect_env says what a report of a problem needs."""

import platform

import numpy
import pytest
import torch

import whiten_plugins
from whiten_plugins.analysis import environment
from whiten_plugins.analysis.environment import collect_env, format_env
from whiten_plugins.ops.backends import selection


@pytest.fixture
def facts(monkeypatch):
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')
    monkeypatch.setenv('WHITEN_PLUGINS_BACKEND', 'torch')
    monkeypatch.setenv('HOME_OF_NOBODY', '/secret')
    return collect_env()


def test_versions_are_those_that_run(facts):
    assert facts['whiten_plugins'] == whiten_plugins.__version__
    assert facts['Python'].startswith(platform.python_version())
    assert facts['torch'] == torch.__version__.split('+')[0]
    assert facts['numpy'] == numpy.__version__


def test_backend_comes_with_the_reason(facts):
    backend = facts['backend on the CPU']
    assert backend == 'torch: WHITEN_PLUGINS_BACKEND=torch'


def test_missing_kernels_are_explained(monkeypatch):
    monkeypatch.delenv('WHITEN_PLUGINS_BACKEND', raising=False)
    monkeypatch.setattr(selection, 'native_failure', lambda: 'no compiler')
    selection._native_serves.cache_clear()
    facts = collect_env()
    selection._native_serves.cache_clear()
    expected = 'torch: no C++ kernels: no compiler'
    assert facts['backend on the CPU'] == expected


def test_threads_and_what_steers_them(facts):
    assert facts['threads of torch'] == str(torch.get_num_threads())
    assert facts['OMP_WAIT_POLICY'] == 'PASSIVE'
    assert 'HOME_OF_NOBODY' not in facts


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('CXX', 'no-such-compiler -O2')
    monkeypatch.setattr(environment, 'MODULES', ('no_such_module',))
    facts = collect_env()
    assert facts['no_such_module'] == 'not installed'
    assert facts['C++ compiler'] == 'none (no-such-compiler not found)'


def test_a_fork_is_told_from_its_original(monkeypatch):
    monkeypatch.setattr(environment, 'MODULES', ('pytest', 'hypothesis'))
    monkeypatch.setattr(
        environment,
        'packages_distributions',
        lambda: {'pytest': ['fork'], 'hypothesis': ['hypothesis', 'fork']},
    )
    monkeypatch.setattr(environment, 'version', lambda name: f'1 of {name}')
    facts = collect_env()
    assert facts['pytest'] == '1 of fork (fork)'
    assert 'two distributions in one place' in facts['hypothesis']


def test_a_line_each(facts):
    lines = format_env(facts).splitlines()
    assert len(lines) == len(facts)
    assert all(line.startswith(name) for line, name in zip(lines, facts))
