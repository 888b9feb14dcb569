"""Times of the norms beside BatchNorm on a GPU, and what GPU it is."""

from __future__ import annotations

import shutil
import statistics
import subprocess
from collections.abc import Callable
from functools import partial

import torch
import triton
from torch import nn

from benchmarks.gpu_norms import NORMS
from benchmarks.measure import compared, interleaved, step
from whiten_plugins.utils.machine import describe_machine

SHAPES = (
    (2, 64, 200, 336),
    (2, 256, 50, 80),
    (16, 64, 56, 56),
    (8, 256, 28, 28),
)
"""As :mod:`benchmarks.layers`, which needs more than torch."""

LAST = torch.channels_last
CASES = (
    (torch.float32, torch.contiguous_format),
    (torch.float32, LAST),
    (torch.bfloat16, torch.contiguous_format),
    (torch.bfloat16, LAST),
)
TIMED = ('SN', 'SW', 'SW 5', 'GW', 'ItN')
_QUERY = 'driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit'


def describe(device: torch.device) -> dict[str, str]:
    """Return chip, clocks and versions."""
    found = {**describe_machine(device), 'triton': triton.__version__}
    if device.type != 'cuda':
        return found
    major, minor = torch.cuda.get_device_capability(device)
    found['capability'] = f'{major}.{minor}'
    found['cuda'] = str(torch.version.cuda)
    if shutil.which('nvidia-smi'):
        command = ['nvidia-smi', f'--query-gpu={_QUERY}', '--format=csv']
        command.append(f'--id={torch.cuda.get_device_properties(device).uuid}')
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stdout.strip().splitlines()
        if done.returncode == 0 and len(lines) == 2:
            pairs = zip(*(line.split(', ') for line in lines))
            found.update(pairs)
    return found


def measure(device: torch.device, repeats: int) -> list[dict]:
    """Time every norm in turns with BatchNorm, in rounds.

    Returns:
        For each dtype, memory format, shape and norm: milliseconds with the
        host and those of the GPU alone (a captured step, replayed), and both
        as ratios to BatchNorm.
    """
    found = []
    for dtype, memory_format in CASES:
        for shape in SHAPES:
            x, grad = (
                torch.randn(shape, device=device, dtype=dtype).contiguous(
                    memory_format=memory_format
                )
                for _ in range(2)
            )
            x.requires_grad_()
            modules = {'BN': nn.BatchNorm2d(shape[1]).to(device)}
            for name in TIMED:
                modules[name] = NORMS[name](shape[1]).to(device)
            with_host = {
                name: partial(step, module, x, grad)
                for name, module in modules.items()
            }
            alone = {
                name: _captured(run, device) for name, run in with_host.items()
            }
            whole = compared(interleaved(with_host, repeats, device), 'BN')
            gpu = compared(interleaved(alone, repeats, device), 'BN')
            for name in modules:
                found.append(
                    {
                        'norm': name,
                        'dtype': str(dtype).removeprefix('torch.'),
                        'format': 'channels_last'
                        if memory_format is LAST
                        else 'contiguous',
                        'shape': list(shape),
                        'with host': whole[name],
                        'GPU alone': gpu[name],
                    }
                )
    return found


def _captured(run: Callable[[], None], device: torch.device) -> Callable:
    """Return the replay of a graph of ``run``."""
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def means(times: list[dict]) -> list[dict]:
    """Return geometric means of the ratios over shapes."""
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for row in times:
        key = row['norm'], row['dtype'], row['format']
        groups.setdefault(key, []).append(row)
    return [
        {
            **dict(zip(('norm', 'dtype', 'format'), key)),
            **{
                kind: statistics.geometric_mean(
                    row[kind]['ratio'] for row in rows
                )
                for kind in ('with host', 'GPU alone')
            },
        }
        for key, rows in groups.items()
    ]


def markdown(header: tuple[str, ...], rows: list[tuple]) -> str:
    """Return a Markdown table."""
    lines = [header, tuple('---' for _ in header), *rows]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def show(found: dict) -> str:
    """Return machine, checks and times as Markdown, ready to paste."""
    machine = '; '.join(f'{k} {v}' for k, v in found['machine'].items())
    checks = [
        (row['check'], row['state'], row['detail'], f'{row["seconds"]:.1f}')
        for row in found['checks']
    ]
    parts = [machine, markdown(('check', 'state', 'saw', 'seconds'), checks)]
    if found['times']:
        rows = [
            (
                *(row[key] for key in ('norm', 'dtype', 'format')),
                'x'.join(map(str, row['shape'])),
                *(_cell(row[kind]) for kind in ('GPU alone', 'with host')),
            )
            for row in found['times']
        ]
        header = 'norm', 'dtype', 'format', 'shape', 'GPU alone', 'with host'
        parts.append(markdown(header, rows))
        rows = [
            (
                *(row[key] for key in ('norm', 'dtype', 'format')),
                *(f'{row[key]:.2f}' for key in ('GPU alone', 'with host')),
            )
            for row in means(found['times'])
        ]
        header = 'geometric mean', 'dtype', 'format', 'GPU alone', 'with host'
        parts.append(markdown(header, rows))
    return '\n\n'.join(parts) + '\n'


def _cell(result: dict) -> str:
    low, high = result['quartiles']
    return (
        f'{result["ratio"]:.2f} [{low:.2f}-{high:.2f}] '
        f'{result["milliseconds"]:.3f} ms'
    )
