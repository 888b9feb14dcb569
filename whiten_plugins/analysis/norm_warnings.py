"""Mistakes in the norms of a config, found before a training.

Each is named by the config key that put the norm there and says what works;
the limits stand in :mod:`.limits`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from torch import nn

from ..config.building import build_model
from ..config.inheritance import inherited_warnings
from ..norms.base import SyncStatistics, WhiteningNorm
from .limits import LIMITS
from .norms import NormInfo, keeps_statistics, list_norms, statistics_of
from .pooled_maps import is_undefined, pooled_norms, pooling_warnings
from .start_state import Weights, ratios_at_start, statistics_at_start
from .statistic_sizes import StatisticSize, largest_rows, statistic_sizes

PROCESSES = 8
"""That a Sync norm shares its statistics with where neither a process group
nor ``auto_scale_lr`` tells: the number that the toolkits' configs are for."""

_logged: set[str] = set()


def check_norms(cfg: Config) -> list[str]:
    """Build the model of a config and look for mistakes in its norms.

    Args:
        cfg: the whole config.

    Returns:
        list[str]: Warnings, a line each.

    Raises:
        ConfigError: as :func:`build_model`.
    """
    return norm_warnings(build_model(cfg), cfg)


def norm_warnings(
    model: nn.Module, cfg: Mapping, *, loaded: bool = False
) -> list[str]:
    """Say what is wrong with the norms of a model before it is trained.

    Args:
        model: the model of the config, left in training mode; on the meta
            device too.
        cfg: the whole config.
        loaded: whether ``model`` has the weights that its training starts
            from; else they are judged by what the config says of them.

    Returns:
        list[str]: Warnings, a line each; the norms of one kind that one
        config key put there share a line.
    """
    warnings = [*inherited_warnings(cfg), *pooling_warnings(model, cfg)]
    setting = _Setting(model, cfg, loaded)
    if str(setting.type).rpartition('.')[2] == 'FoldedModel':
        limit = LIMITS['folded']
        warnings.append(
            f'model.type={setting.type}: the norms of this network are '
            f'folded and cannot be trained: {limit.remedy}'
        )
    rows = list_norms(model, cfg)
    for check in _CHECKS:
        found = [
            (row, text)
            for row in rows
            if (text := check(row, model.get_submodule(row.name), setting))
        ]
        warnings += _grouped(found, rows)
    return warnings


def log_once(warnings: list[str]) -> None:
    """Log warnings, each once in the life of this process."""
    for warning in warnings:
        if warning not in _logged:
            _logged.add(warning)
            print_log(warning, logger='current', level=logging.WARNING)


class _Setting:
    """What the checks know besides the norm."""

    def __init__(self, model: nn.Module, cfg: Mapping, loaded: bool) -> None:
        loader = cfg.get('train_dataloader') or {}
        self.type = (cfg.get('model') or {}).get('type')
        self.told = loader.get('batch_size')
        self.images = self.told or 1
        self.loaded = loaded
        self.weights = Weights(cfg)
        self.maps = {name: side for name, _, side in pooled_norms(model)}
        base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
        self.processes = get_world_size()
        if self.processes == 1:
            self.processes = base // self.images if base else PROCESSES

    def shares(self, norm: nn.Module) -> int:
        """Return how many processes share the statistics of a norm."""
        return max(1, self.processes) if _is_sync(norm) else 1


def _is_sync(norm: nn.Module) -> bool:
    return isinstance(norm, (SyncStatistics, nn.SyncBatchNorm))


def _frozen_start(
    row: NormInfo, norm: nn.Module, setting: _Setting
) -> str | None:
    """Warn of a norm frozen before it learned to use its statistics."""
    frozen = row.trainable is False and not norm.training
    if not (isinstance(norm, WhiteningNorm) and frozen):
        return None
    if not norm.spec.uses_samples:
        return None  # its running statistics are those of BatchNorm
    if setting.loaded:
        at_start = norm.has_ratios and ratios_at_start(norm)
    else:
        at_start = setting.weights.fill(row.name, norm) is False
    if not at_start:
        return None
    how = 'with equal ratios' if norm.has_ratios else 'at its start'
    return (
        f'frozen {how}, on weights that were trained without it: '
        f'{LIMITS["frozen start"].remedy}'
    )


def _never_filled(
    row: NormInfo, norm: nn.Module, setting: _Setting
) -> str | None:
    """Warn of training on running statistics still at their start."""
    if not row.evaluating or not keeps_statistics(norm):
        return None
    if setting.loaded:
        unfilled = statistics_at_start(norm)
    else:
        unfilled = not setting.weights.any(row.name)
    if not unfilled:
        return None
    return (
        'normalizes by running statistics that nothing ever filled (mean 0, '
        f'variance 1): {LIMITS["never filled"].remedy}'
    )


