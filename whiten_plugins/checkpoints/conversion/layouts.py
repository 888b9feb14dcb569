"""How published checkpoints name and shape what our ResNets hold.

A layout is a row of a table; reading and writing are the same two functions
for all. Names of ours are those of mmdet's and mmseg's ResNets, where each
norm is ``bnK`` whatever its type and a deep stem is one ``stem`` sequence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from ...norms.switchable import SN_STATS, SW_STATS
from ..norm_layers import MATRICES
from .errors import ConversionError

State = dict[str, Tensor]

ROWS = 0  # stands for the channels that are whitened together
_IMAGE = (1, -1, 1, 1)
_FLAT_IMAGE = (1, -1, 1)
_GROUPED = (-1, ROWS, 1)

COUNT = 'num_batches_tracked'


class PublishedNorm(NamedTuple):
    """A norm to publish.

    Holds its type and, if known, the statistics of its ratios, or how many of
    its channels have InstanceNorm.
    """

    type: str
    stats: tuple[str, ...] = ()
    num_instance: int | None = None


@dataclass(frozen=True)
class Layout:
    """Where a layout keeps its own norms; all others are plain BatchNorm.

    Attributes:
        norm: type of its own norms.
        attribute: what they are called where ours are ``bn``.
        tensors: their names of tensors, by ours, where they differ.
        shapes: shapes of tensors that are (C,) with us.
        needs: tensors that all of these norms have.
        stats: the statistics that their ratios can be of, in this order;
            the file does not name them.
        parts: modules that share a norm's channels, in their order; a norm
            whose channels are all the first's is published as one module,
            without running statistics.
        mixes: whether plain BatchNorms may stand beside them.
        mark: what tells the layout: a pattern on keys, and the dimensions
            of the tensor or None for any.
    """

    norm: str
    attribute: str = 'bn'
    tensors: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    needs: tuple[str, ...] = ('weight', 'bias')
    stats: tuple[tuple[str, ...], ...] = ()
    parts: tuple[str, ...] = ()
    mixes: bool = True
    mark: tuple[str, int | None] | None = None


OURS = 'mm'
TORCHVISION = 'torchvision'
# Detection takes the first whose mark is found.
LAYOUTS = {
    'sw': Layout(
        'SW',
        attribute='sw',
        tensors=dict(mean_weight='sw_mean_weight', var_weight='sw_var_weight'),
        shapes=dict(running_mean=_GROUPED),
        needs=('weight', 'bias', 'mean_weight', 'running_mean', 'running_cov'),
        stats=tuple(SW_STATS.values()),
        mark=(r'\.sw_mean_weight$', 1),
    ),
    'sn': Layout(
        'SN',
        attribute='sn',
        shapes=dict(
            weight=_IMAGE,
            bias=_IMAGE,
            running_mean=_FLAT_IMAGE,
            running_var=_FLAT_IMAGE,
        ),
        needs=('weight', 'bias', 'mean_weight', 'var_weight'),
        stats=(SN_STATS, SN_STATS[:2]),
        mixes=False,
        mark=(r'(^|\.)sn\d+\.mean_weight$', 1),
    ),
    'itn': Layout(
        'ItN',
        shapes=dict(weight=_IMAGE, bias=_IMAGE, running_mean=_GROUPED),
        needs=('weight', 'bias', 'running_mean', 'running_wm'),
        mark=(r'(^|\.)bn\d+\.running_mean$', 3),
    ),
    'gw': Layout(
        'GW',
        shapes=dict(weight=_IMAGE, bias=_IMAGE),
        mark=(r'(^|\.)bn\d+\.weight$', 4),
    ),
    'ibn': Layout(
        'IBN',
        parts=('IN', 'BN'),
        needs=('weight', 'bias', 'running_mean', 'running_var'),
        # IBN-a has parts, IBN-b a norm after the residual addition.
        mark=(r'(^|\.)(bn\d+|layer\d+\.\d+)\.IN\.weight$', 1),
    ),
    OURS: Layout(
        'BN',
        mark=(r'(^|\.)(stem\..*|mean_weight|running_cov|running_wm)$', None),
    ),
    TORCHVISION: Layout('BN'),
}

# Deep stems outside of mmdet and mmseg are a sequence of their own up to the
# last convolution.
_DEEP_STEM = {
    'conv1.0': 'stem.0',
    'conv1.1': 'stem.1',
    'conv1.3': 'stem.3',
    'conv1.4': 'stem.4',
    'conv1.6': 'stem.6',
    'bn1': 'stem.7',
}
_PUBLISHED_STEM = {ours: theirs for theirs, ours in _DEEP_STEM.items()}


def detect_layout(state: Mapping[str, Tensor], asked: str = 'auto') -> str:
    """Tell the layout of a state dict from its keys and shapes.

    Args:
        state: a published state dict.
        asked: the layout it should have, or 'auto'.

    Returns:
        str: A key of ``LAYOUTS``.

    Raises:
        ConversionError: if the layout is not the one asked for.
    """
    marked = (name for name in LAYOUTS if _has_mark(state, name))
    found = next(marked, TORCHVISION if _only_batch_norms(state) else OURS)
    # A BatchNorm ResNet of ours is torchvision's.
    if asked in ('auto', found) or (asked, found) == (OURS, TORCHVISION):
        return found if asked == 'auto' else asked
    raise ConversionError(
        f'--source {asked}: has no key that marks this layout; its keys and '
        f'shapes are those of --source {found}'
    )


def _has_mark(state: Mapping[str, Tensor], layout: str) -> bool:
    mark = LAYOUTS[layout].mark
    if mark is None:
        return False
    pattern, dims = mark
    return any(
        re.search(pattern, key) and dims in (None, value.dim())
        for key, value in state.items()
    )


def _only_batch_norms(state: Mapping[str, Tensor]) -> bool:
    norms = (key for key in state if re.search(r'(^|\.)bn\d+\.weight$', key))
    return all(
        key.replace('.weight', '.running_var') in state for key in norms
    )


def to_ours(state: Mapping[str, Tensor], name: str) -> State:
    """Rename and reshape a published state dict to this package's layout.

    Args:
        state: the published state dict.
        name: its layout.

    Returns:
        State: Views of the same tensors; keys that no layout knows stay.
    """
    layout = LAYOUTS[name]
    tensors = {theirs: ours for ours, theirs in layout.tensors.items()}
    if layout.parts:
        state = _join(state, *layout.parts)
    deep_stem = 'conv1.0.weight' in state
    ours = {}
    for key, value in state.items():
        module, _, tensor = key.rpartition('.')
        module = re.sub(rf'(^|\.){layout.attribute}(\d+)$', r'\1bn\2', module)
        if deep_stem:
            module = _DEEP_STEM.get(module, module)
        tensor = tensors.get(tensor, tensor)
        if _has_shape(value, layout.shapes.get(tensor)):
            value = value.flatten()
        ours[f'{module}.{tensor}' if module else tensor] = value
    return ours


def num_instance(state: Mapping[str, Tensor], name: str) -> dict[str, int]:
    """Count the channels with InstanceNorm in each norm.

    There are none unless the layout has parts.

    Args:
        state: the published state dict.
        name: its layout.

    Returns:
        dict[str, int]: By module of the norm.
    """
    parts = LAYOUTS[name].parts
    return _instance_norms(state, *parts) if parts else {}


def _instance_norms(
    state: Mapping[str, Tensor], first: str, second: str
) -> dict[str, int]:
    found = {}
    for key, value in state.items():
        module, _, tensor = key.rpartition('.')
        norm, _, part = module.rpartition('.')
        if tensor != 'weight' or value.dim() != 1:
            continue
        if part == first and f'{norm}.{second}.weight' in state:
            found[norm] = len(value)
        elif part != second and f'{module}.running_var' not in state:
            found[module] = len(value)
    return found


def _join(state: Mapping[str, Tensor], first: str, second: str) -> State:
    """Join each pair of norms that share the channels of a layer.

    A tensor that only the second norm has starts as in a new norm in the
    channels of the first; so does that of a norm without a second.
    """
    joined: State = {}
    for key, value in state.items():
        module, _, tensor = key.rpartition('.')
        norm, _, part = module.rpartition('.')
        alone = part == first and f'{norm}.{second}.weight' not in state
        if alone or part not in (first, second):
            joined[key] = value
            continue
        names = [f'{norm}.{p}.{tensor}' for p in (first, second)]
        if names[1] not in state:
            raise ConversionError(f'has {key}, but not {names[1]}')
        other = state[names[1]]
        if tensor != COUNT:
            split = state[f'{norm}.{first}.weight']
            start = torch.ones if tensor == 'running_var' else torch.zeros
            own = state.get(names[0], start(split.shape, dtype=other.dtype))
            other = torch.cat([own.flatten(), other.flatten()])
        joined[f'{norm}.{tensor}'] = other
    for module, channels in _instance_norms(state, first, second).items():
        joined.setdefault(f'{module}.running_mean', torch.zeros(channels))
        joined.setdefault(f'{module}.running_var', torch.ones(channels))
    return joined


def _parted(
    layout: Layout, tensor: str, value: Tensor, split: int, channels: int
) -> State:
    """Split a norm's tensor into those of its parts."""
    first, second = layout.parts
    learned = tensor in ('weight', 'bias')
    if split == channels:
        return {tensor: value} if learned else {}
    if tensor == COUNT:
        return {f'{second}.{tensor}': value}
    parts = {f'{second}.{tensor}': value[split:]}
    if learned:
        parts = {f'{first}.{tensor}': value[:split], **parts}
    return parts


