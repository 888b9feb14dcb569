"""Which norms of a network become SW, GW …: presets, patterns, replacement.

The papers put whitening into some norms of a ResNet only. A preset says which
in terms of structure: the stem's last norm, then blocks ``layerS.B`` with
norms numbered 1 to n (n = 3 in a Bottleneck, 2 in a BasicBlock). So presets
hold for ResNet-18 to 152, ResNeXt, deep stems, dilation and deformable
convolution, in mmdet, mmseg and torchvision. "Inner" is the norm before the
block's last convolution: the 2nd in a Bottleneck, the 1st in a BasicBlock.

================ ============================================= =============
preset           norms, besides the stem's                     ResNet-50 has
================ ============================================= =============
``sw14``         inner, blocks of stages 1–3 (SW supp. B)      14
``sw7``          inner, every second of those blocks           7
``sw7-released`` inner, every second block of each stage, as   7
                 in the published SW checkpoints
``s1``           none (GW section 5.1.1)                       1
``s1b1``         1st of every block                            17
``s1b2``         2nd of every block                            17
``s1b3``         3rd of every block; Bottlenecks only          17
``s1b12``        1st and 2nd of every block                    33
``l1``           none (DBN: before the first residual block)   1
``all``          every norm, shortcuts too, in any network     53
================ ============================================= =============

Numbering the convolutions of a network in order, without shortcuts, ``sw14``
follows layers {1, n, 2n, …} and ``sw7`` {1, 2n, 4n, …}: {1, 3, …, 39} and
{1, 6, …, 36} in ResNet-50, {1, 4, 8, …} in a ResNet of BasicBlocks, all as in
SW supplement B. The names count ResNet-50's; in ResNet-101 ``sw14`` is 31.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import chain, groupby
from typing import NamedTuple

from mmengine.registry import MODELS
from torch import nn

from .norm_cfgs import is_norm_class, norm_class


class PlacementError(ValueError):
    """A ``whiten_at`` or ``whiten_cfg`` that cannot work, in one line that
    begins with which of the two."""


class Block(NamedTuple):
    """A residual block: its stage, its index there, its number in the whole
    network (all from 1) and its norms in order, without the shortcut's."""

    stage: int
    index: int
    number: int
    norms: tuple[str, ...]


class Preset(NamedTuple):
    """Norms of a block by position, and the blocks concerned."""

    positions: tuple[int, ...]
    blocks: Callable[[Block], bool] = lambda block: True


INNER = -2
ALL = 'all'
PRESETS = {
    'sw14': Preset((INNER,), lambda b: b.stage <= 3),
    'sw7': Preset((INNER,), lambda b: b.stage <= 3 and b.number % 2 == 0),
    'sw7-released': Preset(
        (INNER,), lambda b: b.stage <= 3 and b.index % 2 == 0
    ),
    's1': Preset(()),
    's1b1': Preset((0,)),
    's1b2': Preset((1,)),
    's1b3': Preset((2,)),
    's1b12': Preset((0, 1)),
    'l1': Preset(()),
}
_BLOCK = re.compile(r'layer(\d+)\.(\d+)\.')
_BLOCK_NORM = re.compile(r'layer\d+\.\d+\.[^.\d]+(\d+)$')


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
    :mod:`whiten_plugins.norm_eval` says; in the ``Whiten*`` backbones it
    does not, see :class:`~whiten_plugins.backbones.WhitenMixin`.

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


def num_channels(module: nn.Module) -> int | None:
    """Channels of a norm that can be replaced, None for any other module."""
    # A norm with children (timm's BatchNormAct2d) does more than normalize.
    if not is_norm_class(type(module)) or any(module.children()):
        return None
    channels = getattr(
        module, 'num_features', getattr(module, 'num_channels', None)
    )
    return channels if isinstance(channels, int) else None


def channel_norms(model: nn.Module) -> dict[str, nn.Module]:
    """The norms that can be replaced, by their names, in the order of the
    modules."""
    return {
        name: module
        for name, module in model.named_modules()
        if name and num_channels(module) is not None
    }


def match_norms(
    names: Iterable[str], whiten_at: str | Sequence[str]
) -> dict[str, str]:
    """Choose norms by their names.

    Args:
        names: names of all norms of a network, in the order of the modules.
        whiten_at: a preset or a list of patterns, as :func:`place_norms`.

    Returns:
        dict[str, str]: The preset or the first pattern that matches, by the
        names of the norms chosen, in the order of ``names``.

    Raises:
        PlacementError: as :func:`place_norms`.
    """
    names = list(names)
    if whiten_at == ALL:
        return dict.fromkeys(names, ALL)
    if isinstance(whiten_at, (list, tuple)):
        return _match_patterns(names, whiten_at)
    if whiten_at not in PRESETS:
        raise PlacementError(
            f'whiten_at={whiten_at!r} is no preset; presets are '
            f'{", ".join((*PRESETS, ALL))}, and patterns go into a list: '
            f'whiten_at=[{whiten_at!r}]'
        )
    chosen = _match_preset(names, whiten_at)
    return {name: whiten_at for name in names if name in chosen}


def _match_patterns(
    names: list[str], patterns: Sequence[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for pattern in patterns:
        matched = [name for name in names if fnmatchcase(name, pattern)]
        if not matched:
            raise PlacementError(
                f'whiten_at: {pattern!r} matches no norm; {_listed(names)}'
            )
        found = {**dict.fromkeys(matched, pattern), **found}
    if not found:
        raise PlacementError(f'whiten_at={patterns!r} names no norm')
    return {name: found[name] for name in names if name in found}


def _match_preset(names: list[str], preset: str) -> set[str]:
    """Names of the stem's last norm and of the blocks' norms."""
    blocks = residual_blocks(names)
    first = next((i for i, name in enumerate(names) if _BLOCK.match(name)), 0)
    if not blocks or not first or not all(map(_BLOCK.match, names[first:])):
        raise PlacementError(
            f'whiten_at={preset!r} needs a ResNet, a stem and then only '
            f'blocks with norms named as in layer1.0.bn1, layer1.0.bn2; give '
            f'a list of patterns instead; {_listed(names)}'
        )
    positions, concerned = PRESETS[preset]
    chosen = {names[first - 1]}
    for block in filter(concerned, blocks):
        if positions and max(positions) >= len(block.norms):
            raise PlacementError(
                f'whiten_at={preset!r} needs norm {max(positions) + 1} of '
                f'each block, but the last of block {block.number} is '
                f'{block.norms[-1]}'
            )
        chosen.update(block.norms[position] for position in positions)
    return chosen


def residual_blocks(names: Iterable[str]) -> list[Block]:
    """The blocks of a ResNet, told from the names of its norms.

    Args:
        names: names of all norms, in the order of the modules.

    Returns:
        list[Block]: In network order; empty if a block has other norms than
        ``layerS.B.<name>1`` to ``<name>n``, n > 1, and its shortcut's.
    """
    inside = filter(_BLOCK.match, names)
    blocks: list[Block] = []
    for place, members in groupby(inside, lambda name: _BLOCK.match(name)[0]):
        numbered = {
            int(match[1]): match[0]
            for match in map(_BLOCK_NORM.match, members)
            if match
        }
        order = sorted(numbered)
        if len(order) < 2 or order != list(range(1, len(order) + 1)):
            return []
        stage, index = (int(number) for number in _BLOCK.match(place).groups())
        norms = tuple(numbered[position] for position in order)
        blocks.append(Block(stage, index + 1, len(blocks) + 1, norms))
    return blocks


def _listed(names: list[str]) -> str:
    return f'the norms are {", ".join(names)}' if names else 'there are none'


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
