"""The optimizer knows the norms; mmengine's own options stay as they were."""

import copy
import logging

import pytest
from mmengine.logging import MMLogger
from mmengine.optim import (
    DefaultOptimWrapperConstructor,
    build_optim_wrapper,
)
from mmengine.registry import DefaultScope
from torch import nn

from whiten_plugins.norms import BW, GW, NORMS, SN, SW

LR, DECAY = 0.1, 0.01
NORM_AWARE = 'NormAwareOptimWrapperConstructor'


def _build(model, constructor=NORM_AWARE, **paramwise):
    """The optimizer wrapper of ``model`` as a config describes it."""
    cfg = dict(
        optimizer=dict(type='SGD', lr=LR, weight_decay=DECAY),
        paramwise_cfg=paramwise,
    )
    if constructor is not None:
        cfg['constructor'] = constructor
    return build_optim_wrapper(model, cfg)


def _settings(model, constructor=NORM_AWARE, **paramwise):
    """``{parameter: (lr, weight decay)}``."""
    groups = _build(model, constructor, **paramwise).optimizer.param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        names[id(p)]: (group['lr'], group['weight_decay'])
        for group in groups
        for p in group['params']
    }


@pytest.fixture
def log():
    """Records of mmengine's logger, which does not propagate to pytest's."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def _warnings(log):
    return [r.getMessage() for r in log if r.levelno == logging.WARNING]


@pytest.mark.parametrize('norm', NORMS, ids=lambda norm: norm.__name__)
def test_norm_decay_reaches_every_parameter_of_every_norm(norm):
    model = nn.Sequential(nn.Conv2d(3, 16, 3), norm(16))
    settings = _settings(model, norm_decay_mult=0.0)
    assert settings.pop('0.weight') == (LR, DECAY)
    assert settings.pop('0.bias') == (LR, DECAY)
    assert set(settings) == {f'1.{n}' for n, _ in model[1].named_parameters()}
    assert set(settings.values()) == {(LR, 0.0)}


@pytest.mark.parametrize(
    'norm',
    [
        SN(16),
        SN(16, ratio_groups=2),
        SN(16, tie_weight=True),
        SW(16, sw_type=5),
        SW(16, affine=False),
    ],
    ids=repr,
)
def test_ratio_multipliers_reach_the_logits_alone(norm):
    settings = _settings(
        nn.Sequential(norm),
        norm_decay_mult=0.5,
        ratio_lr_mult=2.0,
        ratio_decay_mult=3.0,
    )
    for name, _ in norm.named_parameters():
        of_ratios = name in ('mean_weight', 'var_weight')
        expected = (2 * LR, 3 * DECAY) if of_ratios else (LR, DECAY / 2)
        assert settings[f'0.{name}'] == pytest.approx(expected), name


def test_decay_of_the_ratios_follows_the_norm_unless_it_is_set():
    model = nn.Sequential(SW(16))
    followed = _settings(model, norm_decay_mult=0.0, ratio_lr_mult=2.0)
    assert followed['0.mean_weight'] == (2 * LR, 0.0)
    own = _settings(model, norm_decay_mult=0.0, ratio_decay_mult=1.0)
    assert own['0.mean_weight'] == (LR, DECAY)
    alone = _settings(model, ratio_decay_mult=0.0)
    assert alone['0.mean_weight'] == (LR, 0.0)
    assert alone['0.weight'] == (LR, DECAY)


def test_custom_keys_go_before_the_ratio_options():
    model = nn.ModuleDict(dict(stem=SN(16), head=SN(16)))
    settings = _settings(
        model,
        norm_decay_mult=0.0,
        ratio_lr_mult=2.0,
        custom_keys={
            'stem': dict(lr_mult=0.5),
            'head.mean_weight': dict(decay_mult=7.0),
        },
    )
    assert settings['stem.weight'] == (LR / 2, DECAY)
    assert settings['stem.mean_weight'] == (LR / 2, DECAY)
    assert settings['head.mean_weight'] == pytest.approx((LR, 7 * DECAY))
    assert settings['head.var_weight'] == (2 * LR, 0.0)


def _network(norm):
    """Every kind of module that an option names, around ``norm``."""
    frozen = nn.Linear(16, 16)
    frozen.weight.requires_grad = False
    return nn.Sequential(
        nn.Conv2d(3, 16, 3),
        norm(16),
        nn.Conv2d(16, 16, 3, groups=16),
        nn.Sequential(nn.GroupNorm(4, 16), norm(16)),
        frozen,
        nn.LayerNorm(16),
    )


PARAMWISE = [
    dict(),
    dict(norm_decay_mult=0.0),
    dict(norm_decay_mult=2.0, bias_decay_mult=3.0),
    dict(bias_lr_mult=2.0, bias_decay_mult=0.0),
    dict(dwconv_decay_mult=0.0, flat_decay_mult=0.5),
    dict(flat_decay_mult=0.0),
    dict(custom_keys={'1': dict(lr_mult=0.1), '3.1': dict(decay_mult=2.0)}),
]


@pytest.mark.parametrize('paramwise', PARAMWISE, ids=str)
@pytest.mark.parametrize('norm', [BW, GW])
def test_a_norm_without_ratios_gets_what_batch_norm_gets(norm, paramwise):
    expected = _settings(
        _network(nn.BatchNorm2d),
        constructor='DefaultOptimWrapperConstructor',
        **paramwise,
    )
    assert _settings(_network(norm), **paramwise) == expected


def test_offsets_of_deformable_convolutions_are_as_in_mmengine():
    ops = pytest.importorskip('mmcv.ops')
    paramwise = dict(dcn_offset_lr_mult=0.1, bias_lr_mult=2.0)

    def network(norm):
        return nn.Sequential(
            ops.ModulatedDeformConv2dPack(16, 16, 3), norm(16)
        )

    settings = _settings(network(BW), **paramwise)
    assert settings['0.conv_offset.bias'] == pytest.approx((LR / 10, DECAY))
    assert settings == _settings(
        network(nn.BatchNorm2d),
        constructor='DefaultOptimWrapperConstructor',
        **paramwise,
    )


def test_a_shared_norm_is_added_once_with_bypass_duplicate():
    norm = SN(16)
    model = nn.ModuleDict(dict(first=norm, second=norm))
    wrapper = _build(
        model, bypass_duplicate=True, norm_decay_mult=0.0, ratio_lr_mult=2.0
    )
    assert len(wrapper.optimizer.param_groups) == len(list(norm.parameters()))
    assert {g['weight_decay'] for g in wrapper.optimizer.param_groups} == {0.0}


def test_frozen_parameters_are_left_out():
    norm = SW(16)
    norm.weight.requires_grad = norm.var_weight.requires_grad = False
    settings = _settings(norm, ratio_lr_mult=2.0)
    assert settings == {'bias': (LR, DECAY), 'mean_weight': (2 * LR, DECAY)}


def test_building_leaves_the_model_and_the_config_alone():
    model = nn.Sequential(SW(16))
    cfg = dict(
        constructor=NORM_AWARE,
        optimizer=dict(type='SGD', lr=LR, weight_decay=DECAY),
        paramwise_cfg=dict(norm_decay_mult=0.0, ratio_lr_mult=2.0),
    )
    given = copy.deepcopy(cfg)
    build_optim_wrapper(model, cfg)
    assert cfg == given
    assert type(model[0]) is SW
    assert (
        _build(model).optimizer.param_groups[0]['params'][0] is model[0].weight
    )


def test_ratio_settings_are_logged_as_the_others_are(log):
    _build(nn.Sequential(SN(16)), norm_decay_mult=0.0, ratio_lr_mult=2.0)
    lines = [r.getMessage() for r in log]
    assert f'paramwise_options -- 0.mean_weight:lr={2 * LR}' in lines
    assert 'paramwise_options -- 0.mean_weight:weight_decay=0.0' in lines


@pytest.mark.parametrize(
    'optimizer, paramwise, setting',
    [
        (dict(lr=LR), dict(ratio_decay_mult=0.0), 'weight_decay'),
        (dict(weight_decay=DECAY), dict(ratio_lr_mult=2.0), 'lr'),
    ],
)
def test_a_multiplier_of_nothing_is_an_error(optimizer, paramwise, setting):
    cfg = dict(
        constructor=NORM_AWARE,
        optimizer=dict(type='Adam', **optimizer),
        paramwise_cfg=paramwise,
    )
    with pytest.raises(ValueError, match=f'multiplies the {setting} of'):
        build_optim_wrapper(SN(16), cfg)


def test_a_multiplier_that_is_no_number_is_an_error():
    with pytest.raises(ValueError, match="ratio_lr_mult must .* got '2'"):
        _build(SN(16), None, ratio_lr_mult='2')


def _constructor_of_ones_own():
    class Other(DefaultOptimWrapperConstructor):
        def add_params(self, params, module, prefix='', is_dcn_module=None):
            super().add_params(params, module, prefix, is_dcn_module)

    return Other


def _mmseg_constructor():
    pytest.importorskip('mmseg')
    from mmseg.engine.optimizers import ForceDefaultOptimWrapperConstructor

    return ForceDefaultOptimWrapperConstructor


@pytest.mark.parametrize(
    'constructor',
    [
        lambda: None,
        lambda: NORM_AWARE,
        _mmseg_constructor,
        _constructor_of_ones_own,
    ],
    ids=['default', 'norm-aware', 'force-default', 'own'],
)
@pytest.mark.parametrize('wrapped', [False, True])
def test_every_constructor_knows_the_norms(constructor, wrapped, log):
    model = nn.Sequential(nn.Conv2d(3, 16, 3), SN(16), nn.GroupNorm(4, 16))
    given = model
    if wrapped:  # as for data parallelism
        given = nn.Module()
        given.module = model
    options = dict(norm_decay_mult=0.0, bias_lr_mult=5.0, ratio_lr_mult=2.0)
    wrapper = _build(given, constructor(), **options)
    names = {id(p): name for name, p in model.named_parameters()}
    settings = {
        names[id(p)]: (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for p in group['params']
    }
    assert settings == {
        '0.weight': (LR, DECAY),
        '0.bias': (5 * LR, DECAY),
        '1.weight': (LR, 0.0),
        '1.bias': (LR, 0.0),
        '1.mean_weight': (2 * LR, 0.0),
        '1.var_weight': (2 * LR, 0.0),
        '2.weight': (LR, 0.0),
        '2.bias': (LR, 0.0),
    }
    lines = [m for m in map(logging.LogRecord.getMessage, log) if '--' in m]
    assert lines and len(lines) == len(set(lines)), 'said twice'
    assert not _warnings(log)


def test_force_default_settings_go_before_custom_keys():
    settings = _settings(
        nn.Sequential(SN(16)),
        _mmseg_constructor(),
        norm_decay_mult=0.0,
        ratio_lr_mult=2.0,
        force_default_settings=True,
        custom_keys={'0.mean_weight': dict(lr_mult=0.5, decay_mult=3.0)},
    )
    assert settings['0.mean_weight'] == (LR, 0.0)  # twice the half of it
    assert settings['0.var_weight'] == (2 * LR, 0.0)


class _ConvNeXt(nn.Module):
    def __init__(self, **cfg):
        super().__init__()
        blocks = nn.ModuleList([nn.Conv2d(3, 16, 1), SN(16, **cfg)])
        self.stages = nn.ModuleList([blocks])


@pytest.mark.parametrize('toolkit', ['mmdet', 'mmseg'])
@pytest.mark.parametrize('ratio_groups', [1, 2])
def test_layer_decay_decays_no_norm(toolkit, ratio_groups):
    optimizers = pytest.importorskip(f'{toolkit}.engine.optimizers')
    model = nn.ModuleDict(
        dict(backbone=_ConvNeXt(ratio_groups=ratio_groups), head=SN(16))
    )
    decay = dict(num_layers=6, decay_rate=0.5, decay_type='layer_wise')
    constructor = optimizers.LearningRateDecayOptimizerConstructor
    settings = _settings(model, constructor, **decay, ratio_lr_mult=2.0)
    stage, head = 'backbone.stages.0.', 'head.'
    lr = settings[f'{stage}0.weight'][0]
    assert settings[f'{stage}0.weight'] == (lr, DECAY)
    assert settings[f'{stage}1.weight'] == (lr, 0.0)
    assert settings[f'{stage}1.mean_weight'] == (2 * lr, 0.0)
    assert settings[f'{head}bias'] == (LR, 0.0)
    assert settings[f'{head}var_weight'] == (2 * LR, 0.0)
    wrapper = _build(model, constructor, **decay, ratio_lr_mult=2.0)
    for group in wrapper.optimizer.param_groups:
        assert len(group['params']) == len(group['param_names'])


def test_logits_of_ratio_groups_follow_flat_decay_too():
    settings = _settings(
        nn.Sequential(SN(16, ratio_groups=2)), flat_decay_mult=0.0
    )
    assert set(settings.values()) == {(LR, 0.0)}


@pytest.mark.parametrize('toolkit', ['mmdet', 'mmseg'])
def test_both_constructors_are_found_in_a_toolkits_scope(toolkit):
    pytest.importorskip(toolkit)
    with DefaultScope.overwrite_default_scope(toolkit):
        for name in (None, NORM_AWARE):
            settings = _settings(SN(16), name, norm_decay_mult=0.0)
            assert settings['weight'] == (LR, 0.0)


@pytest.mark.parametrize('paramwise', PARAMWISE, ids=str)
def test_groups_of_a_model_without_these_norms_are_mmengines(paramwise):
    model = _network(nn.BatchNorm2d)
    cfg = dict(optimizer=dict(type='SGD', lr=LR, weight_decay=DECAY))
    constructor = DefaultOptimWrapperConstructor(cfg, paramwise)
    expected = []
    if paramwise:
        constructor.add_params(expected, model)  # outside of its call
    else:
        expected = [dict(params=list(model.parameters()))]
    groups = constructor(model).optimizer.param_groups
    assert [g['params'] for g in groups] == [g['params'] for g in expected]
    for group, plain in zip(groups, expected):
        assert plain.items() <= group.items()


def test_a_constructor_is_left_as_it_was():
    cfg = dict(optimizer=dict(type='SGD', lr=LR, weight_decay=DECAY))
    constructor = DefaultOptimWrapperConstructor(
        cfg, dict(norm_decay_mult=0.0)
    )
    before = dict(vars(constructor))
    constructor(SN(16))
    assert vars(constructor) == before
