"""Mixed precision without a GPU: bfloat16 autocast on the CPU."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.utils import apply_to
from torch import nn


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """``AmpOptimWrapper`` for the CPU.

    mmengine's asserts a GPU. On the CPU the low precision is bfloat16, whose
    range is float32's, so that losses need no scaling.

    Two kinds of modules stay in float32. mmcv's operators (RoIAlign,
    deformable convolution) have no bfloat16 kernel on the CPU. Dense heads
    hand their outputs to the box coder, and coordinates in bfloat16, with
    eight significant bits, would be rounded to whole pixels from 128 on.

    Args:
        **kwargs: As :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass in bfloat16 where that is safe."""
        with ExitStack() as stack:
            stack.enter_context(super().optim_context(model))
            stack.enter_context(torch.autocast('cpu', torch.bfloat16))
            for module in model.modules():
                wrap = _float32_wrapper(module)
                if wrap is not None:
                    module.forward = wrap(module.forward)
                    stack.callback(delattr, module, 'forward')
            yield


def _float32_wrapper(module: nn.Module) -> Callable | None:
    """Return the wrapper that keeps a module's forward in float32, if any."""
    bases = {base.__name__ for base in type(module).__mro__}
    if bases & {'BaseDenseHead'}:
        return _float32_outputs
    in_mmcv_ops = type(module).__module__.startswith('mmcv.ops.')
    if in_mmcv_ops or bases & {'BaseRoIExtractor'}:
        return _float32_throughout
    return None


def _float32_outputs(forward: Callable) -> Callable:
    @functools.wraps(forward)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return _to_float32(forward(*args, **kwargs))

    return wrapper


def _float32_throughout(forward: Callable) -> Callable:
    @functools.wraps(forward)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast('cpu', enabled=False):
            return forward(*_to_float32(args), **_to_float32(kwargs))

    return wrapper


def _to_float32(data: Any) -> Any:
    return apply_to(
        data,
        lambda x: isinstance(x, torch.Tensor) and x.is_floating_point(),
        lambda x: x.float(),
    )