def _has_shape(value: Tensor, shape: tuple[int, ...] | None) -> bool:
    if shape is None or value.dim() != len(shape):
        return False
    return all(want != 1 or got == 1 for got, want in zip(value.shape, shape))


def to_published(
    state: Mapping[str, Tensor], norms: Mapping[str, PublishedNorm], name: str
) -> State:
    """Rename and reshape a state dict to a published layout.

    Args:
        state: our state dict.
        norms: its norms, by module.
        name: the layout.

    Returns:
        State: Views of the same tensors, in the same order.

    Raises:
        ConversionError: if the layout has no place for one of the norms.
    """
    layout = LAYOUTS[name]
    for module, norm in norms.items():
        _check_norm(module, norm, state, name)
    types = {module: norm.type for module, norm in norms.items()}
    published: State = {}
    for key, value in state.items():
        module, _, tensor = key.rpartition('.')
        own = layout.norm != 'BN' and types.get(module) == layout.norm
        split = norms[module].num_instance if own and layout.parts else None
        if split is not None:
            channels = len(state[f'{module}.weight'])
            parts = _parted(layout, tensor, value, split, channels)
            published |= {f'{module}.{k}': v for k, v in parts.items()}
            continue
        if own and tensor == COUNT:
            continue  # none of the authors' own norms counts
        renamed = _PUBLISHED_STEM.get(module, module)
        if own:
            if tensor in layout.shapes:
                value = value.view(_shape(state, module, layout, tensor))
            attribute = rf'\g<1>{layout.attribute}\2'
            renamed = re.sub(r'(^|\.)bn(\d+)$', attribute, renamed)
            tensor = layout.tensors.get(tensor, tensor)
        published[f'{renamed}.{tensor}'] = value
    return published


