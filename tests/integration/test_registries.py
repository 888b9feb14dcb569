"""The Whiten* backbones reach the toolkits' registries, and wait there."""

import importlib
import subprocess
import sys

import pytest

from whiten_plugins.integration import registries
from whiten_plugins.placement import backbones


def test_importing_the_package_does_not_import_the_toolkits_models():
    code = (
        'import sys, whiten_plugins;'
        'heavy = {"mmdet.models", "mmseg.models"} & set(sys.modules);'
        'sys.exit(str(heavy) if heavy else 0)'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def toolkit(tmp_path, monkeypatch):
    """Makes a package that can be imported for one test."""

    def make(name, **files):
        (tmp_path / name).mkdir()
        for file, text in {'__init__': '', **files}.items():
            (tmp_path / name / f'{file}.py').write_text(text)
        monkeypatch.syspath_prepend(tmp_path)

    return make


def test_a_toolkit_that_is_not_installed_is_skipped():
    registries.register_backbones('no_such_toolkit')


@pytest.mark.parametrize('error', ['ImportError', 'AssertionError'])
def test_a_toolkit_that_refuses_its_own_import_is_skipped(toolkit, error):
    name = f'broken_{error.lower()}'
    toolkit(name, __init__=f'raise {error}("MMCV==2.2.0 is incompatible")')
    registries.register_backbones(name)


def test_backbones_are_imported_when_the_registry_imports_its_models(toolkit):
    text = "from mmengine.registry import Registry\nMODELS = Registry('model')"
    toolkit('lazy_toolkit', registry=text)
    location = f'{backbones.__name__}.lazy_toolkit'
    for _ in range(2):
        registries.register_backbones('lazy_toolkit')
    registry = importlib.import_module('lazy_toolkit.registry').MODELS
    assert registry._locations == [location]
    with pytest.raises(ModuleNotFoundError, match=location):
        registry.get('WhitenResNet')
    registry._imported = True
    with pytest.raises(ModuleNotFoundError, match=location):
        registries.register_backbones('lazy_toolkit')