def _same_statistics(
    row: NormInfo, norm: nn.Module, setting: _Setting
) -> str | None:
    """Warn of statistics of a one-image batch mixed with the image's."""
    found = statistics_of(norm)
    pair = next(
        (p for p in (('bn', 'in'), ('bw', 'iw')) if set(p) <= set(found)),
        None,
    )
    sees_rois = row.name.startswith('roi_head.')
    learns = isinstance(norm, WhiteningNorm) and norm.has_ratios
    if pair is None or not learns or sees_rois or setting.told != 1:
        return None
    if not norm.training or _is_sync(norm):
        return None
    return (
        f'train_dataloader.batch_size=1 makes {pair[0]} equal to {pair[1]}, '
        f'of which it learns the ratio: {LIMITS["same statistics"].remedy}'
    )


def _over_constrained(
    row: NormInfo, norm: nn.Module, setting: _Setting
) -> str | None:
    """Warn of too few values for the constraints on a pooled map."""
    side = setting.maps.get(row.name)
    if side is None or (side == 1 and is_undefined(norm, setting.images)):
        return None  # pooling_warnings names it
    processes = setting.shares(norm)
    sizes = statistic_sizes(norm, setting.images, (side, side), processes)
    found = starved(sizes)
    if found is None:
        return None
    return (
        f'on maps of {side}×{side} {describe_starved(found)}; what works: '
        f'{remedy_of_starved(found, row.channels)}'
    )


def starved(sizes: Mapping[str, StatisticSize]) -> StatisticSize | None:
    """Return the statistic with too few values, if it alone decides.

    A covariance of few values is singular; mixed with one that is not (a
    variance, or ``iw`` of large maps) the mixture is regular.

    Args:
        sizes: of the statistics that the input defines.
    """
    short = [s for s in sizes.values() if _is_short(s)]
    return short[0] if short and len(short) == len(sizes) else None


def _is_short(size: StatisticSize) -> bool:
    if size.constraints > size.variables:
        return True
    few = size.values < LIMITS['few values'].value * size.rows
    return size.name == 'bw' and few


def describe_starved(size: StatisticSize) -> str:
    """Say what is wrong with a statistic, in the numbers of one group."""
    if size.constraints > size.variables:
        return (
            f'it puts {size.constraints // size.groups:,} constraints on '
            f'{size.variables // size.groups:,} values'
        )
    return (
        f'{size.name} has {size.values} values for groups of {size.rows} '
        f'channels, fewer than {LIMITS["few values"].value:g} a channel'
    )


def remedy_of_starved(size: StatisticSize, channels: int) -> str:
    """Say what would have enough values there."""
    if size.name in ('gw', 'gn'):
        values = size.rows * size.values
        groups = largest_rows(values, min(size.rows, channels))
        return f'num_groups={groups} or fewer, SN or GN there'
    if size.name in ('bw', 'iw'):
        most = int(size.values / LIMITS['few values'].value)
        fitting = [d for d in range(1, most + 1) if channels % d == 0]
        smaller = f'num_pergroup={max(fitting)} or less, ' if fitting else ''
        return f'{smaller}SN there, or Sync statistics over more images'
    return 'SN there, or a larger batch'


def _hard(row: NormInfo, norm: Any, setting: _Setting) -> str | None:
    """Warn of a one-hot choice that no training made."""
    learns = isinstance(norm, WhiteningNorm) and norm.has_ratios
    if not (learns and norm.spec.hard and norm.mean_weight.requires_grad):
        return None
    if setting.loaded:
        unmade = ratios_at_start(norm)
    else:
        unmade = setting.weights.fill(row.name, norm) is False
    if not unmade:
        return None
    return (
        f'hard=True keeps the first statistic, {norm.stats[0]}, for good, as '
        f'its ratios get no gradient: {LIMITS["hard"].remedy}'
    )


_CHECKS: tuple[Callable[[NormInfo, nn.Module, _Setting], str | None], ...] = (
    _frozen_start,
    _never_filled,
    _same_statistics,
    _over_constrained,
    _hard,
)


class _Kind(NamedTuple):
    """What norms in one line share."""

    source: str
    type: str
    text: str


def _grouped(
    found: list[tuple[NormInfo, str]], rows: list[NormInfo]
) -> Iterator[str]:
    kinds: dict[_Kind, list[str]] = {}
    for row, text in found:
        kind = _Kind(row.source, row.type, text)
        kinds.setdefault(kind, []).append(row.name)
    for kind, names in kinds.items():
        total = sum((row.source, row.type) == kind[:2] for row in rows)
        which = f'{names[0]} ({kind.type})'
        if len(names) > 1:
            which = (
                f'{len(names)} of {total} {kind.type} '
                f'({names[0]} … {names[-1]})'
            )
        yield f'{kind.source}: {which}: {kind.text}'
