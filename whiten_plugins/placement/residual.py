"""A norm between a block's residual addition and its last activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .errors import PlacementError

# The attribute of the norm; the authors' checkpoints of IBN-b have it.
ADDED = 'IN'
# Whose residual blocks compute what NormAfterAddition does.
_KNOWN = (
    'mmdet.models.backbones.resnet',
    'mmseg.models.backbones.resnet',
    'torchvision.models.resnet',
)
_EXTENDED: dict[type, type] = {}


class NormAfterAddition(nn.Module):
    r"""Make a residual block normalize the sum of its branches.

    :math:`y = \mathrm{ReLU}(\mathrm{norm}(x + F(x)))`, where IBN-Net's
    IBN-b has InstanceNorm. Mixed into the class of a toolkit's BasicBlock or
    Bottleneck by :func:`add_norm`.
    """

    inner_norms: tuple[str, ...]

    def forward(self: Any, x: Tensor) -> Tensor:
        """Compute the block."""
        if getattr(self, 'with_cp', False) and x.requires_grad:
            total = checkpoint(self._sum, x, use_reentrant=False)
        else:
            total = self._sum(x)
        return self.relu(getattr(self, ADDED)(total))

    def _sum(self: Any, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        for number, norm in enumerate(self.inner_norms, 1):
            x = getattr(self, norm)(getattr(self, f'conv{number}')(x))
            if number < len(self.inner_norms):
                x = self.relu(x)
        return x + shortcut

    def __reduce_ex__(self, protocol: Any) -> tuple:
        # The class is made at run time: pickle finds it by what it extends.
        return _empty, (type(self).__mro__[2],), self.__dict__


def check_block(block: nn.Module, name: str) -> None:
    """Check that a norm can be added to a block.

    Raises:
        PlacementError: if it computes something else.
    """
    if isinstance(block, NormAfterAddition):
        return
    kind = type(block)
    known = getattr(kind.forward, '__module__', None) in _KNOWN
    if known and not getattr(block, 'with_plugins', False):
        return
    raise PlacementError(
        f'whiten_at: {name} is {kind.__module__}.{kind.__name__}'
        f'{" with plugins" if known else ""}; a norm after the residual '
        f'addition needs a BasicBlock or Bottleneck of {", ".join(_KNOWN)}'
    )


def add_norm(block: Any, norm: nn.Module, inner_norms: Sequence[str]) -> None:
    """Put a norm after the residual addition of a block, in place.

    Args:
        block: a BasicBlock or Bottleneck that :func:`check_block` passes.
        norm: the norm, of as many channels as the block gives.
        inner_norms: attributes of the block's own norms, in order.
    """
    if not isinstance(block, NormAfterAddition):
        block.__class__ = _with_norm(type(block))
        block.inner_norms = tuple(inner_norms)
    setattr(block, ADDED, norm)


def _with_norm(kind: Any) -> Any:
    if kind in _EXTENDED:
        return _EXTENDED[kind]
    members = {
        '__module__': kind.__module__,
        '__qualname__': kind.__qualname__,
        '__doc__': f'{kind.__module__}.{kind.__name__} with a norm after its '
        'residual addition.',
    }
    made = type(kind.__name__, (NormAfterAddition, kind), members)
    return _EXTENDED.setdefault(kind, made)


def _empty(kind: type[nn.Module]) -> Any:
    made = _with_norm(kind)
    return made.__new__(made)
