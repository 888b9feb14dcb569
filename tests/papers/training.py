"""Multilayer perceptrons on scikit-learn's digits, as the papers' on MNIST."""

from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

NUM_TRAINING = 1200
Norm = Callable[[int], nn.Module]


def _digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(
        len(images), generator=torch.Generator().manual_seed(0)
    )
    images = torch.tensor(images, dtype=torch.float32) / 16
    return images[order], torch.tensor(labels)[order]


IMAGES, LABELS = _digits()


def perceptron(norm: Norm, depth: int, width: int) -> nn.Sequential:
    """Build ``depth`` linear layers, each but the last with norm and ReLU."""
    layers, channels = [], IMAGES.shape[1]
    for _ in range(depth - 1):
        layers += [nn.Linear(channels, width), norm(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.Linear(channels, 10))


def train(
    norm: Norm,
    learning_rate: float,
    batches: list[Tensor],
    depth: int = 4,
    width: int = 32,
    seed: int = 0,
) -> tuple[float, float]:
    """Train on batches of indices by plain SGD.

    Returns:
        The training loss at the end, in training mode on all training
        images, and the accuracy on the others in evaluation mode.
    """
    torch.manual_seed(seed)
    model = perceptron(norm, depth, width)
    optimizer = torch.optim.SGD(model.parameters(), learning_rate)
    for batch in batches:
        loss = F.cross_entropy(model(IMAGES[batch]), LABELS[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    everything = torch.arange(NUM_TRAINING)
    with torch.no_grad():
        loss = F.cross_entropy(model(IMAGES[everything]), LABELS[everything])
        model.eval()
        found = model(IMAGES[NUM_TRAINING:]).argmax(1)
    accuracy = (found == LABELS[NUM_TRAINING:]).float().mean()
    return loss.item(), accuracy.item()


def full_batches(steps: int) -> list[Tensor]:
    """Return the whole training set, ``steps`` times."""
    return [torch.arange(NUM_TRAINING)] * steps


def mini_batches(size: int, epochs: int, seed: int = 0) -> list[Tensor]:
    """Return shuffled batches of ``size`` images."""
    generator = torch.Generator().manual_seed(seed)
    return [
        batch
        for _ in range(epochs)
        for batch in torch.randperm(NUM_TRAINING, generator=generator).split(
            size
        )
    ]
