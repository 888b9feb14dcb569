"""PSP and ASPP pool a map to 1×1: small batches train there, without NaN."""

from itertools import product

import pytest
import torch

import whiten_plugins.runner  # noqa: F401, registers CPUAmpOptimWrapper
from whiten_plugins.analysis import named_norm_errors, pooling_warnings
from whiten_plugins.config.errors import ConfigError

from .models import (
    NORM_CFGS,
    SEGMENTORS,
    assert_finite,
    build,
    images,
    small_config,
)

pytestmark = [
    pytest.mark.filterwarnings('ignore:``build_loss``'),
    pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``'),
]
FIRST_NORM = {
    'pspnet': 'decode_head.psp_modules.0.1.bn',
    'deeplabv3': 'decode_head.image_pool.1.bn',
}
# Norms that ln, or the other channels of a group's row, leave something.
ANY_BATCH = {
    'SN': NORM_CFGS['SN'],
    'SyncSN': NORM_CFGS['SyncSN'],
    'SN, tied': dict(type='SN', tie_weight=True),
    'SN, hard': dict(type='SN', hard=True),
    'SW 3': dict(type='SW', num_pergroup=8, sw_type=3),
    'SW 5': dict(type='SW', num_pergroup=8, sw_type=5),
    'SyncSW 3': dict(type='SyncSW', num_pergroup=8, sw_type=3),
    'GW': NORM_CFGS['GW'],
}
BATCH_OF_TWO = {
    name: NORM_CFGS[name]
    for name in ('SW', 'SyncSW', 'BW', 'SyncBW', 'ItN', 'SyncItN')
}
COMMON = ('SN', 'SW', 'SW 3', 'GW', 'BW')
ONE_PER_ROW = dict(type='GW', num_groups=16)
NOTHING = {
    **{f'{name}, batch of 1': (1, cfg) for name, cfg in BATCH_OF_TWO.items()},
    'IW, batch of 1': (1, NORM_CFGS['IW']),
    'IW, batch of 2': (2, NORM_CFGS['IW']),
    'GW, batch of 1': (1, ONE_PER_ROW),
    'GW, batch of 2': (2, ONE_PER_ROW),
    'BN, batch of 1': (1, dict(type='BN')),
}


def _trainings():
    """Every norm, batch size, architecture and precision; by default each
    norm and batch size in one architecture and precision."""
    norms = [(1, *item) for item in ANY_BATCH.items()]
    norms += [(2, *item) for item in (ANY_BATCH | BATCH_OF_TWO).items()]
    settings = list(product(SEGMENTORS, ('float32', 'bfloat16')))
    for i, (batch, name, cfg) in enumerate(norms):
        for j, (architecture, precision) in enumerate(settings):
            default = name in COMMON and i % len(settings) == j
            yield pytest.param(
                architecture,
                batch,
                cfg,
                precision,
                id=f'{architecture}, {name}, batch of {batch}, {precision}',
                marks=() if default else pytest.mark.slow,
            )


@pytest.mark.parametrize(
    ('architecture', 'batch', 'norm_cfg', 'precision'), list(_trainings())
)
def test_training_stays_finite(architecture, batch, norm_cfg, precision, data):
    cfg = small_config(architecture, norm_cfg, data)
    if precision == 'bfloat16':
        cfg.optim_wrapper.type = 'CPUAmpOptimWrapper'
    model, optim_wrapper = build(cfg)
    pooled = []
    model.get_submodule(FIRST_NORM[architecture]).register_forward_hook(
        lambda norm, inputs, output: pooled.append(output)
    )
    for _ in range(2):
        samples = images(cfg, 'train', range(batch))
        assert_finite(model.train_step(samples, optim_wrapper))
        assert_finite(model.state_dict())
    for output in pooled:
        assert output.shape[2:] == (1, 1)
        assert output.dtype == getattr(torch, precision)
        assert output.isfinite().all()
    model.eval()
    (result,) = model.test_step(images(cfg, 'test', (0,)))
    assert result.seg_logits.data.isfinite().all()


def _failures():
    """All; by default each norm that has no Sync in one architecture."""
    for name, (batch, cfg) in NOTHING.items():
        for i, architecture in enumerate(SEGMENTORS, start=1):
            default = i == batch and not cfg['type'].startswith('Sync')
            yield pytest.param(
                architecture,
                batch,
                cfg,
                id=f'{architecture}, {name}',
                marks=() if default else pytest.mark.slow,
            )


@pytest.mark.parametrize(
    ('architecture', 'batch', 'norm_cfg'), list(_failures())
)
def test_a_norm_with_nothing_to_normalize_is_named(
    architecture, batch, norm_cfg, data
):
    cfg = small_config(architecture, norm_cfg, data)
    cfg.train_dataloader.batch_size = batch
    model, optim_wrapper = build(cfg)
    warnings = pooling_warnings(model, cfg)
    samples = images(cfg, 'train', range(batch))
    with (
        pytest.raises(ConfigError) as caught,
        named_norm_errors(model, cfg),
    ):
        model.train_step(samples, optim_wrapper)
    seen = str(caught.value)
    kind = type(model.get_submodule(FIRST_NORM[architecture])).__name__
    layer = f'{FIRST_NORM[architecture]} ({kind})'
    assert seen.startswith(f'model.decode_head.norm_cfg: {layer}: ')
    assert '\n' not in seen
    assert f'({batch}, 16, 1, 1)' in seen or f'[{batch}, 16, 1, 1]' in seen
    if kind != 'BatchNorm2d':
        # More images help where the batch has statistics.
        assert ('larger batch' in seen) == (kind not in ('IW', 'GW'))
        assert 'a norm with ln' in seen
    if not kind.startswith('Sync'):  # other processes may make it work
        assert [layer in warning for warning in warnings] == [True]
