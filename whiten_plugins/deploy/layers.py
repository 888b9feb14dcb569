"""Fold an affine map of its output into a convolution or linear layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from .alterations import alteration
from .fixed_map import FixedMap, FoldError

_CLASSES = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
# mmcv's own, which compute the same.
_NAMES = {
    *(
        f'mmcv.cnn.bricks.wrappers.{name}'
        for name in (
            'Conv2d',
            'Conv3d',
            'ConvTranspose2d',
            'ConvTranspose3d',
            'Linear',
        )
    ),
    'mmcv.ops.modulated_deform_conv.ModulatedDeformConv2d',
    'mmcv.ops.modulated_deform_conv.ModulatedDeformConv2dPack',
}


def is_layer(module: nn.Module) -> bool:
    """Return whether a module is a plain convolution or linear layer.

    A plain layer computes its output from ``weight`` and ``bias``; a subclass
    may change the weight.
    """
    kind = type(module)
    name = f'{kind.__module__}.{kind.__name__}'
    return kind in _CLASSES or name in _NAMES


def check_layer(layer: nn.Module, fixed: FixedMap) -> None:
    """Check that a layer can take in a map.

    Raises:
        FoldError: if the map mixes channels of different convolution
            groups, the layer's weight is computed elsewhere or cannot hold
            the result.
    """
    weight = layer._parameters.get('weight')
    if not isinstance(weight, nn.Parameter):
        raise FoldError('follows a layer whose weight is computed')
    altered = alteration(layer)
    if altered:
        raise FoldError(f'follows a layer that {altered}')
    if not weight.is_floating_point():
        raise FoldError(f'follows a layer of {weight.dtype}')
    size, groups = fixed.A.shape[-1], getattr(layer, 'groups', 1)
    together = fixed.A.shape[0] * size // groups
    if together % size:
        raise FoldError(
            f'whitens {size} channels together, but the convolution has '
            f'groups of {together}: its weight would have to grow'
        )
    folded = folded_tensors(layer, fixed)
    if not all(t.to(weight.dtype).isfinite().all() for t in folded):
        raise FoldError(
            f'would give the layer before it values beyond {weight.dtype}'
        )


@torch.no_grad()
def fold_into(layer: Any, fixed: FixedMap) -> None:
    """Let a layer compute A (W x + b') + b where it computed W x + b'.

    Args:
        layer: a layer that :func:`check_layer` accepts; gets a bias if it
            has none.
        fixed: A and b, of the layer's output channels.
    """
    weight, bias = folded_tensors(layer, fixed)
    layer.weight.copy_(weight)
    add_bias(layer).copy_(bias)


@torch.no_grad()
def folded_tensors(layer: Any, fixed: FixedMap) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of :func:`fold_into`, in float64."""
    weight = layer.weight.to(torch.float64, copy=True)
    rows = _by_output(layer, weight)
    blocks = rows.reshape(*fixed.b.shape, -1)
    rows.copy_((fixed.A @ blocks).view(rows.shape))
    bias = fixed.b
    if layer.bias is not None:
        old = layer.bias.double().view_as(bias).unsqueeze(-1)
        bias = bias + (fixed.A @ old).squeeze(-1)
    return weight, bias.flatten()


def add_bias(layer: Any) -> nn.Parameter:
    """Return the bias of a layer, after adding one of zeros if it had none."""
    if layer.bias is None:
        channels = getattr(layer, 'out_channels', None) or layer.out_features
        zeros = layer.weight.new_zeros(channels)
        layer.bias = nn.Parameter(zeros, layer.weight.requires_grad)
    return layer.bias


def _by_output(layer: Any, weight: Tensor) -> Tensor:
    """Return a view of ``weight`` that counts output channels first."""
    if not isinstance(layer, _ConvTransposeNd):
        return weight
    # (groups * inputs, outputs, *kernel) with both of one group
    return weight.unflatten(0, (layer.groups, -1)).transpose(1, 2)
