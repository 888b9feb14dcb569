"""Read the checkpoint to convert."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..norm_layers import NormLayer, read_norm_layers
from ..reading import (
    Checkpoint,
    PickleRefusedError,
    load_checkpoint,
    module_metadata,
    with_metadata,
)
from .architecture import Architecture, architecture_of
from .errors import ConversionError
from .keras import KERAS, is_keras, read_keras
from .layouts import LAYOUTS, State, detect_layout, num_instance, to_ours
from .norms import check_shapes, norm_states

_PREFIX = 'backbone.'
# What SN without batch statistics mixes, published as "(8,1)".
_SN_WITHOUT_BATCH = (
    "model = dict(norm_cfg=dict(type='SN', stats=('in', 'ln')))"
)


@dataclass(frozen=True)
class Source:
    """A checkpoint of a ResNet, in our names and shapes.

    Attributes:
        path: the file.
        layout: how the file names and shapes it.
        state: the state dict.
        architecture: the network.
        described: its norms by module, as far as the file tells what they
            are, in network order.
        added: keys that an earlier conversion to ours added.
        others: where in the file other weights are, such as averaged ones.
    """

    path: Path
    layout: str
    state: State
    architecture: Architecture
    described: dict[str, NormLayer]
    added: frozenset[str]
    others: tuple[str, ...] = ()

    @property
    def learned(self) -> list[NormLayer]:
        """The norms that learned ratios, in network order."""
        return [n for n in self.described.values() if n.learns_ratios]


def read_source(
    path: Path,
    layout: str = 'auto',
    trust_pickle: bool = False,
    weights: str | None = None,
) -> Source:
    """Read the checkpoint of a classifier.

    Args:
        path: the file.
        layout: its layout, or 'auto' to detect it.
        trust_pickle: load objects too, which executes what the file says.
        weights: key of the weights in the file; None for the usual ones.

    Raises:
        CheckpointError: if it cannot be read, or is not the checkpoint of a
            ResNet that the toolkits have, in that layout.
    """
    if layout == KERAS or (layout == 'auto' and is_keras(path)):
        return _keras_source(path)
    try:
        checkpoint = load_checkpoint(
            path, trust_pickle=trust_pickle, weights=weights
        )
    except PickleRefusedError as error:
        raise ConversionError(
            f'{error}, or, if you trust its author, add --trust-pickle'
        ) from error
    published = _backbone(checkpoint.state_dict)
    _check_values(published)
    layout = detect_layout(published, layout)
    state = with_metadata(
        to_ours(published, layout), module_metadata(published)
    )
    architecture = architecture_of(state)
    for name, tensors in norm_states(state).items():
        check_shapes(name, tensors)
    added = checkpoint.meta.get('added')
    return Source(
        path,
        layout,
        state,
        architecture,
        {
            **_described_norms(path, state, checkpoint.config),
            **_norms_with_parts(published, state, layout),
        },
        frozenset(added if isinstance(added, list) else ()),
        checkpoint.others,
    )


def _keras_source(path: Path) -> Source:
    state = read_keras(path)
    _check_values(state)
    architecture = architecture_of(state)
    for name, tensors in norm_states(state).items():
        check_shapes(name, tensors)
    return Source(path, KERAS, state, architecture, {}, frozenset())


def _norms_with_parts(
    published: State, state: State, layout: str
) -> dict[str, NormLayer]:
    """Return the norms that the layout itself defines, by their parts."""
    found, norms = num_instance(published, layout), norm_states(state)
    return {
        name: NormLayer(
            name,
            LAYOUTS[layout].norm,
            ('in', 'bn'),
            hard=True,
            tensors=norms[name],
            num_instance=split,
        )
        for name, split in found.items()
    }


def _described_norms(
    path: Path, state: State, config: str | None
) -> dict[str, NormLayer]:
    if config is None and 'bn1.running_mean' not in state:
        config = _SN_WITHOUT_BATCH
    found = read_norm_layers(Checkpoint(path, state, {'cfg': config}))
    return {layer.name: layer for layer in found}


def _backbone(state: State) -> State:
    """Strip the ``backbone.`` that mmpretrain puts before the keys."""
    if not any(key.startswith(_PREFIX) for key in state):
        return state
    _refuse_detector(state)
    return with_metadata(
        {key.removeprefix(_PREFIX): value for key, value in state.items()},
        {
            name.removeprefix(_PREFIX): entries
            for name, entries in module_metadata(state).items()
        },
    )


def _refuse_detector(state: Mapping[str, Tensor]) -> None:
    parts = dict.fromkeys(key.partition('.')[0] for key in state)
    others = [part for part in parts if part not in ('backbone', 'head')]
    if others or any(key.startswith('backbone.body.') for key in state):
        raise ConversionError(
            f'is the checkpoint of a detector or segmentor (it holds '
            f'{", ".join(parts)}), not of a classifier; a config loads it '
            f'with load_from'
        )


def _check_values(state: Mapping[str, Tensor]) -> None:
    for key, value in state.items():
        if not key.isprintable():  # it would reach the terminal
            raise ConversionError(f'{key!r} is not a key of a network')
        if value.is_floating_point() and not value.isfinite().all():
            raise ConversionError(f'{key} holds NaN or Inf')
        if re.search(r'(^|\.)running_var$', key) and (value < 0).any():
            raise ConversionError(f'{key} holds negative variances')
