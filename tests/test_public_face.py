"""What `import whiten_plugins` gives, and what it costs."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import whiten_plugins

SOURCE = Path(whiten_plugins.__file__)
HEAVY = (
    'mmcv',
    'mmdet',
    'mmseg',
    'matplotlib',
    'jinja2',
    'mmengine.model',
    'mmengine.runner',
    'torch._dynamo',
    'triton',
    'onnx',
)


def run(code, *, fails=False):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


def test_importing_is_cheap_and_loads_no_toolkit(monkeypatch):
    """Time of this process, which other work on the machine leaves alone;
    the second time, when Python has compiled the package."""
    monkeypatch.delenv('PYTHONDONTWRITEBYTECODE', raising=False)
    code = """
import json, sys, time, torch, mmengine
before = set(sys.modules)
start = time.process_time()
import whiten_plugins
seconds = time.process_time() - start
print(json.dumps([sorted(set(sys.modules) - before), seconds]))
"""
    run(code)
    loaded, seconds = json.loads(run(code))
    assert not [name for name in loaded if name in HEAVY]
    assert 'whiten_plugins.norms' in loaded
    assert seconds < 0.3


@pytest.mark.parametrize(
    'first',
    ['whiten_plugins', 'whiten_plugins.ops', 'whiten_plugins.integration'],
)
def test_everything_is_registered_whatever_is_imported_first(first):
    code = f"""
import {first}
from mmengine.registry import HOOKS, MODELS, OPTIM_WRAPPER_CONSTRUCTORS
assert 'SW' in MODELS.module_dict
import whiten_plugins
assert MODELS.get('SW') is whiten_plugins.SW
assert HOOKS.get('RatioHook') is whiten_plugins.RatioHook
assert HOOKS.get('BatchAverageHook') is whiten_plugins.BatchAverageHook
assert MODELS.get('FoldedModel') is not None
import mmengine.optim
name = 'NormAwareOptimWrapperConstructor'
assert OPTIM_WRAPPER_CONSTRUCTORS.get(name) is getattr(whiten_plugins, name)
"""
    run(code)


@pytest.mark.parametrize('toolkit', ['mmdet', 'mmseg'])
def test_everything_is_found_from_a_toolkit(toolkit):
    pytest.importorskip(toolkit)
    run(f"""
import whiten_plugins
from {toolkit}.registry import HOOKS, MODELS
assert MODELS.get('SW') is whiten_plugins.SW
assert HOOKS.get('RatioHook') is whiten_plugins.RatioHook
assert MODELS.get('WhitenResNet').__module__.startswith('whiten_plugins')
assert MODELS.get('FoldedModel') is not None
""")


def test_every_public_name_is_there_for_type_checkers_too():
    tree = ast.parse(SOURCE.read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == 'TYPE_CHECKING'
    imported = {
        alias.name: statement.module
        for statement in block.body
        for alias in statement.names
    }
    assert imported.pop('*') == 'norms'
    assert imported == whiten_plugins._PUBLIC
    for name in {*imported, 'SN', 'SyncSW', 'GW', 'norms', 'ratios'}:
        assert getattr(whiten_plugins, name) is not None
        assert name in dir(whiten_plugins)
    assert SOURCE.with_name('py.typed').is_file()


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'XW'"):
        whiten_plugins.XW  # noqa: B018


@pytest.mark.parametrize('missing', ['mmengine', 'torch'])
def test_what_is_missing_is_named_with_the_remedy(missing):
    code = f'import sys; sys.modules[{missing!r}] = None\n'
    last = run(code + 'import whiten_plugins', fails=True).splitlines()[-1]
    assert f'needs {missing}, which {sys.executable} does not have' in last
    assert 'pip install' in last
    if missing == 'mmengine':
        assert '"whiten_plugins[openmmlab]"' in last
        assert '"whiten_plugins[onedl]"' in last
