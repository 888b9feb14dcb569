"""Optimizer settings of the norms, by the names OpenMMLab has for them.

``paramwise_cfg=dict(norm_decay_mult=0.)`` reaches the norms that mmengine
knows; a norm of this package would be decayed like a convolution, and its
ratio logits towards equal ratios. Here mmengine's
:class:`~mmengine.optim.DefaultOptimWrapperConstructor` and every constructor
derived from it (mmseg's ``ForceDefaultOptimWrapperConstructor``, one's own)
learn what the norms of this package are, and two options more::

    optim_wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
        paramwise_cfg=dict(norm_decay_mult=0.0, ratio_lr_mult=0.1),
    )

All options mean what they mean for BatchNorm: ``norm_decay_mult`` reaches all
parameters of these norms (SN section 4.2.1 has 0 for ``weight`` and
``bias``), ``bias_lr_mult`` and ``bias_decay_mult`` leave their biases alone.
The options for the logits of the importance ratios, ``mean_weight`` and
``var_weight``:

- ``ratio_lr_mult`` (float): It will be multiplied to the learning rate of the
  ratio logits. Defaults to 1.
- ``ratio_decay_mult`` (float): It will be multiplied to the weight decay of
  the ratio logits. By default they are decayed as the rest of their norm.

A parameter whose name contains one of ``custom_keys`` follows that key alone,
as in mmengine, also if it is a ratio logit.

The ``LearningRateDecayOptimizerConstructor`` of mmdet and mmseg has no
``norm_decay_mult``: it never decays one-dimensional parameters, so neither
norms. Logits of several ratio groups are two-dimensional; they follow their
norm all the same.

How: while a constructor works, each norm is shown to its ``add_params`` as an
instance of BatchNorm. The groups of other modules, and of a model without
these norms, are what they were.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from ..norms.base import WhiteningNorm

RATIO_LOGITS = ('mean_weight', 'var_weight')
RATIO_OPTIONS = {'ratio_lr_mult': 'lr', 'ratio_decay_mult': 'weight_decay'}


def ratio_options(
    constructor: DefaultOptimWrapperConstructor,
) -> dict[str, float]:
    """Return the multipliers that ``paramwise_cfg`` has for ratio logits.

    Returns:
        The multipliers by the setting of the optimizer that they multiply,
        ``lr`` or ``weight_decay``.

    Raises:
        ValueError: for a multiplier that is no number, and for one of
            something that ``optimizer`` does not set.
    """
    base = {'lr': constructor.base_lr, 'weight_decay': constructor.base_wd}
    options = {}
    for name, setting in RATIO_OPTIONS.items():
        multiplier = constructor.paramwise_cfg.get(name)
        if multiplier is None:
            continue
        if not isinstance(multiplier, Real):
            raise ValueError(f'{name} must be a number, got {multiplier!r}')
        if base[setting] is None:
            raise ValueError(
                f'{name}={multiplier} multiplies the {setting} of the '
                f'optimizer, which its config does not set'
            )
        options[setting] = float(multiplier)
    return options


@contextmanager
def norms_known(
    constructor: DefaultOptimWrapperConstructor, model: nn.Module
) -> Iterator[None]:
    """Let a constructor take the norms of this package for norms.

    Args:
        constructor: any that is derived from mmengine's; changed meanwhile.
        model: the model that it is called with.

    Raises:
        ValueError: as :func:`ratio_options`.
    """
    ratio_options(constructor)
    if 'add_params' in vars(constructor):  # a derived class entered already
        yield
        return
    add_params = constructor.add_params
    root = getattr(model, 'module', model)

    @functools.wraps(add_params)
    def add_known(
        params: list[dict], module: nn.Module, *args: Any, **kwargs: Any
    ) -> None:
        known = module
        if isinstance(module, WhiteningNorm):
            known = _seen_as_batch_norm(module)
        add_params(params, known, *args, **kwargs)
        if module is root:
            _set_ratio_options(constructor, root, params)

    constructor.add_params = add_known
    try:
        yield
    finally:
        del constructor.add_params


def _seen_as_batch_norm(norm: WhiteningNorm) -> nn.BatchNorm2d:
    """Return ``norm`` under a class that everybody knows, sharing all."""
    view = nn.BatchNorm2d.__new__(nn.BatchNorm2d)
    view.__dict__ = norm.__dict__
    return view


def _set_ratio_options(
    constructor: DefaultOptimWrapperConstructor,
    model: nn.Module,
    params: list[dict],
) -> None:
    """Set learning rate and decay of the ratio logits in ``params``."""
    options = ratio_options(constructor)
    group_of = {id(p): group for group in params for p in group['params']}
    for prefix, norm, name in _ratio_logits(model):
        key, logits = f'{prefix}.{name}', norm.get_parameter(name)
        group = group_of.pop(id(logits), None)  # a shared norm is set once
        if group is None or not logits.requires_grad:
            continue
        if _is_custom(constructor, key):
            continue
        changes = {}
        if 'lr' in options:
            lr = group.get('lr', constructor.base_lr)
            changes['lr'] = lr * options['lr']
        if 'weight_decay' in options:
            decay = constructor.base_wd * options['weight_decay']
            changes['weight_decay'] = decay
        elif logits.ndim > 1:
            weight = group_of.get(id(norm.weight), {})
            if 'weight_decay' in weight and not _is_custom(
                constructor, f'{prefix}.weight'
            ):
                changes['weight_decay'] = weight['weight_decay']
        _change(params, group, logits, changes, key.lstrip('.'))


def _ratio_logits(
    model: nn.Module,
) -> Iterator[tuple[str, WhiteningNorm, str]]:
    """Yield prefix, norm and name of every set of ratio logits."""
    for prefix, norm in model.named_modules():
        if isinstance(norm, WhiteningNorm):
            for name in RATIO_LOGITS:
                if norm._parameters.get(name) is not None:
                    yield prefix, norm, name


def _is_custom(constructor: DefaultOptimWrapperConstructor, key: str) -> bool:
    """Return whether ``custom_keys`` alone set what a parameter gets."""
    options = constructor.paramwise_cfg
    if options.get('force_default_settings', False):  # mmseg's
        return False
    return any(custom in key for custom in options.get('custom_keys', ()))


def _change(
    params: list[dict],
    group: dict,
    logits: nn.Parameter,
    changes: dict[str, float],
    name: str,
) -> None:
    """Change the settings of one parameter, in a group of its own."""
    changes = {k: v for k, v in changes.items() if group.get(k) != v}
    if changes and len(group['params']) > 1:
        group = _split(params, group, logits)
    group.update(changes)
    for setting, value in changes.items():
        print_log(
            f'paramwise_options -- {name}:{setting}={value}', logger='current'
        )


def _split(params: list[dict], group: dict, parameter: nn.Parameter) -> dict:
    """Take a parameter out of a group that holds several."""
    index = [id(p) for p in group['params']].index(id(parameter))
    own = {**group, 'params': [group['params'].pop(index)]}
    if 'param_names' in group:  # of the layer decay constructors
        own['param_names'] = [group['param_names'].pop(index)]
    params.append(own)
    return own


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class NormAwareOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's default constructor, for which SN, SW, GW … are norms.

    The default constructor does all of this too, so that there is no need to
    name this one; with it a config says what it relies on, and it works where
    the change of the default is switched off.

    Args:
        optim_wrapper_cfg (dict): The config of the optimizer wrapper, with
            that of the optimizer in ``optimizer``.
        paramwise_cfg (dict, optional): Parameter-wise options: those of
            :class:`~mmengine.optim.DefaultOptimWrapperConstructor`,
            ``ratio_lr_mult`` and ``ratio_decay_mult``, see
            :mod:`whiten_plugins.integration.optimizer`.

    Raises:
        ValueError: for a multiplier of something that ``optimizer`` does not
            set, ``lr`` or ``weight_decay``.

    Examples::

        optim_wrapper = dict(
            constructor='NormAwareOptimWrapperConstructor',
            optimizer=dict(type='SGD', lr=0.1, weight_decay=1e-4),
            paramwise_cfg=dict(norm_decay_mult=0., ratio_lr_mult=0.1),
        )
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        ratio_options(self)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        with norms_known(self, model):
            return super().__call__(model)


def install() -> None:
    """Teach the norms to every constructor derived from mmengine's default."""
    construct = DefaultOptimWrapperConstructor.__call__

    @functools.wraps(construct)
    def construct_knowing(
        self: DefaultOptimWrapperConstructor, model: nn.Module
    ) -> OptimWrapper:
        with norms_known(self, model):
            return construct(self, model)

    DefaultOptimWrapperConstructor.__call__ = construct_knowing
