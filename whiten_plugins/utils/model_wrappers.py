"""Models as they were built, without what training wraps around them."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from torch import nn


def unwrap_model(model: nn.Module) -> nn.Module:
    """Take the wrapper for data parallelism off a model, if it has one."""
    while is_model_wrapper(model):
        model = model.get_submodule('module')
    return model
