"""The importance ratios of every SN and SW layer of a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..analysis.layer_names import is_shortcut, locate, network_order
from ..norms.switchable import SN_STATS, SW_STATS
from ..ops import importance_ratios
from .config_text import NormSetting, find_settings, settings_of
from .reading import Checkpoint, CheckpointError

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
        kernel: height and width of the convolution before it; None where
            the checkpoint does not tell.
        receptive_field: pixels of the image that it sees, 'image' or 'RoI'
            after pooling those as a whole; None where it was not traced.
    """

    name: str
    type: str
    stats: tuple[str, ...]
    mean_groups: list[list[float]]
    var_groups: list[list[float]]
    tied: bool = False
    hard: bool = False
    kernel: tuple[int, int] | None = None
    receptive_field: int | str | None = None

    @property
    def part(self) -> str:
        """The part of the network it belongs to, e.g. 'backbone'."""
        return locate(self.name)[0]

    @property
    def shortcut(self) -> bool:
        """Whether it stands in the shortcut of a residual block."""
        return is_shortcut(self.name)

    @property
    def mean(self) -> dict[str, float]:
        """Ratio of each statistic of the mean, averaged over the groups."""
        return dict(zip(self.stats, _average(self.mean_groups)))

    @property
    def var(self) -> dict[str, float]:
        """Ratio of each statistic of the (co)variance, likewise."""
        return dict(zip(self.stats, _average(self.var_groups)))


def read_layers(checkpoint: Checkpoint) -> list[LayerRatios]:
    """Read the importance ratios of a checkpoint.

    The ratios are the softmax of a layer's logits (SN eq. 5), or one-hot
    where the checkpoint's config says ``hard=True``. SW layers are told by
    their running matrices and name their statistics by their number; SN
    layers take the names from the config, by default in, ln, bn.

    Args:
        checkpoint: weights and config text.

    Returns:
        list[LayerRatios]: In network order, as far as names tell it.

    Raises:
        CheckpointError: If there is no SN or SW layer, or one has logits
            that are not ratios of either.
    """
    weights, path = checkpoint.state_dict, checkpoint.path
    names = [k[: -len(_MEAN)] for k in weights if k.endswith(_MEAN)]
    if not names:
        raise CheckpointError(
            f"{path}: no SN or SW layer in it (no '*{_MEAN}' among its "
            f'{len(weights)} tensors)'
        )
    settings = find_settings(checkpoint.config)
    kernels = _kernels(weights)
    try:
        return [
            _read_layer(name, weights, settings, kernels.get(name))
            for name in network_order(names)
        ]
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from None


def _kernels(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """The kernel of the convolution that was registered before each layer
    in the same module, which is the one it normalizes."""
    kernels, latest = {}, {}
    for key, weight in weights.items():
        module = key.rpartition('.')[0]
        parent = module.rpartition('.')[0]
        if key.endswith('.weight') and weight.dim() == 4:
            latest[parent] = tuple(weight.shape[2:])
        elif key.endswith(_MEAN) and parent in latest:
            kernels[module] = latest[parent]
    return kernels


def _read_layer(
    name: str,
    weights: Mapping[str, Tensor],
    settings: list[NormSetting],
    kernel: tuple[int, int] | None,
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
        kernel=kernel,
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
