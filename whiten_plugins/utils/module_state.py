"""The state of a network, put back after it was used."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dist import get_rank
from torch import Tensor, nn


@contextmanager
def restored_afterwards(model: nn.Module, seed: int = 0) -> Iterator[None]:
    """Put buffers, modes and random number generators back afterwards.

    Args:
        model: whose buffers and modes to keep.
        seed: of Python's, NumPy's and torch's generators meanwhile, plus
            the rank of this process.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    tensors = [*model.parameters(), *model.buffers()]
    devices = {t.device.index for t in tensors if t.is_cuda}
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            _seed(seed + get_rank(), devices)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        for module, training in modes:
            module.training = training
        for module, name, buffer, value in buffers:
            module._buffers[name] = buffer.copy_(value)


def copy_model(model: nn.Module) -> nn.Module:
    """Copy a model whole.

    Weights that hooks computed with a gradient (pruning, weight norm),
    which :func:`copy.deepcopy` refuses, are copied too.
    """
    computed = {
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    return copy.deepcopy(model, computed)


def _seed(seed: int, devices: Iterable[int]) -> None:
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed would reach GPUs whose state nobody has kept.
    torch.default_generator.manual_seed(seed)
    for device in devices:
        torch.cuda.default_generators[device].manual_seed(seed)
