"""Condition and stochastic disturbance of normalized Gaussian data.

Measured by ``whiten_plugins.diagnosis`` on the settings of two figures:

- ItN supplement Fig. 2: 60,000 examples of a Gaussian with d = 2 … 512
  dimensions, batches of 1024: condition of the covariance of the normalized
  output, and SND, of BN, whitening by ZCA and by 1 to 9 Newton iterations;
- GW Fig. 2: the output of an MLP of one and of two layers on 1024 Gaussian
  examples with 256 dimensions: condition (90 %) after GN and GW against the
  number of groups.

::

    python -m benchmarks.conditioning measure
    python -m benchmarks.conditioning draw
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor, nn

from whiten_plugins.diagnosis import NormDiagnosis, diagnose
from whiten_plugins.norms import BW, GW, ItN
from whiten_plugins.utils.machine import describe_machine

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / 'benchmarks' / 'results' / 'conditioning.json'
FIGURES = ROOT / 'docs' / 'figures'
DIMENSIONS = tuple(2**power for power in range(1, 10))
EXAMPLES, BATCH = 60_000, 1024
ITERATIONS = (1, 3, 5, 7, 9)
GROUPS = tuple(2**power for power in range(8))


def main() -> None:
    """Measure and write the results, or draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('action', choices=('measure', 'draw'))
    parser.add_argument(
        '--repeats', type=int, default=10, help='seeds to average over'
    )
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    if args.action == 'draw':
        draw(json.loads(RESULTS.read_text()))
        return
    start = time.process_time()
    found = {
        'dimensions': dimensions(args.repeats, args.seed),
        'groups': groups(args.repeats, args.seed),
        'about': {
            'command': ' '.join(
                ['python -m benchmarks.conditioning', *sys.argv[1:]]
            ),
            'examples': EXAMPLES,
            'batch': BATCH,
            'seeds': list(range(args.seed, args.seed + args.repeats)),
            'cpu seconds': round(time.process_time() - start),
            **describe_machine(torch.device('cpu')),
        },
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1, allow_nan=False) + '\n')


def dimensions(repeats: int, seed: int) -> list[dict[str, Any]]:
    """Measure ItN supplement Fig. 2, a row for each norm and dimension."""
    rows = []
    for size in DIMENSIONS:
        for name, norm in _batch_norms(size):
            found = [
                _only(norm, gaussian(size, EXAMPLES, seed + repeat))
                for repeat in range(repeats)
            ]
            rows.append(
                {
                    'dimension': size,
                    'norm': name,
                    **_summary(
                        'condition', [f.after.condition.k100 for f in found]
                    ),
                    **_summary(
                        'before', [f.before.condition.k100 for f in found]
                    ),
                    **_summary('snd', [f.noise.snd for f in found]),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def groups(repeats: int, seed: int) -> list[dict[str, Any]]:
    """Measure GW Fig. 2, a row for each norm, number of groups and depth."""
    rows = []
    for depth in (1, 2):
        data = [_mlp_output(depth, seed + repeat) for repeat in range(repeats)]
        for name, number, norm in _group_norms():
            found = [_only(norm, [x]) for x in data]
            rows.append(
                {
                    'layers': depth,
                    'norm': name,
                    'groups': number,
                    **_summary('k90', [f.after.condition.k90 for f in found]),
                    **_summary(
                        'before', [f.before.condition.k90 for f in found]
                    ),
                }
            )
            print(rows[-1], flush=True)
    return rows


def gaussian(size: int, examples: int, seed: int) -> Iterator[Tensor]:
    """Yield Gaussian batches of covariance A Aᵀ, with A Gaussian."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    for _ in range(examples // BATCH):
        white = torch.randn(
            BATCH, size, generator=generator, dtype=torch.float64
        )
        # One sample of so many elements has the same batch statistics, and
        # one covariance in place of one a sample.
        yield (white @ mix.mT).mT.unsqueeze(0)


def _mlp_output(depth: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, 256, generator=generator, dtype=torch.float64)
    for _ in range(depth):
        weight = torch.randn(256, 256, generator=generator).double() / 16
        x = (x @ weight.mT).relu()
    return x


def _batch_norms(size: int) -> Iterator[tuple[str, nn.Module]]:
    yield 'BN', nn.BatchNorm1d(size)
    yield 'DBN', BW(size, num_pergroup=size)
    for T in ITERATIONS:
        yield f'ItN, T = {T}', ItN(size, num_pergroup=size, T=T)


def _group_norms() -> Iterator[tuple[str, int, nn.Module]]:
    yield 'BN', 1, nn.BatchNorm1d(256)
    for number in GROUPS:
        yield 'GN', number, nn.GroupNorm(number, 256)
        yield 'GW', number, GW(256, num_groups=number, whitening='zca')


def _only(norm: nn.Module, batches: Any) -> NormDiagnosis:
    (found,) = diagnose(nn.Sequential(norm.double()), batches).norms
    return found


def _summary(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """Return mean and standard deviation over the seeds.

    They are None where one value is infinite: the covariance is singular.
    """
    known = all(map(math.isfinite, values))
    spread = stdev(values) if known and len(values) > 1 else None
    return {
        name: fmean(values) if known else None,
        f'{name} spread': spread,
    }


def draw(found: dict[str, Any]) -> None:
    """Draw both figures from the results."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    FIGURES.mkdir(parents=True, exist_ok=True)
    style = {'axes.spines.top': False, 'axes.spines.right': False}
    with pyplot.rc_context({**style, 'svg.hashsalt': 'conditioning'}):
        figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4))
        rows = found['dimensions']
        for panel, key, title in zip(
            panels, ('condition', 'snd'), ('Condition', 'SND')
        ):
            names = dict.fromkeys(row['norm'] for row in rows)
            for name in names:
                own = [row for row in rows if row['norm'] == name]
                panel.plot(
                    [row['dimension'] for row in own],
                    [row[key] for row in own],
                    marker='.',
                    label=name,
                )
            panel.set(xlabel='dimensions', ylabel=title, yscale='log')
            panel.set_xscale('log', base=2)
        panels[0].legend(frameon=False, fontsize=8)
        _save(figure, 'itn_conditioning')
        figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4), sharey=True)
        for panel, depth in zip(panels, (1, 2)):
            rows = [r for r in found['groups'] if r['layers'] == depth]
            for name in ('GN', 'GW'):
                own = [row for row in rows if row['norm'] == name]
                panel.plot(
                    [row['groups'] for row in own],
                    [row['k90'] for row in own],
                    marker='.',
                    label=name,
                )
            panel.axhline(
                rows[0]['before'], ls='--', color='grey', label='Base'
            )
            panel.axhline(rows[0]['k90'], ls=':', color='black', label='BN')
            layers = 'one layer' if depth == 1 else 'two layers'
            panel.set(xlabel='groups', title=layers, yscale='log')
            panel.set_xscale('log', base=2)
        panels[0].set_ylabel('condition (90 %)')
        panels[0].legend(frameon=False, fontsize=8)
        _save(figure, 'gw_conditioning')


def _save(figure: Any, name: str) -> None:
    figure.tight_layout()
    for suffix in ('svg', 'png'):
        metadata = {'Date': None} if suffix == 'svg' else {}
        figure.savefig(
            FIGURES / f'{name}.{suffix}', dpi=120, metadata=metadata
        )


if __name__ == '__main__':
    main()
