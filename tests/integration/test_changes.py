"""Each change elsewhere can be switched off, and README lists them all."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from whiten_plugins import integration
from whiten_plugins.integration import CHANGES, VARIABLE, wanted_changes

README = Path(integration.__file__).with_name('README.md')

# Prints which changes are seen from outside, by their names.
SEEN = """
import json
from mmengine.model import BaseModule
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
import torch
MODULE2PACKAGE['mmseg'] = 'not-installed'
before = (BaseModule.train, DefaultOptimWrapperConstructor.__call__,
          Config._get_cfg_path)
import whiten_plugins
from mmdet.registry import MODELS
from whiten_plugins.norms import SN
named = [getattr(f, '__name__', '') for f in
         torch.serialization.get_safe_globals()]
print(json.dumps(dict(
    norm_eval=BaseModule.train is not before[0],
    optimizer=DefaultOptimWrapperConstructor.__call__ is not before[1],
    batch_norm='isinstance' in vars(torch.optim.swa_utils),
    backbones='WhitenResNet' in MODELS or any(
        'whiten_plugins' in location for location in MODELS._locations),
    safe_globals='HistoryBuffer' in named,
    config_packages=MODULE2PACKAGE['mmseg'] != 'not-installed',
    configs=Config._get_cfg_path is not before[2],
)))
"""


def _seen(without):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', SEEN],
        capture_output=True,
        text=True,
        env={**os.environ, VARIABLE: without},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize('without', ['', 'norm_eval,backbones'])
def test_a_change_is_made_unless_it_is_switched_off(without):
    pytest.importorskip('mmdet')
    pytest.importorskip('mmseg')
    wanted = wanted_changes(without)
    assert _seen(without) == {name: name in wanted for name in CHANGES}


def test_an_unknown_change_is_named_with_those_there_are():
    with pytest.raises(ValueError, match='may name norm_eval, .*got optim'):
        wanted_changes('norm_eval, optim')


def test_all_changes_can_be_switched_off_at_once():
    assert wanted_changes('all') == []


def test_readme_lists_every_change():
    rows = re.findall(r'^\| `(\w+)` \|', README.read_text(), re.M)
    assert rows == list(CHANGES)
