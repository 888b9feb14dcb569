"""Optimizer settings of the norms, by the names OpenMMLab has for them.

mmengine's ``paramwise_cfg=dict(norm_decay_mult=0.)`` reaches the norms that
mmengine knows; a norm of this package would be decayed like a convolution,
and its ratio logits towards equal ratios. The constructor here knows these
norms too::

    optim_wrapper = dict(
        type='OptimWrapper',
        constructor='NormAwareOptimWrapperConstructor',
        optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
        paramwise_cfg=dict(norm_decay_mult=0.0, ratio_lr_mult=0.1),
    )

Importing this module also registers the default constructor anew, with a
warning where it is asked for what it cannot do with these norms. Its groups
of parameters are what they were.
"""

from __future__ import annotations

import logging

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from ..norms.base import WhiteningNorm

RATIO_LOGITS = ('mean_weight', 'var_weight')
NORM_OPTIONS = ('norm_decay_mult', 'ratio_lr_mult', 'ratio_decay_mult')


def _seen_as_norm(norm: WhiteningNorm) -> nn.LayerNorm:
    """``norm`` under a class that mmengine knows; it shares all it holds."""
    view = nn.LayerNorm.__new__(nn.LayerNorm)
    view.__dict__ = norm.__dict__
    return view


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class NormAwareOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's default constructor, for which SN, SW, GW … are norms.

    All options of ``paramwise_cfg`` mean what they mean in
    :class:`~mmengine.optim.DefaultOptimWrapperConstructor`; in particular
    ``norm_decay_mult`` reaches all parameters of these norms (SN section
    4.2.1 has 0 for ``weight`` and ``bias``), and ``bias_lr_mult`` and
    ``bias_decay_mult`` leave their biases alone. Two options are added, for
    the logits of the importance ratios (``mean_weight``, ``var_weight``):

    - ``ratio_lr_mult`` (float): It will be multiplied to the learning rate
      of the ratio logits. Defaults to 1.
    - ``ratio_decay_mult`` (float): It will be multiplied to the weight decay
      of the ratio logits. By default they are decayed as the rest of their
      norm, which ``norm_decay_mult`` sets.

    A parameter whose name contains one of ``custom_keys`` follows that key
    alone, as in mmengine, also if it is a ratio logit.

    Args:
        optim_wrapper_cfg (dict): The config of the optimizer wrapper, with
            that of the optimizer in ``optimizer``.
        paramwise_cfg (dict, optional): Parameter-wise options.

    Raises:
        ValueError: for a multiplier of something that ``optimizer`` does not
            set, ``lr`` or ``weight_decay``.

    Examples::

        >>> constructor = NormAwareOptimWrapperConstructor(
        ...     dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=1e-4)),
        ...     paramwise_cfg=dict(norm_decay_mult=0., ratio_lr_mult=0.1))
        >>> optim_wrapper = constructor(SW(64))
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        self._ratio_options()

    def _ratio_options(self) -> dict[str, float]:
        """What ``paramwise_cfg`` sets for the ratio logits."""
        options = {}
        for name, setting, base in (
            ('ratio_lr_mult', 'lr', self.base_lr),
            ('ratio_decay_mult', 'weight_decay', self.base_wd),
        ):
            multiplier = self.paramwise_cfg.get(name)
            if multiplier is None:
                continue
            if base is None:
                raise ValueError(
                    f'{name}={multiplier} multiplies the {setting} of the '
                    f'optimizer, which its config does not set'
                )
            options[setting] = base * multiplier
        return options

    def add_params(
        self,
        params: list[dict],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Append the parameters of ``module`` and its children.

        Args:
            params: groups of parameters, modified in place.
            module: the module to add.
            prefix: its name in the model.
            is_dcn_module: whether its parent is a deformable convolution.
        """
        if not isinstance(module, WhiteningNorm):
            super().add_params(params, module, prefix, is_dcn_module)
            return
        first = len(params)
        view = _seen_as_norm(module)
        super().add_params(params, view, prefix, is_dcn_module)
        logits = {id(getattr(module, name)): name for name in RATIO_LOGITS}
        for group in params[first:]:
            name = logits.get(id(group['params'][0]))
            # Of a norm's parameters only custom_keys set the learning rate.
            if name is None or 'lr' in group:
                continue
            full_name = f'{prefix}.{name}' if prefix else name
            for key, value in self._ratio_options().items():
                group[key] = value
                print_log(
                    f'paramwise_options -- {full_name}:{key}={value}',
                    logger='current',
                )


@OPTIM_WRAPPER_CONSTRUCTORS.register_module(
    name=DefaultOptimWrapperConstructor.__name__, force=True
)
class WarningOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's default constructor, with a warning.

    It says so, once, when an option that is meant for norms will not reach
    the norms of this package in the model. Constructors derived from
    mmengine's class do not pass here.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        asked = [
            f'{name}={self.paramwise_cfg[name]}'
            for name in NORM_OPTIONS
            if self.paramwise_cfg.get(name) is not None
        ]
        norms = [m for m in model.modules() if isinstance(m, WhiteningNorm)]
        if asked and norms:
            types = ', '.join(sorted({type(m).__name__ for m in norms}))
            print_log(
                f'{", ".join(asked)} does not reach the {len(norms)} norms of '
                f'whiten_plugins in the model ({types}), which '
                'DefaultOptimWrapperConstructor does not know. Set '
                f"constructor='{NormAwareOptimWrapperConstructor.__name__}' "
                'in optim_wrapper.',
                logger='current',
                level=logging.WARNING,
            )
        return super().__call__(model)
