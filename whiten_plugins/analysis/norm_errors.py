"""Errors of norms in a running model, named by the layer."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.config import Config
from torch import nn

from ..config.errors import ConfigError
from ..placement.norm_types import num_channels
from ..utils.model_wrappers import unwrap_model
from .norms import source_of


@contextmanager
def named_norm_errors(model: nn.Module, cfg: Config) -> Iterator[None]:
    """Say which layer an input left nothing to normalize.

    A norm that raises ``ValueError`` knows the shape of its input and what
    would work, but not where in the model it stands. Any norm is named,
    torch's BatchNorm too; other errors pass as they are.

    Args:
        model: the model that runs inside, maybe wrapped for several
            processes.
        cfg: the whole config it was built from.

    Raises:
        ConfigError: for the error of a norm, in one line: the config key
            that put it there, its name, its type and what it said.
    """
    try:
        yield
    except ValueError as error:
        model = unwrap_model(model)
        names = {module: name for name, module in model.named_modules()}
        norm = _failing_norm(error)
        if norm is None or norm not in names:
            raise
        key = source_of(names[norm], norm, cfg)
        raise ConfigError(
            f'{key}: {names[norm]} ({type(norm).__name__}): {error}'
        ) from error


def _failing_norm(error: ValueError) -> nn.Module | None:
    """Return the norm in whose ``forward`` an error was raised."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = frame.f_locals.get('self')
        if isinstance(module, nn.Module) and num_channels(module) is not None:
            return module
    return None
