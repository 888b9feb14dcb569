"""Norms of a network replaced in place."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import MODELS
from torch import nn

from .errors import PlacementError
from .layouts import layer_norms, layout_of, use_layout
from .norm_types import (
    channel_norms,
    compound_norms,
    norm_class,
    num_channels,
)
from .patterns import match_norms
from .presets import ALL, PRESETS, blocks_to_extend
from .residual import ADDED, add_norm, check_block

HOOKS = (
    '_forward_pre_hooks',
    '_forward_hooks',
    '_backward_pre_hooks',
    '_backward_hooks',
)


def place_norms(
    model: nn.Module, whiten_cfg: Mapping, whiten_at: str | Sequence[str]
) -> list[str]:
    """Replace norms of a network in place.

    A new norm stands under the old one's name, so that checkpoints keep
    their keys. It takes over the old one's ``weight`` and ``bias`` and, where
    both have them, running statistics, its device, dtype and mode; ``eps``,
    ``momentum`` and the process group of Sync norms too unless ``whiten_cfg``
    sets them. It is trained unless ``whiten_cfg`` has
    ``requires_grad=False``. Its attribute ``placement`` is the preset or the
    pattern that put it there. The preset ``'ibn-b'`` adds norms too, after
    residual additions, as ``layerS.B.IN``. In a backbone with
    ``norm_eval=True`` a new norm keeps its running statistics, as
    :mod:`whiten_plugins.integration.norm_eval` says; in the ``Whiten*``
    backbones it does not, see
    :class:`~whiten_plugins.placement.backbones.WhitenMixin`.

    Any norm with channels can be replaced: BatchNorm, SyncBN, frozen BN, GN,
    IN and the norms of this package; a norm with modules of its own cannot,
    such as timm's BatchNormAct2d or one with a parametrized weight, of which
    ``'all'`` warns. A LayerNorm over channels can be, in either
    :mod:`layout <whiten_plugins.placement.layouts>`; ``'all'`` means these
    only in networks that have no other norms.

    Args:
        model: a backbone or any other network.
        whiten_cfg: config of the new norms, as a ``norm_cfg``.
        whiten_at: a preset for ResNets or one for
            :mod:`other networks <whiten_plugins.placement.networks>`, or a
            list of patterns on module names as :mod:`fnmatch` has them: ``*``
            stands for any characters, dots too, ``?`` for one and ``[123]``
            for one of these. A pattern has to match the whole name.

    Returns:
        list[str]: Names of the new norms.

    Raises:
        PlacementError: for an unknown preset, a preset that does not fit the
            network, a pattern that matches nothing, a norm that is lazy and
            has seen no input, or has hooks, which a new norm would lose, and
            a ``whiten_cfg`` of an unknown type or with arguments that do not
            fit a norm. The network is unchanged then.

    Examples::

        >>> import torchvision
        >>> model = torchvision.models.resnet50()
        >>> names = place_norms(model, dict(type='SW'), 'sw14')
        >>> model = torchvision.models.mobilenet_v2()
        >>> gw = dict(type='GW', num_groups=8)
        >>> place_norms(model, gw, ['features.1.conv.*'])
        ['features.1.conv.0.1', 'features.1.conv.2']
    """
    try:
        norm_class(whiten_cfg, 'whiten_cfg')
    except ValueError as error:
        raise PlacementError(str(error)) from None
    placements = _match(model, whiten_at)
    if whiten_at == ALL:
        _check_all(model, placements)
    added = _added_norms(model, whiten_cfg, whiten_at)
    replacements = {}
    for name, placement in placements.items():
        old = model.get_submodule(name)
        norm: Any = _replacement(old, name, whiten_cfg, model)
        norm.placement = placement
        replacements[old] = norm
    for parent in list(model.modules()):
        for key, child in list(parent._modules.items()):
            if child in replacements:
                _put(parent, key, replacements[child])
    for block, (norm, inner_norms) in added.items():
        add_norm(model.get_submodule(block), norm, inner_norms)
        placements[f'{block}.{ADDED}'] = norm.placement
    return [name for name, _ in model.named_modules() if name in placements]


def _added_norms(
    model: nn.Module, whiten_cfg: Mapping, whiten_at: str | Sequence[str]
) -> dict[str, tuple[Any, list[str]]]:
    """Build the norms that a preset adds, by block.

    With each come the attributes of the norms that its block has.
    """
    if not isinstance(whiten_at, str):
        return {}
    added = {}
    blocks = blocks_to_extend(list(channel_norms(model)), whiten_at)
    for name, norms in blocks.items():
        check_block(model.get_submodule(name), name)
        last = model.get_submodule(norms[-1])
        norm: Any = _new_norm(last, f'{name}.{ADDED}', whiten_cfg)
        _move(norm, last, model)
        norm.placement = whiten_at
        added[name] = norm, [n.rpartition('.')[2] for n in norms]
    return added


def _put(parent: Any, key: str, norm: nn.Module) -> None:
    """Make ``norm`` a module of ``parent``."""
    setattr(parent, key, norm)
    # mmcv's ConvModule may compute conv and BN in one, in evaluation.
    if getattr(parent, 'efficient_conv_bn_eval_forward', None):
        parent.turn_on_efficient_conv_bn_eval(False)


def _match(model: nn.Module, whiten_at: str | Sequence[str]) -> dict[str, str]:
    """Choose among the norms.

    Presets for ResNets and ``'all'`` leave LayerNorms alone where there
    are others.
    """
    norms, lasts = channel_norms(model), layer_norms(model)
    if norms and whiten_at in (ALL, *PRESETS):
        return match_norms(norms, whiten_at)
    names = [name for name, _ in model.named_modules()]
    return match_norms(
        [name for name in names if name in norms or name in lasts], whiten_at
    )


def _channels(norm: nn.Module) -> int | None:
    if isinstance(norm, nn.LayerNorm):
        return norm.normalized_shape[0]
    return num_channels(norm)


def _check_all(model: nn.Module, found: Mapping[str, str]) -> None:
    """Say which norms ``'all'`` leaves; refuse if it is every one."""
    left = ', '.join(
        f'{name} ({type(norm).__name__})'
        for name, norm in compound_norms(model).items()
    )
    left = left and f': with modules of their own, {left} cannot be replaced'
    if not found:
        raise PlacementError(
            f'whiten_at={ALL!r} matches no norm; there are none{left}'
        )
    if left:
        print_log(
            f'place_norms: whiten_at={ALL!r} leaves some norms{left}',
            logger='current',
            level=logging.WARNING,
        )


def _replacement(
    old: nn.Module, name: str, norm_cfg: Mapping, model: nn.Module
) -> nn.Module:
    """Build what takes the place of ``old``, with what it takes over."""
    kind = type(old).__name__
    if not _channels(old):
        raise PlacementError(
            f'whiten_at: {name} is a {kind} whose number of channels nobody '
            'knows yet; run the network on one batch before placing norms'
        )
    if any(getattr(old, hooks) for hooks in HOOKS):
        raise PlacementError(
            f'whiten_at: {name} ({kind}) has hooks, as pruning makes them, '
            'which a new norm would lose; remove them before and add them to '
            'the new norm'
        )
    norm = _new_norm(old, name, norm_cfg)
    _move(norm, old, model)
    _take_over(norm, old)
    if isinstance(old, nn.LayerNorm):
        use_layout(norm, layout_of(old))
    return norm


def _new_norm(old: nn.Module, name: str, norm_cfg: Mapping) -> nn.Module:
    try:
        return _build_norm(norm_cfg, old)
    except (ValueError, TypeError) as error:
        raise PlacementError(f'whiten_cfg at {name}: {error}') from error


def _build_norm(norm_cfg: Mapping, old: nn.Module) -> nn.Module:
    """Do what mmcv's ``build_norm_layer`` does, without mmcv.

    What ``norm_cfg`` does not set is as in the norm to be replaced.
    """
    cfg = dict(norm_cfg)
    requires_grad = cfg.pop('requires_grad', True)
    kind = norm_class(cfg)
    arguments = inspect.signature(kind).parameters.values()
    any_name = any(a.kind is a.VAR_KEYWORD for a in arguments)
    for name in ('eps', 'momentum'):
        taken = any_name or name in {a.name for a in arguments}
        if taken and hasattr(old, name):
            cfg.setdefault(name, getattr(old, name))
    cfg.setdefault('eps', 1e-5)
    by_groups = issubclass(kind, nn.GroupNorm)
    cfg['num_channels' if by_groups else 'num_features'] = _channels(old)
    norm = MODELS.build(cfg).requires_grad_(requires_grad)
    if 'process_group' not in cfg and hasattr(norm, 'process_group'):
        norm.process_group = getattr(old, 'process_group', None)
    return norm


def _move(norm: nn.Module, old: nn.Module, model: nn.Module) -> None:
    """Give ``norm`` the device, the dtype and the mode of ``old``."""
    tensors = chain(old.parameters(), old.buffers(), model.parameters())
    like = next(tensors, None)
    if like is not None:
        norm.to(device=like.device, dtype=like.dtype)
    norm.train(old.training)


def _take_over(norm: nn.Module, old: nn.Module) -> None:
    """Give ``norm`` what ``old`` has, as far as both have it."""
    state, names = old.state_dict(), ['weight', 'bias']
    # A variance says what any batch statistic starts from; the matrices of a
    # whitening norm would not fit another one.
    if 'running_var' in state and 'running_mean' in norm.state_dict():
        names += ['running_mean', 'running_var', 'num_batches_tracked']
    taken = {name: state[name] for name in names if name in state}
    norm.load_state_dict(taken, strict=False)
