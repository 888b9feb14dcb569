"""The importance ratios of every SN and SW layer of a checkpoint."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..norms.switchable import SN_STATS, SW_STATS
from ..ops import importance_ratios
from .checkpoint import CheckpointError, load_checkpoint
from .config import NormSetting, find_settings, settings_of
from .network import locate, network_order

_MEAN, _VAR = '.mean_weight', '.var_weight'
UNNAMED = 'stat'


@dataclass(frozen=True)
class LayerRatios:
    """The ratios of one SN or SW layer.

    Attributes:
        name: name of the module in the network.
        type: 'SN' or 'SW', also for their Sync versions.
        stats: the statistics, in the order of the logits.
        mean_groups: ratios of the means, a row for each ratio group; a row
            sums to 1.
        var_groups: those of the (co)variances.
        tied: whether one set of logits serves for both.
        hard: whether the ratios are one-hot.
    """

    name: str
    type: str
    stats: tuple[str, ...]
    mean_groups: list[list[float]]
    var_groups: list[list[float]]
    tied: bool = False
    hard: bool = False

    @property
    def part(self) -> str:
        """The part of the network it belongs to, e.g. 'backbone'."""
        return locate(self.name)[0]

    @property
    def mean(self) -> dict[str, float]:
        """Ratio of each statistic of the mean, averaged over the groups."""
        return dict(zip(self.stats, _average(self.mean_groups)))

    @property
    def var(self) -> dict[str, float]:
        """Ratio of each statistic of the (co)variance, likewise."""
        return dict(zip(self.stats, _average(self.var_groups)))


@dataclass(frozen=True)
class CheckpointRatios:
    """The layers of one checkpoint in network order.

    Attributes:
        path: the checkpoint file.
        layers: its SN and SW layers.
        notes: what the checkpoint leaves open.
    """

    path: Path
    layers: list[LayerRatios]
    notes: list[str] = field(default_factory=list)

    @property
    def stats(self) -> tuple[str, ...]:
        """The statistics that any of the layers mixes."""
        return tuple(
            dict.fromkeys(s for layer in self.layers for s in layer.stats)
        )

    def averages(self) -> dict[str, dict]:
        """Average the ratios over the layers of each part, as SN Fig. 1(a).

        A statistic that a layer does not mix counts as 0 there, so averages
        sum to 1 also where a part has layers of different types.

        Returns:
            dict[str, dict]: By part, then 'all': the number of 'layers' and
            the average ratios 'mean' and 'var', a dict by statistic each.
        """
        parts: dict[str, list[LayerRatios]] = {}
        for layer in self.layers:
            parts.setdefault(layer.part, []).append(layer)
        return {
            part: {
                'layers': len(layers),
                'mean': _average_by_stat(layer.mean for layer in layers),
                'var': _average_by_stat(layer.var for layer in layers),
            }
            for part, layers in {**parts, 'all': self.layers}.items()
        }


def read_ratios(path: str | Path) -> CheckpointRatios:
    """Read the importance ratios of a checkpoint.

    The ratios are the softmax of a layer's logits (SN eq. 5), or one-hot
    where the checkpoint's config says ``hard=True``. SW layers are told by
    their running matrices and name their statistics by their number; SN
    layers take the names from the config, by default in, ln, bn.

    Args:
        path: an mmengine training checkpoint or a state dict.

    Returns:
        CheckpointRatios: The layers in network order.

    Raises:
        CheckpointError: If the file is no checkpoint, has no SN or SW
            layer, or has logits that are not ratios of either.
    """
    checkpoint = load_checkpoint(path)
    weights = checkpoint.state_dict
    names = [k[: -len(_MEAN)] for k in weights if k.endswith(_MEAN)]
    if not names:
        raise CheckpointError(
            f"{path}: no SN or SW layer in it (no '*{_MEAN}' among its "
            f'{len(weights)} tensors)'
        )
    settings = find_settings(checkpoint.config)
    try:
        layers = [
            _read_layer(name, weights, settings)
            for name in network_order(names)
        ]
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from None
    return CheckpointRatios(Path(path), layers, _notes(layers))


def _read_layer(
    name: str, weights: Mapping[str, Tensor], settings: list[NormSetting]
) -> LayerRatios:
    if not name.isprintable():  # it would reach the terminal
        raise CheckpointError(f'{name!r}: not a module name')
    mean, var = _logits(name, weights)
    num_stats = mean.shape[-1]
    kind = _type(name, num_stats, weights)
    fitting = settings_of(name, kind, num_stats, settings)
    named = {setting.stats for setting in fitting}
    if kind == 'SW':
        named = {SW_STATS[num_stats]}
    elif not fitting and num_stats == len(SN_STATS):
        named = {SN_STATS}
    numbered = tuple(f'{UNNAMED}{i + 1}' for i in range(num_stats))
    stats = named.pop() if len(named) == 1 else numbered
    hard = bool(fitting) and all(setting.hard for setting in fitting)
    groups = [
        importance_ratios(logits.double(), stats, stats, hard)
        .reshape(-1, num_stats)
        .tolist()
        for logits in (mean, var)
    ]
    return LayerRatios(
        name,
        kind,
        stats,
        *groups,
        tied=name + _VAR not in weights,
        hard=hard,
    )


def _logits(name: str, weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    mean = weights[name + _MEAN]
    var = weights.get(name + _VAR, mean)
    shaped = mean.dim() in (1, 2) and mean.numel() > 0
    if not shaped or mean.shape != var.shape:
        raise CheckpointError(
            f'{name}: mean_weight {tuple(mean.shape)} and var_weight '
            f'{tuple(var.shape)} must both be (K,) or (ratio_groups, K)'
        )
    for key, logits in (('mean_weight', mean), ('var_weight', var)):
        if not torch.isfinite(logits).all():
            raise CheckpointError(
                f'{name}.{key}: {logits.tolist()} is not finite; the '
                f'training had diverged when this was saved'
            )
    return mean, var


def _type(name: str, num_stats: int, weights: Mapping[str, Tensor]) -> str:
    whitens = {f'{name}.running_cov', f'{name}.running_wm'} & weights.keys()
    kind = 'SW' if whitens else 'SN'
    known = SW_STATS if whitens else range(1, len(SN_STATS) + 1)
    if num_stats not in known:
        raise CheckpointError(
            f'{name}: {num_stats} ratios; {kind} has '
            f'{", ".join(map(str, known))}'
        )
    return kind


def _average(rows: list[list[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows)]


def _average_by_stat(ratios: Iterable[dict[str, float]]) -> dict[str, float]:
    ratios = list(ratios)
    stats = dict.fromkeys(stat for layer in ratios for stat in layer)
    return {
        stat: sum(layer.get(stat, 0.0) for layer in ratios) / len(ratios)
        for stat in stats
    }


def _notes(layers: list[LayerRatios]) -> list[str]:
    unnamed = Counter(
        len(layer.stats)
        for layer in layers
        if layer.stats[0].startswith(UNNAMED)
    )
    return [
        f'{count} SN layer(s) mix {num_stats} statistics, but the checkpoint '
        f'does not say which: {UNNAMED}1 is that of the first logit, and so '
        f'on.'
        for num_stats, count in unnamed.items()
    ]
