"""The configs of the grid and of the papers' rows, and what they intend.

``configs/intent.csv`` says for each config which norms stand in which part of
the network. A cell counts norms by type: ``11 SN† + 42 SN`` are 11 frozen and
42 trained ones; SW has its ``sw_type`` appended, ``/1`` follows groups of
another size (GW: another number of groups) than the default, and ``@sw14`` a
norm that this ``whiten_at`` placed. ``not_decayed`` and ``bias_lr`` are of all
biases where it says ``biases``, else of those that are not a norm's. The other
columns are the training settings and what the paper reports. The table was
written from the papers, not from the models; READMEs and metafiles are
generated from it (``tools/dev/config_tables.py``).
"""

import csv
from functools import lru_cache
from pathlib import Path

import mmengine.config.utils
import pytest
import torch
from mmengine.config import Config
from torch import nn

from whiten_plugins.config.building import build_model
from whiten_plugins.config.loading import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
with open(CONFIGS / 'intent.csv', newline='', encoding='utf-8') as _file:
    INTENT = {row['config']: row for row in csv.DictReader(_file)}

# What the toolkits say of losses, and of mmseg's own ``pretrained``.
QUIET = [
    pytest.mark.filterwarnings('ignore:``build_loss``'),
    pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``'),
    pytest.mark.filterwarnings('ignore:DeprecationWarning. pretrained'),
]
_read_once = lru_cache(None)(mmengine.config.utils.load)


def load(name: str) -> Config:
    """The config of a row of the table.

    For each ``mmseg::`` base mmengine reads all metafiles of the toolkit,
    nine tenths of the time that loading takes; here they are read once.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mmengine.config.utils, 'load', _read_once)
        return load_config(CONFIGS / f'{name}.py')


def build(cfg: Config) -> nn.Module:
    """The whole model, without memory for its weights."""
    with torch.device('meta'):
        return build_model(cfg)