def _shape(
    state: Mapping[str, Tensor], module: str, layout: Layout, tensor: str
) -> list[int]:
    found = (state.get(f'{module}.{name}') for name in MATRICES)
    rows = next((len(m[0]) for m in found if m is not None), 1)
    return [rows if n == ROWS else n for n in layout.shapes[tensor]]


def _check_norm(
    module: str, norm: PublishedNorm, state: Mapping[str, Tensor], name: str
) -> None:
    layout, kind = LAYOUTS[name], norm.type
    if kind == 'BN' and layout.mixes:
        return
    if kind != layout.norm:
        holds = f'{layout.norm} and BN' if layout.mixes else layout.norm
        holds = 'BN' if layout.norm == 'BN' else holds
        raise ConversionError(
            f'--to {name}: {module} is {kind}, but this layout holds {holds}'
        )
    for tensor in layout.needs:
        if f'{module}.{tensor}' not in state:
            raise ConversionError(
                f'--to {name}: {module} has no {tensor}, which every '
                f'{kind} of this layout has'
            )
    if layout.parts and norm.num_instance is None:
        raise ConversionError(
            f'--to {name}: {module} does not say how many of its channels '
            'have InstanceNorm; name the --config'
        )
    if norm.stats and norm.stats not in layout.stats:
        known = ' or '.join(', '.join(stats) for stats in layout.stats)
        raise ConversionError(
            f'--to {name}: {module} mixes {", ".join(norm.stats)}, but every '
            f'{kind} of this layout {known}, in this order'
        )
    logits = state.get(f'{module}.mean_weight')
    if logits is not None and logits.dim() > 1:
        raise ConversionError(
            f'--to {name}: {module} has ratio_groups={len(logits)}, but this '
            f'layout holds one set of ratios a norm'
        )
