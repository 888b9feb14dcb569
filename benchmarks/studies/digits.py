"""A small network on scikit-learn's digits, for trainings of seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import whiten_plugins  # noqa: F401  registers the norms
from benchmarks.studies.trainings import STEP
from whiten_plugins.diagnosis import diagnose

TRAINING = 1200  # of the 1,797 digits; the others are tested
LEARNING_RATE = {'Adam': 1e-2, 'SGD': 0.1}
NormCfg = Mapping[str, Any]


class Network(nn.Sequential):
    """Three convolutions with norms on 8×8 pixels, and a classifier.

    Args:
        norm_cfgs: of the three norms, or one for all.
    """

    def __init__(self, *norm_cfgs: NormCfg) -> None:
        layers: list[nn.Module] = []
        channels = 1
        norms = norm_cfgs * 3 if len(norm_cfgs) == 1 else norm_cfgs
        for width, stride, norm_cfg in zip((16, 32, 32), (1, 2, 1), norms):
            layers += [
                nn.Conv2d(channels, width, 3, stride, 1, bias=False),
                _norm(norm_cfg, width),
                nn.ReLU(),
            ]
            channels = width
        super().__init__(
            *layers,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, 10),
        )


def _norm(norm_cfg: NormCfg, channels: int) -> nn.Module:
    from mmcv.cnn import build_norm_layer

    return build_norm_layer(dict(norm_cfg), channels)[1]


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Return all images and labels, shuffled; the first are for training."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(
        len(images), generator=torch.Generator().manual_seed(0)
    )
    images = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8)
    return images[order] / 16, torch.tensor(labels)[order]


def trained(
    norm_cfgs: Sequence[NormCfg],
    seed: int,
    batch_sizes: Sequence[int] = (8,),
    optimizer: str = 'Adam',
) -> Network:
    """Return a network trained from scratch, an epoch each batch size."""
    torch.manual_seed(seed)
    network = Network(*norm_cfgs)
    train(network, batch_sizes, optimizer)
    return network


def train(
    network: nn.Module,
    batch_sizes: Sequence[int] = (8,),
    optimizer: str = 'Adam',
    rate: float = 1.0,
) -> None:
    """Train an epoch for every batch size.

    A step takes the mean gradient of ``STEP`` images, whatever the batch.

    Args:
        network: what to train.
        batch_sizes: images that are normalized together, in every epoch.
        optimizer: 'Adam' or 'SGD'.
        rate: of its learning rate.
    """
    images, labels = digits()
    highest = LEARNING_RATE[optimizer] * rate
    step = getattr(torch.optim, optimizer)(network.parameters(), lr=highest)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        step, highest, total_steps=len(batch_sizes) * (TRAINING // STEP)
    )
    network.train()
    for batch_size in batch_sizes:
        for chosen in torch.randperm(TRAINING).split(STEP):
            step.zero_grad()
            for part in chosen.split(batch_size):
                loss = F.cross_entropy(network(images[part]), labels[part])
                (loss * len(part) / len(chosen)).backward()
            step.step()
            schedule.step()


def batches(batch_size: int) -> Iterator[Tensor]:
    """Yield the training images."""
    yield from digits()[0][:TRAINING].split(batch_size)


def accuracy(network: nn.Module) -> float:
    """Return the share of test images that a network knows."""
    images, labels = digits()
    network.eval()
    with torch.no_grad():
        found = network(images[TRAINING:]).argmax(1)
    return (found == labels[TRAINING:]).float().mean().item()


def features(network: nn.Sequential) -> Tensor:
    """Return what a network's classifier sees of the test images."""
    network.eval()
    with torch.no_grad():
        return nn.Sequential(*list(network)[:-1])(digits()[0][TRAINING:])


def shares(network: nn.Module) -> dict[str, float]:
    """Return the average share of every statistic, of mean and variance."""
    found = [
        module.ratios()
        for module in network.modules()
        if getattr(module, 'has_ratios', False)
    ]
    return {
        f'{moment} {name}': sum(f[moment][name] for f in found) / len(found)
        for moment in (('mean', 'var') if found else ())
        for name in found[0][moment]
    }


def condition(network: nn.Module) -> float:
    """Return the condition (90 %) after the norms, the median of them."""
    network.train()
    found = diagnose(network, list(batches(64))[:4])
    return median(norm.after.condition.k90 for norm in found.norms)
