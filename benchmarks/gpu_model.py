"""What the norms would cost on a GPU, from compiled kernels and counts.

No GPU is needed, and none is used: this is a model, not a measurement. It
reads the compiled kernels (registers, shared memory, spills, instructions),
counts launches, torch operators and compilations, and measures the host's
time with the launches left out. :data:`.gpu_times.ASSUMPTIONS` says what the
times rest on.

::

    python -m benchmarks.gpu_model measure NAME
    python -m benchmarks.gpu_model show NAME
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import triton
from torch import nn

from benchmarks import gpu_kernels
from benchmarks.gpu_kernels import Launch
from benchmarks.gpu_table import SHAPES, markdown
from benchmarks.gpu_times import ASSUMPTIONS, OPERATOR, batch_norm, modelled
from benchmarks.measure import step
from whiten_plugins import norms
from whiten_plugins.utils.files import write_texts
from whiten_plugins.utils.machine import describe_machine

RESULTS = Path(__file__).parent / 'results' / 'gpu_model.json'

NORMS: dict[str, Callable[[int], nn.Module]] = {
    'SN': norms.SN,
    'SW': norms.SW,
    'GW': norms.GW,
}
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}
FORMATS = {
    'contiguous': torch.contiguous_format,
    'channels_last': torch.channels_last,
}


def launches() -> Iterator[dict]:
    """Yield the numbers of launches, by norm and memory format."""
    for name, build in NORMS.items():
        for label, memory_format in FORMATS.items():
            x = torch.zeros(2, 256, 40, 64)
            x = x.contiguous(memory_format=memory_format)
            counts = gpu_kernels.count_launches(build(256), x)
            row: dict[str, Any] = {'norm': name, 'format': label}
            for direction, found in zip(('forward', 'backward'), counts):
                row[direction] = dict(zip(('triton', 'torch'), found.total()))
                row[f'{direction} torch'] = dict(found.torch.most_common())
            yield row


def host(repeats: int) -> Iterator[dict]:
    """Yield microseconds of the thread for a step, beside BN's.

    Of the processor, which other work on the machine may share; launches of
    both run to the point where the GPU's part would begin, or for BN, which
    has no such point on a CPU, to their end on a tiny input.
    """
    shape = (2, 16, 8, 8)
    x, grad = torch.randn(shape).requires_grad_(), torch.randn(shape)
    base = nn.BatchNorm2d(16)
    for name, build in NORMS.items():
        norm = build(16)
        with gpu_kernels.recording(90) as made:
            step(norm, x, grad)
        with gpu_kernels.stubbed(made):
            seconds = _in_turns(
                lambda norm=norm: step(norm, x, grad),
                lambda: step(base, x, grad),
                repeats,
            )
        own, of_base = (sorted(values) for values in seconds)
        yield {
            'norm': name,
            'microseconds': statistics.median(own) * 1e6,
            'BN': statistics.median(of_base) * 1e6,
            'quartiles': [q * 1e6 for q in statistics.quantiles(own, n=4)],
        }


def _in_turns(
    first: Callable, second: Callable, repeats: int
) -> tuple[list[float], list[float]]:
    found: tuple[list[float], list[float]] = [], []
    for number in range(repeats + 20):
        for run, seconds in zip((first, second), found):
            start = time.thread_time()
            run()
            if number >= 20:
                seconds.append(time.thread_time() - start)
    return found


def random_shapes(
    count: int, channels: int, seed: int = 0
) -> list[tuple[int, int, int, int]]:
    """Return shapes of a multi-scale detector's maps: two images each."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        short = draw.randrange(480, 801, 32)
        long = min(1333, round(short * draw.uniform(1, 2)))
        stride = draw.choice((4, 8, 16, 32))
        sides = [-(-side // 32) * 32 // stride for side in (short, long)]
        draw.shuffle(sides)
        found.append((2, channels, *sides))
    return found


def compilations(count: int = 200) -> Iterator[dict]:
    """Yield distinct compilations over random shapes."""
    for name, build in NORMS.items():
        for label, memory_format in FORMATS.items():
            norm = build(256)
            with gpu_kernels.recording() as made:
                for shape in random_shapes(count, 256):
                    x = torch.empty(shape, memory_format=memory_format)
                    x.requires_grad_()
                    norm(x).backward(torch.empty_like(x))
            found = gpu_kernels.distinct(made)
            yield {
                'norm': name,
                'format': label,
                'shapes': count,
                'compilations': found.total(),
                'kernels': dict(found),
            }


def compiled(capabilities: list[int]) -> Iterator[dict]:
    """Yield what every kernel takes of every chip: the most of its variants.

    A variant is one of norm, memory format and dtype.
    """
    for capability in capabilities:
        most: dict[str, dict[str, int]] = {}
        for launch in _variants(capability):
            found = gpu_kernels.usage(launch.compiled)
            rows = launch.options.get('ROWS', 1)
            row = most.setdefault(f'{launch.kernel} {rows}', {})
            for key in ('registers', 'shared', 'spilled'):
                row[key] = max(row.get(key, 0), getattr(found, key))
        for kernel, row in sorted(most.items()):
            yield {'capability': capability, 'kernel': kernel, **row}


def _variants(capability: int) -> Iterator[Launch]:
    for build in NORMS.values():
        for dtype in DTYPES.values():
            for memory_format in FORMATS.values():
                x = torch.zeros(2, 128, 40, 64, dtype=dtype)
                x = x.contiguous(memory_format=memory_format)
                yield from gpu_kernels.compile_step(build, x, capability)


def times() -> Iterator[dict]:
    """Yield modelled microseconds of the kernels, and of BatchNorm."""
    for name, build in NORMS.items():
        for label, dtype in DTYPES.items():
            for shape in SHAPES:
                x = torch.empty(shape, dtype=dtype)
                made = gpu_kernels.compile_step(build, x, 90)
                yield {
                    'norm': name,
                    'dtype': label,
                    'shape': list(shape),
                    **modelled(made, shape, x.element_size()),
                    'BN': batch_norm(shape, x.element_size()),
                }


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[dict]]] = {
    'launches': lambda args: launches(),
    'host': lambda args: host(args.repeats),
    'compilations': lambda args: compilations(),
    'times': lambda args: times(),
    'compiled': lambda args: compiled(args.capabilities),
}


