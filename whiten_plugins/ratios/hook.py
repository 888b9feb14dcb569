"""Ratios while they are learned: TensorBoard's curves and a history file."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ..analysis.layer_names import network_order
from ..analysis.norm_warnings import log_once, norm_warnings
from ..norms.base import WhiteningNorm
from ..ops import importance_ratios
from ..utils.model_wrappers import unwrap_model
from .history import (
    FILE_NAME,
    HistoryLayer,
    Ratios,
    append_snapshot,
    start_history,
)
from .layers import LayerRatios
from .summary import MOMENTS, averages_by_part


@HOOKS.register_module(force=True)
class RatioHook(Hook):
    """Follows the importance ratios of layers through a training.

    Before the first iteration, every ``interval`` iterations and after the
    last one it

    - gives the ratios, averaged over each part of the network and over all
      of it, to the visualizer, as ``ratios_mean/backbone/bn`` and
      ``ratios_var/box_head/in``: with ``TensorboardVisBackend`` among the
      ``vis_backends`` they are curves while the training runs;
    - adds a line to ``ratio_history.jsonl`` in the work directory, for
      ``tools/ratios.py``. A resumed training goes on with that file from the
      iteration that it resumes; another training's is kept under another
      name.

    Before the first iteration it also warns of norms that cannot do their
    work with the weights that were loaded, as
    :func:`~whiten_plugins.analysis.norm_warnings` says; once, where
    ``whiten train`` did so already.

    The first process does this alone, with a single copy from the GPU, so
    that it costs nothing to speak of. A network that learns no ratios gets a
    warning and no file.

    Args:
        interval: Iterations between snapshots. Default: 50.
        per_layer: Whether to give the visualizer the ratios of each layer
            too, as ``ratios_mean_layers/backbone.layer1.0.bn2/bn``. The
            history always has them. Default: False.

    Raises:
        ValueError: If ``interval`` is not positive.

    Examples::

        >>> custom_hooks = [dict(type='RatioHook', interval=50)]
    """

    priority = 'NORMAL'

    def __init__(self, interval: int = 50, per_layer: bool = False) -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1, got {interval}')
        self.interval = interval
        self.per_layer = per_layer

    @master_only
    def before_train(self, runner: Runner) -> None:
        model = unwrap_model(runner.model)
        cfg = getattr(runner, 'cfg', {})
        log_once(norm_warnings(model, cfg, loaded=True))
        self._norms = ratio_norms(model)
        self._file = Path(runner.work_dir) / FILE_NAME
        if not self._norms:
            print_log(
                'RatioHook: no layer of the model learns ratios',
                logger='current',
                level=logging.WARNING,
            )
            return
        self._layers = [
            HistoryLayer(name, norm.description.type, norm.stats)
            for name, norm in self._norms.items()
        ]
        moved = start_history(
            self._file,
            self._layers,
            runner.iter,
            interval=self.interval,
            max_iters=getattr(runner, 'max_iters', None),
        )
        if moved is not None:
            print_log(
                f'RatioHook: {self._file} was of another training and is now '
                f'{moved.name}',
                logger='current',
                level=logging.WARNING,
            )
        if runner.iter == 0:
            self._take_snapshot(runner, 0, 0)

    @master_only
    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: dict | None = None,
    ) -> None:
        due = self.every_n_train_iters(runner, self.interval)
        if self._norms and (due or self.is_last_train_iter(runner)):
            self._take_snapshot(runner, runner.iter + 1, runner.epoch + 1)

    def _take_snapshot(
        self, runner: Runner, iteration: int, epoch: int
    ) -> None:
        mean, var = read_norms(self._norms.values())
        append_snapshot(self._file, iteration, epoch, mean, var)
        layers = [
            LayerRatios(layer.name, layer.type, layer.stats, [m], [v])
            for layer, m, v in zip(self._layers, mean, var)
        ]
        scalars = dict(self._scalars(layers))
        runner.visualizer.add_scalars(scalars, step=iteration)

    def _scalars(
        self, layers: list[LayerRatios]
    ) -> Iterator[tuple[str, float]]:
        averages = averages_by_part(layers)
        for moment in MOMENTS:
            for part, average in averages.items():
                group = f'ratios_{moment}/{part.replace(" ", "_")}'
                for stat, ratio in average[moment].items():
                    yield f'{group}/{stat}', ratio
            for layer in layers if self.per_layer else ():
                group = f'ratios_{moment}_layers/{layer.name}'
                for stat, ratio in getattr(layer, moment).items():
                    yield f'{group}/{stat}', ratio


def ratio_norms(model: nn.Module) -> dict[str, WhiteningNorm]:
    """Return the layers that learn ratios, by name in network order."""
    norms = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, WhiteningNorm) and module.has_ratios
    }
    return {name: norms[name] for name in network_order(list(norms))}


def read_norms(norms: Iterable[WhiteningNorm]) -> tuple[Ratios, Ratios]:
    """Read the ratios of layers with a single copy from their device.

    Args:
        norms: layers that learn ratios, all on one device.

    Returns:
        For each layer the ratios of its means, and those of its
        (co)variances, averaged over its ratio groups.
    """
    norms = list(norms)
    logits: list[Tensor] = [
        # one set of logits serves for both where they are tied
        getattr(norm, 'mean_weight' if norm.tie_weight else f'{moment}_weight')
        for moment in MOMENTS
        for norm in norms
    ]
    flat = torch.cat([values.detach().flatten() for values in logits])
    rows = flat.double().cpu().split([values.numel() for values in logits])
    ratios = [
        importance_ratios(
            row.view(-1, len(norm.stats)),
            norm.stats,
            norm.stats,
            norm.spec.hard,
        )
        .mean(0)
        .tolist()
        for norm, row in zip(norms + norms, rows)
    ]
    return ratios[: len(norms)], ratios[len(norms) :]
