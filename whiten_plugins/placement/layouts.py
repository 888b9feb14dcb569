"""Norms in the place of LayerNorms, whose channels may come last.

LayerNorm over channels stands in two layouts: channels last, on tokens
(N, L, C) and maps (N, H, W, C), as in Swin; and channels first, on maps
(N, C, H, W), in the subclasses of torchvision, timm and mmpretrain for
ConvNeXt, of which mmpretrain's is told the layout with each call
(``data_format``). A norm that takes its place is given its input with the
channels first and gives its output as it came.

Its statistics are those that it has everywhere: of all positions of an image
(or of the batch), where LayerNorm's are of one position. GW with one group is
LayerNorm over the image, with more it decorrelates groups of channels (GW
appendix G replaces all LayerNorms of a Transformer).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy

from ..norms.tracing import as_node

FIRST, LAST = 'channel_first', 'channel_last'


class LayoutMixin(nn.Module):
    """Make a norm take its channels where a LayerNorm had them."""

    channel_layout = LAST

    def forward(self, x: Tensor, data_format: str | None = None) -> Tensor:
        if isinstance(x, Proxy):
            given = {'data_format': data_format} if data_format else {}
            return as_node(self, x, **given)
        if (data_format or self.channel_layout) == FIRST:
            return super().forward(x)
        x = x.movedim(-1, 1)
        if x.ndim != 3:
            y = super().forward(x)
        else:  # tokens become a map, which torch's 2d norms ask for
            y = super().forward(x.unsqueeze(-1)).squeeze(-1)
        return y.movedim(1, -1)

    def __reduce__(self) -> tuple[Any, ...]:
        kind = type(self).__mro__[2]
        return _new, (kind, self.channel_layout), self.__dict__


def use_layout(norm: nn.Module, layout: str) -> None:
    """Give a norm the layout of a LayerNorm.

    It stays what it is, an instance of its class by its name, with the same
    keys in its state dict.

    Args:
        norm: changed in place.
        layout: ``FIRST`` or ``LAST``.
    """
    kind: type = type(norm)
    norm.__class__ = _class(kind, layout)


@cache
def _class(kind: type, layout: str) -> type[nn.Module]:
    members = {
        '__doc__': kind.__doc__,
        '__module__': kind.__module__,
        'channel_layout': layout,
    }
    return type(kind.__name__, (LayoutMixin, kind), members)


def _new(kind: type, layout: str) -> nn.Module:
    """Make the empty norm that copying and pickling fill."""
    made = _class(kind, layout)
    return made.__new__(made)


def layer_norms(model: nn.Module) -> dict[str, nn.LayerNorm]:
    """Return the LayerNorms over channels, by name, in module order."""
    return {
        name: module
        for name, module in model.named_modules()
        if name
        and isinstance(module, nn.LayerNorm)
        and len(module.normalized_shape) == 1
    }


def layout_of(norm: nn.LayerNorm) -> str:
    """Find the layout of a LayerNorm's input.

    Args:
        norm: torch's, or of a class derived from it; of such a one a map with
            the channels first is tried.
    """
    if type(norm) is nn.LayerNorm:
        return LAST
    channels = norm.normalized_shape[0]
    like = next(norm.parameters(), torch.empty(0))
    image = torch.zeros(1, channels, 1, channels + 1).to(like)
    try:
        with torch.no_grad():
            norm(image)
    except (RuntimeError, AssertionError):
        return LAST
    return FIRST
