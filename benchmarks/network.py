"""Whole training steps of ResNet-50 with whitening placed in it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from rich.progress import track
from torch import Tensor, nn

from benchmarks.layers import BASE
from benchmarks.measure import compared, interleaved, peak_bytes
from whiten_plugins.placement import place_norms
from whiten_plugins.utils.machine import describe_machine

NETWORKS = {
    'SW sw14': (dict(type='SW'), 'sw14'),
    'GW s1b2': (dict(type='GW'), 's1b2'),
    'SN all': (dict(type='SN'), 'all'),
    'SW all': (dict(type='SW'), 'all'),
}


def _step(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    model.zero_grad(set_to_none=True)


def _resnet(placement: tuple[dict, str] | None) -> nn.Module:
    from torchvision.models import resnet50

    model = resnet50(weights=None)
    if placement is not None:
        place_norms(model, *placement)
    return model


def run(
    sizes: Iterable[int],
    device: torch.device,
    dtype: torch.dtype,
    repeats: int,
    batch_size: int = 2,
) -> dict:
    """Time training steps of every network at every image size.

    Args:
        sizes: height and width of the images.
        device: where to run.
        dtype: float32, or what autocast computes convolutions in.
        repeats: rounds that count.
        batch_size: images in a step.

    Returns:
        As ``layers.run``; peak memory is in GB.
    """
    results = {}
    for size in track(list(sizes), description='measuring'):
        images = torch.randn(batch_size, 3, size, size, device=device)
        labels = torch.zeros(batch_size, dtype=torch.long, device=device)
        models = {BASE: _resnet(None)}
        models |= {name: _resnet(where) for name, where in NETWORKS.items()}
        runs = {
            name: partial(_step, model.to(device), images, labels)
            for name, model in models.items()
        }
        mixed = torch.autocast(
            device.type, dtype, enabled=dtype is not torch.float32
        )
        with mixed:
            seconds = interleaved(runs, repeats, device, warm_up=2)
            found = compared(seconds, BASE)
            for name, step in runs.items():
                found[name]['peak'] = peak_bytes(step, device) / 1e9
        results[f'{size} px'] = found
    return {
        'title': f'ResNet-50 training step against {BASE}, '
        f'{batch_size} images, {dtype}',
        'row': 'network',
        'machine': describe_machine(device),
        'results': results,
        'summaries': {
            f'peak GB, {case}': {
                name: values['peak'] for name, values in found.items()
            }
            for case, found in results.items()
        },
    }