def measure(args: argparse.Namespace) -> dict:
    """Return the parts of the figures that are asked for."""
    torch.set_num_threads(1)
    return {
        'machine': describe_machine(torch.device('cpu')),
        'triton': triton.__version__,
        'assumptions': ASSUMPTIONS,
        **{part: list(PARTS[part](args)) for part in args.parts},
    }


def show(found: dict) -> str:
    """Return the figures as Markdown."""
    machine = found['machine']
    where = f'{machine["chip"]}, torch {machine["torch"]}'
    parts = [
        f'Triton {found["triton"]}; host: {where}, {machine["date"]}',
        markdown(
            ('norm', 'format', 'forward', 'backward', 'compilations'),
            [_counts(*rows) for rows in _paired(found)],
        ),
        markdown(
            ('norm', 'host, us', 'BN', 'ratio'),
            [
                (
                    row['norm'],
                    f'{row["microseconds"]:.0f}',
                    f'{row["BN"]:.0f}',
                    f'{row["microseconds"] / row["BN"]:.1f}',
                )
                for row in found['host']
            ],
        ),
        markdown(
            ('norm', 'dtype', 'shape', 'passes / BN', 'GPU / BN', 'with host'),
            [_ratios(row, found) for row in found['times']],
        ),
        markdown(
            ('sm', 'kernel and rows', 'registers', 'shared, B', 'spilled, B'),
            [tuple(row.values()) for row in found['compiled']],
        ),
        '\n'.join(f'- {line}' for line in found['assumptions']),
    ]
    return '\n\n'.join(parts)


def _ratios(row: dict, found: dict) -> tuple:
    """Return a row of ratios to BatchNorm: the GPU's alone, and the whole."""
    (counts, *_) = (v for v in found['launches'] if v['norm'] == row['norm'])
    (host_times,) = (v for v in found['host'] if v['norm'] == row['norm'])
    operators = counts['forward']['torch'] + counts['backward']['torch']
    gpu = row['passes'] + row['small'] + OPERATOR * operators
    whole = max(gpu, host_times['microseconds'])
    ratios = (
        row['passes'] / row['BN'],
        gpu / row['BN'],
        whole / max(row['BN'], host_times['BN']),
    )
    shape = 'x'.join(map(str, row['shape']))
    return row['norm'], row['dtype'], shape, *(f'{r:.2f}' for r in ratios)


def _paired(found: dict) -> Iterator[tuple[dict, dict]]:
    yield from zip(found['launches'], found['compilations'])


def _counts(launched: dict, made: dict) -> tuple:
    directions = (
        f'{launched[name]["triton"]} + {launched[name]["torch"]}'
        for name in ('forward', 'backward')
    )
    number = f'{made["compilations"]} over {made["shapes"]} shapes'
    return launched['norm'], launched['format'], *directions, number


def main() -> None:
    """Measure and keep the figures under a name, or show them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('action', choices=('measure', 'show'))
    parser.add_argument('name', help='of the state of the code, as in "after"')
    parser.add_argument(
        '--capabilities',
        type=int,
        nargs='+',
        choices=gpu_kernels.PROCESSORS,
        default=list(gpu_kernels.PROCESSORS),
        help='chips to compile for (default: all)',
    )
    parser.add_argument(
        '--parts',
        nargs='+',
        choices=PARTS,
        default=list(PARTS),
        help='what to measure; the others stay as they are (default: all)',
    )
    parser.add_argument('--repeats', type=int, default=300)
    args = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if args.action == 'measure':
        kept = found.get(args.name, {})
        found[args.name] = {**kept, **measure(args)}
        text = json.dumps(found, indent=1) + '\n'
        write_texts({RESULTS: text})
    missing = set(PARTS) - set(found.get(args.name, {}))
    if missing:
        parser.error(f'no {", ".join(sorted(missing))} of {args.name!r} yet')
    print(show(found[args.name]))


if __name__ == '__main__':
    main()
