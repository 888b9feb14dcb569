"""Norms of a network replaced in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from mmengine.registry import MODELS
from torch import nn

from .errors import PlacementError
from .norm_types import channel_norms, norm_class, num_channels
from .patterns import match_norms


def place_norms(
    model: nn.Module, whiten_cfg: Mapping, whiten_at: str | Sequence[str]
) -> list[str]:
    """Replace norms of a network in place.

    A new norm stands under the old one's name, so that checkpoints keep
    their keys. It takes over the old one's ``weight`` and ``bias`` and, where
    both have them, running statistics, its device, dtype and mode, and it is
    trained unless ``whiten_cfg`` has ``requires_grad=False``. Its attribute
    ``placement`` is the preset or the pattern that put it there. In a
    backbone with ``norm_eval=True`` it keeps its running statistics, as
    :mod:`whiten_plugins.integration.norm_eval` says; in the ``Whiten*``
    backbones it does not, see
    :class:`~whiten_plugins.placement.backbones.WhitenMixin`.

    Any norm with channels can be replaced: BatchNorm, SyncBN, GN, IN and the
    norms of this package; LayerNorm over the last dimension cannot.

    Args:
        model: a backbone or any other network.
        whiten_cfg: config of the new norms, as a ``norm_cfg``.
        whiten_at: a preset, or a list of patterns on module names as
            :mod:`fnmatch` has them: ``*`` stands for any characters, dots
            too, ``?`` for one and ``[123]`` for one of these. A pattern has
            to match the whole name.

    Returns:
        list[str]: Names of the new norms.

    Raises:
        PlacementError: for an unknown preset, a preset that does not fit the
            network, a pattern that matches nothing, and a ``whiten_cfg`` of
            an unknown type or with arguments that do not fit a norm. The
            network is unchanged then.

    Examples::

        >>> model = torchvision.models.resnet50(weights='DEFAULT')
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
    norms = channel_norms(model)
    placements = match_norms(norms, whiten_at)
    replacements = {}
    for name, placement in placements.items():
        try:
            norm = _build_norm(whiten_cfg, num_channels(norms[name]))
        except (ValueError, TypeError) as error:
            raise PlacementError(f'whiten_cfg at {name}: {error}') from error
        _take_over(norm, norms[name], model)
        norm.placement = placement
        replacements[norms[name]] = norm
    for parent in list(model.modules()):
        for key, child in list(parent._modules.items()):
            if child in replacements:
                setattr(parent, key, replacements[child])
    return list(placements)


def _build_norm(norm_cfg: Mapping, channels: int) -> nn.Module:
    """What mmcv's ``build_norm_layer`` does, without mmcv."""
    cfg = dict(norm_cfg)
    requires_grad = cfg.pop('requires_grad', True)
    cfg.setdefault('eps', 1e-5)
    by_groups = issubclass(norm_class(cfg), nn.GroupNorm)
    cfg['num_channels' if by_groups else 'num_features'] = channels
    return MODELS.build(cfg).requires_grad_(requires_grad)


def _take_over(norm: nn.Module, old: nn.Module, model: nn.Module) -> None:
    """Give ``norm`` what ``old`` has, as far as both have it."""
    tensors = chain(old.parameters(), old.buffers(), model.parameters())
    like = next(tensors, None)
    if like is not None:
        norm.to(device=like.device, dtype=like.dtype)
    norm.train(old.training)
    state, names = old.state_dict(), ['weight', 'bias']
    # A variance says what any batch statistic starts from; the matrices of a
    # whitening norm would not fit another one.
    if 'running_var' in state and 'running_mean' in norm.state_dict():
        names += ['running_mean', 'running_var', 'num_batches_tracked']
    taken = {name: state[name] for name in names if name in state}
    norm.load_state_dict(taken, strict=False)
