"""What the studies on digits measure, a function each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from benchmarks.studies.digits import (
    Network,
    NormCfg,
    accuracy,
    batches,
    condition,
    digits,
    features,
    shares,
    train,
    trained,
)
from benchmarks.studies.study import Cell
from whiten_plugins import fold_norms
from whiten_plugins.calibration import batch_average
from whiten_plugins.checkpoints.hardening import harden_logits

Metrics = dict[str, float]

# As those of the toolkits' networks, by the same names.
NORMS: dict[str, dict[str, Any]] = {
    'BN': dict(type='BN'),
    'GN': dict(type='GN', num_groups=8),
    'SN': dict(type='SN'),
    'SW': dict(type='SW'),
    'GW': dict(type='GW', num_groups=8),
    'ItN': dict(type='ItN'),
    'BW': dict(type='BW'),
}
BN = NORMS['BN']


def cells(
    rows: Mapping[str, Sequence[NormCfg]],
    columns: Mapping[str, Any],
    measure: Callable[..., Metrics],
) -> tuple[Cell, ...]:
    """Return a cell for every row and column.

    Args:
        rows: the norms of each.
        columns: what each hands to ``measure``.
        measure: a function of norms, that, and the seed.
    """

    def run(norms: Sequence[NormCfg], argument: Any) -> Callable[[int], Any]:
        return lambda seed: measure(norms, argument, seed)

    return tuple(
        Cell(row, column, measure=run(norms, argument))
        for column, argument in columns.items()
        for row, norms in rows.items()
    )


def learned(
    norms: Sequence[NormCfg], batch_sizes: Sequence[int], seed: int
) -> Metrics:
    """Train, and return accuracy and ratios."""
    network = trained(norms, seed, batch_sizes)
    return {'accuracy': accuracy(network), **shares(network)}


def learned_by(norms: Sequence[NormCfg], optimizer: str, seed: int) -> Metrics:
    """Train with an optimizer, and return accuracy and ratios."""
    network = trained(norms, seed, (8, 8), optimizer)
    return {'accuracy': accuracy(network), **shares(network)}


def conditioned(
    norms: Sequence[NormCfg], batch_size: int, seed: int
) -> Metrics:
    """Train, and return accuracy and the condition that the norms leave."""
    network = trained(norms, seed, (batch_size,))
    return {'accuracy': accuracy(network), 'condition': condition(network)}


def hardened(norms: Sequence[NormCfg], how: str, seed: int) -> Metrics:
    """Train, make ratios hard as ``how`` says, and test.

    Args:
        norms: the norms.
        how: 'soft', 'hard', 'fine-tuned', 'from scratch' or 'folded'.
        seed: of weights and order.
    """
    network = trained(norms, seed, (8, 8))
    if how != 'soft':
        choices = {
            name: harden_logits(logits.detach())
            for name, logits in network.named_parameters()
            if name.endswith(('mean_weight', 'var_weight'))
        }
        if how == 'from scratch':
            torch.manual_seed(seed)
            network = Network(*norms)
        network.load_state_dict(choices, strict=False)
        if how == 'from scratch':
            train(network, (8, 8))
        elif how != 'hard':
            train(network, (8,), rate=0.2)
    network.eval()
    if how == 'folded':
        hard = Network(*(dict(norm_cfg, hard=True) for norm_cfg in norms))
        hard.load_state_dict(network.state_dict())
        network = fold_norms(hard.eval(), input_shapes=((1, 8, 8),))
    return {'accuracy': accuracy(network), 'milliseconds': _time(network)}


def _time(network: torch.nn.Module) -> float:
    """Return the time for the test images, the shortest of 20."""
    images = digits()[0][-64:]
    taken = []
    with torch.no_grad():
        for _ in range(20):
            start = time.perf_counter()
            network(images)
            taken.append(time.perf_counter() - start)
    return min(taken) * 1e3


def averaged(
    norms: Sequence[NormCfg], which: tuple[int, bool], seed: int
) -> Metrics:
    """Train and test with moving or batch averages of the statistics.

    Args:
        norms: the norms.
        which: images a batch, and whether the batch average is taken.
        seed: of weights and order.
    """
    batch_size, average = which
    network = trained(norms, seed, (batch_size,))
    if average:
        batch_average(network, batches(batch_size))
    return {'accuracy': accuracy(network)}


def converted(norms: Sequence[NormCfg], how: str, seed: int) -> Metrics:
    """Train with BN, continue with other norms, and test.

    Args:
        norms: the other norms.
        how: 'from BN' or 'from scratch'.
        seed: of weights and order.
    """
    before = trained([BN], seed, (8, 8))
    network = Network(*norms)
    found = {}
    if how == 'from BN':
        network.load_state_dict(before.state_dict(), strict=False)
        old, new = features(before), features(network)
        found['features off'] = ((new - old).norm() / old.norm()).item()
        found['accuracy at the start'] = accuracy(network)
    train(network, (8,), rate=0.2)
    return {**found, 'accuracy': accuracy(network)}
