"""Receptive fields, followed operation by operation through a forward pass.

Along one axis a map has a field of r pixels of the image and a jump of j
pixels between neighbours. A window of k taps with stride s and dilation d
makes of them

    r' = r + (k - 1) d j,    j' = s j,

an enlargement by f divides the jump by f, and where branches meet the larger
field counts. What averages over a whole map, or over a RoI, sees a part of
the image that depends on the image: it has no size of its own.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

IMAGE, ROI = 'image', 'RoI'
aten = torch.ops.aten


@dataclass(frozen=True)
class Field:
    """What one position of a map sees of the image.

    Attributes:
        size: height and width in pixels.
        jump: pixels from a position to the next, down and across.
        pooled: 'image' or 'RoI' once a map or a RoI was pooled as a whole,
            then for good; else ''.
    """

    size: tuple[float, float] = (1.0, 1.0)
    jump: tuple[float, float] = (1.0, 1.0)
    pooled: str = ''

    @property
    def extent(self) -> int | str:
        """The longer side in pixels, or what was pooled."""
        return self.pooled or math.ceil(max(self.size))

    def window(
        self,
        kernel: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
    ) -> Field:
        """Return the field after a convolution or pooling."""
        return Field(
            _on_axes(
                lambda size, jump, k, d: size + (k - 1) * d * jump,
                self.size,
                self.jump,
                kernel,
                dilation,
            ),
            _on_axes(operator.mul, self.jump, stride),
            self.pooled,
        )

    def enlarge(
        self, factor: Sequence[float], taps: Sequence[int] = (1, 1)
    ) -> Field:
        """Return the field after an enlargement that mixes ``taps`` pixels."""
        seen = self.window(taps, (1, 1), (1, 1))
        jump = _on_axes(operator.truediv, self.jump, factor)
        return Field(seen.size, jump, self.pooled)

    def pool(self, what: str) -> Field:
        """Return the field after pooling a whole map ('image') or RoI."""
        kept = ROI if ROI in (self.pooled, what) else what
        return Field(self.size, self.jump, kept)


def _on_axes(
    function: Callable[..., float], *values: Sequence[float]
) -> tuple[float, float]:
    down, across = map(function, *values)
    return down, across


def merge(fields: Sequence[Field]) -> Field | None:
    """Return the field of what depends on all of these, None without any."""
    if not fields:
        return None
    pooled = {field.pooled for field in fields}
    return Field(
        _on_axes(max, *(field.size for field in fields), (0.0, 0.0)),
        _on_axes(max, *(field.jump for field in fields), (0.0, 0.0)),
        next((what for what in (ROI, IMAGE) if what in pooled), ''),
    )


class FieldTracker(TorchDispatchMode):
    """Knows the field of every tensor that is computed while it is on.

    Tensors that depend on nothing with a field, such as weights, have none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.suspensions = 0  # modules that it does not look into
        self._fields = WeakTensorKeyDictionary()

    def field(self, values: Any) -> Field | None:
        """Return the field of a tensor, or of all tensors in nested values."""
        found = (self._fields.get(tensor) for tensor in _tensors(values))
        return merge([field for field in found if field is not None])

    def assign(self, values: Any, field: Field | None) -> None:
        """Say which field a tensor has, or all in a nested value."""
        if field is not None:
            for tensor in _tensors(values):
                self._fields[tensor] = field

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple = (),
        kwargs: dict | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        followed = not self.suspensions
        field = self.field((args, kwargs)) if followed else None
        if field is not None:
            rule = _RULES.get(func.overloadpacket)
            self.assign(out, rule(field, args, out) if rule else field)
        return out


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return (values[0], values[-1])


def _convolution(field: Field, args: tuple, out: Tensor) -> Field:
    weight, stride, dilation, transposed = (args[i] for i in (1, 3, 5, 6))
    if weight.dim() != 4:
        return field
    kernel, stride, dilation = weight.shape[2:], _pair(stride), _pair(dilation)
    if not transposed:
        return field.window(kernel, stride, dilation)
    taps = [
        math.ceil(((k - 1) * d + 1) / s)
        for k, s, d in zip(kernel, stride, dilation)
    ]
    return field.enlarge(stride, taps)


def _pooling(field: Field, args: tuple, out: Any) -> Field:
    kernel = _pair(args[1])
    stride = _pair(args[2]) if len(args) > 2 and args[2] else kernel
    return field.window(kernel, stride, (1, 1))


def _enlargement(taps: int) -> Callable[[Field, tuple, Tensor], Field]:
    def rule(field: Field, args: tuple, out: Tensor) -> Field:
        factor = [o / i for o, i in zip(out.shape[2:], args[0].shape[2:])]
        mixed = [1 if f == 1 else taps for f in factor]
        return field.enlarge(factor, mixed)

    return rule


def _every_nth(field: Field, args: tuple, out: Tensor) -> Field:
    axis, step = args[1] % args[0].dim(), args[4] if len(args) > 4 else 1
    stride = [step if axis == i else 1 for i in (2, 3)]
    return field.window((1, 1), stride, (1, 1))


def _reduction(field: Field, args: tuple, out: Any) -> Field:
    values = args[0]
    axes = args[1] if len(args) > 1 else None
    axes = range(values.dim()) if axes is None else axes
    axes = [axes] if isinstance(axes, int) else axes
    spatial = any(axis % values.dim() >= 2 for axis in axes)
    return field.pool(IMAGE) if values.dim() == 4 and spatial else field


def _whole_map(field: Field, args: tuple, out: Any) -> Field:
    return field.pool(IMAGE)


# Anything else leaves every position where it was. Batched matrix products
# are those of attention, from every position to every other.
_RULES = {
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: _pooling,
    aten.avg_pool2d: _pooling,
    aten.upsample_nearest2d: _enlargement(1),
    aten.upsample_bilinear2d: _enlargement(2),
    aten.upsample_bicubic2d: _enlargement(4),
    aten.slice: _every_nth,
    aten.mean: _reduction,
    aten.sum: _reduction,
    aten.amax: _reduction,
    aten.var: _reduction,
    aten._adaptive_avg_pool2d: _whole_map,
    aten.adaptive_max_pool2d: _whole_map,
    aten.bmm: _whole_map,
    aten.baddbmm: _whole_map,
}
