"""Single norms against BatchNorm on the same tensors."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from rich.progress import track
from torch import nn

from benchmarks.measure import (
    compared,
    interleaved,
    peak_bytes,
    saved_bytes,
    step,
)
from whiten_plugins import norms
from whiten_plugins.utils.machine import describe_machine

BASE = 'BN'
SHAPES = (
    (2, 64, 200, 336),
    (2, 256, 50, 80),
    (16, 64, 56, 56),
    (8, 256, 28, 28),
)
DEFAULT_NORMS = (
    'GN',
    'SN',
    'SW',
    'SW:sw_type=3',
    'SW:sw_type=5',
    'GW',
    'ItN',
    'BW',
    'IW',
)
_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    BASE: nn.BatchNorm2d,
    'GN': lambda channels: nn.GroupNorm(32, channels),
    **{name: getattr(norms, name) for name in norms.__all__},
}


def builder(
    text: str, more: Mapping[str, Callable[..., nn.Module]]
) -> Callable[[int], nn.Module]:
    """Return what ``TYPE[:key=value,...]`` asks for, by channel count.

    Args:
        text: for example ``SW`` or ``SW:num_pergroup=8,sw_type=3``.
        more: types beside the family, BN and GN.

    Raises:
        ValueError: for an unknown type or a value that is no literal.
    """
    builders = {**_BUILDERS, **more}
    name, _, settings = text.partition(':')
    if name not in builders:
        raise ValueError(
            f'unknown norm {name!r}; there are {", ".join(builders)}'
        )
    arguments = {}
    for setting in filter(None, settings.split(',')):
        key, _, value = setting.partition('=')
        arguments[key] = ast.literal_eval(value)
    return lambda channels: builders[name](channels, **arguments)


def run_shape(
    shape: tuple[int, ...],
    names: Iterable[str],
    more: Mapping[str, Callable[..., nn.Module]],
    device: torch.device,
    dtype: torch.dtype,
    repeats: int,
) -> dict[str, dict]:
    """Time the norms named on one tensor.

    Returns:
        By name: milliseconds, ratio to BatchNorm with its quartiles, and
        saved and peak memory in input sizes.
    """
    generator = torch.Generator().manual_seed(0)
    x, grad = (
        torch.randn(shape, generator=generator).to(device, dtype)
        for _ in range(2)
    )
    x.requires_grad_()
    modules = {
        name: builder(name, more)(shape[1]).to(device)
        for name in dict.fromkeys((BASE, *names))
    }
    runs = {
        name: partial(step, module, x, grad)
        for name, module in modules.items()
    }
    found = compared(interleaved(runs, repeats, device), BASE)
    size = x.numel() * x.element_size()
    for name, module in modules.items():
        found[name]['saved'] = saved_bytes(module, x) / size
        found[name]['peak'] = peak_bytes(runs[name], device) / size
    return found


def run(
    shapes: Iterable[tuple[int, ...]],
    names: Iterable[str],
    more: Mapping[str, Callable[..., nn.Module]],
    device: torch.device,
    dtype: torch.dtype,
    repeats: int,
) -> dict:
    """Measure every norm on every shape.

    Args:
        shapes: (N, C, H, W) each.
        names: norms beside BatchNorm, as :func:`builder` takes them.
        more: types beside the family, BN and GN.
        device: where to run.
        dtype: of the tensors; parameters stay float32.
        repeats: rounds that count.

    Returns:
        What :mod:`.report` shows: ``results`` by shape and norm, and as
        ``summaries`` the geometric mean of the ratios to BatchNorm and the
        largest saved and peak memory in input sizes.

    Raises:
        ValueError: as :func:`builder`, or from a norm.
    """
    results = {
        'x'.join(map(str, shape)): run_shape(
            shape, names, more, device, dtype, repeats
        )
        for shape in track(list(shapes), description='measuring')
    }
    found = list(results.values())
    return {
        'title': f'forward + backward against {BASE}, {dtype}',
        'row': 'norm',
        'machine': describe_machine(device),
        'results': results,
        'summaries': {
            'all': {
                name: statistics.geometric_mean(
                    by_norm[name]['ratio'] for by_norm in found
                )
                for name in found[0]
            },
            **{
                key: {
                    name: max(by_norm[name][key] for by_norm in found)
                    for name in found[0]
                }
                for key in ('saved', 'peak')
            },
        },
    }
