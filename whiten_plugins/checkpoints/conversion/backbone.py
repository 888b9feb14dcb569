"""The config's backbone, and a state dict that fits it strictly."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from ...config.building import build_model
from ...config.errors import ConfigError
from ...config.loading import load_config
from ...placement.norm_types import channel_norms
from ...utils.texts import shorten
from ..norm_layers import NormLayer
from ..reading import module_metadata, with_metadata
from .architecture import Architecture, architecture_of, check_fits
from .errors import ConversionError
from .layouts import COUNT, PublishedNorm, State
from .norms import NormChange, fit_norm, norm_states


@dataclass(frozen=True)
class Fitted:
    """A backbone's state dict and where it comes from.

    Attributes:
        state: the state dict, in the backbone's order.
        norms: what became of each norm.
        layers: the other layers, all carried over.
        started: how the tensors of other layers start that the source does
            not have.
        added: counts of batches that the source does not have; 0.
        dropped: keys of the source outside of the backbone.
    """

    state: State
    norms: list[NormChange]
    layers: list[str]
    started: dict[str, str] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    @property
    def published(self) -> dict[str, PublishedNorm]:
        """What a published layout has to hold, by module."""
        return {
            n.name: PublishedNorm(n.local_target, n.stats, n.num_instance)
            for n in self.norms
        }


def read_config(path: str | Path) -> tuple[Config, str]:
    """Read a config and find its backbone.

    Returns:
        A config whose ``model`` is the backbone, and the key it stood under:
        ``model.backbone``, ``backbone``, or ``model`` of a bare backbone.

    Raises:
        ConfigError: if it cannot be read or has no backbone.
    """
    cfg = load_config(path)
    model = cfg.get('model') or {}
    places = {
        'model.backbone': model.get('backbone'),
        'backbone': cfg.get('backbone'),
        'model': model,
    }
    key, found = next(((k, v) for k, v in places.items() if v), ('', None))
    if not found:
        raise ConfigError(f'{path}: has no model.backbone')
    images = model.get('data_preprocessor') or cfg.get('data_preprocessor')
    return Config(dict(cfg, model=found, data_preprocessor=images)), key


def build_backbone(cfg: Config, key: str) -> nn.Module:
    """Build the backbone, on the CPU, as a new one is.

    Args:
        cfg: config whose ``model`` is the backbone.
        key: where it stood in the file, for messages.

    Raises:
        ConfigError: if it cannot be built.
    """
    try:
        return build_model(cfg)
    except ConfigError as error:
        message = str(error)
        if message.startswith('model.'):
            message = f'{key}{message.removeprefix("model")}'
        raise ConfigError(message) from error


def fit_backbone(
    state: Mapping[str, torch.Tensor],
    described: Mapping[str, NormLayer],
    backbone: nn.Module,
    init_ratios: str,
) -> Fitted:
    """Make the state dict that a backbone loads strictly.

    Args:
        state: the source, in our names and shapes.
        described: its norms, as far as the checkpoint tells what they are.
        backbone: the config's, with norms as in a new one.
        init_ratios: 'uniform' or 'bn', where ratios start that the source
            does not have.

    Raises:
        ConversionError: if the source is another network.
    """
    target = backbone.state_dict()
    architecture = _target_architecture(target)
    check_fits(architecture_of(state), architecture)
    targets = channel_norms(backbone)
    sources = norm_states(state)
    fitted: State = {}
    changes = []
    for name, norm in targets.items():
        if name not in sources:
            raise ConversionError(
                f"has no norm {name}, which the config's backbone has; its "
                f'norms are {", ".join(sources)}'
            )
        source = _named(described.get(name), norm)
        own, change = fit_norm(
            name, sources[name], copy.deepcopy(norm), source, init_ratios
        )
        fitted |= {f'{name}.{tensor}': value for tensor, value in own.items()}
        changes.append(change)
    others = [key for key in target if key not in fitted]
    started = {
        key: 'at 0'
        for key in others
        # Offsets of deformable convolutions, which mmcv starts at 0.
        if key not in state and '.conv_offset.' in key
    }
    _check_tensors(state, target, [k for k in others if k not in started])
    for key in others:
        wanted = target[key]
        value = torch.zeros(wanted.shape) if key in started else state[key]
        fitted[key] = value.to(wanted.dtype)
    return Fitted(
        with_metadata(
            {key: fitted[key] for key in target}, module_metadata(target)
        ),
        changes,
        list(dict.fromkeys(k.rpartition('.')[0] for k in others)),
        started,
        [k for k in target if k.endswith(f'.{COUNT}') and k not in state],
        _dropped(state, target, changes, len(architecture.blocks)),
    )


def _target_architecture(target: State) -> Architecture:
    try:
        return architecture_of(target)
    except ConversionError as error:
        raise ConfigError(f"the config's backbone {error}") from error


def _named(source: NormLayer | None, norm: nn.Module) -> NormLayer | None:
    """Name the source's statistics as the target does if its file does not."""
    stats = getattr(norm, 'stats', ())
    if source is None or source.named or len(stats) != len(source.stats):
        return source
    return replace(source, stats=stats)


def _check_tensors(
    state: Mapping[str, torch.Tensor], target: State, keys: list[str]
) -> None:
    missing = [key for key in keys if key not in state]
    if missing:
        raise ConversionError(
            f"lacks {shorten(missing)} of the config's backbone"
        )
    for key in keys:
        found, wanted = tuple(state[key].shape), tuple(target[key].shape)
        if found != wanted:
            raise ConversionError(
                f"{key} is {found}, but {wanted} in the config's backbone"
            )


def _dropped(
    state: Mapping[str, torch.Tensor],
    target: State,
    changes: list[NormChange],
    stages: int,
) -> list[str]:
    """List the keys outside of the backbone.

    These are heads, and stages that the backbone does not have.
    """
    norms = {change.name for change in changes}
    extra = [
        key
        for key in state
        if key not in target and key.rpartition('.')[0] not in norms
    ]
    inside = {
        'conv1',
        'bn1',
        'stem',
        *(f'layer{i + 1}' for i in range(stages)),
    }
    unknown = [key for key in extra if key.partition('.')[0] in inside]
    if unknown:
        raise ConversionError(
            f"holds {shorten(unknown)}, which the config's backbone has not"
        )
    return extra
