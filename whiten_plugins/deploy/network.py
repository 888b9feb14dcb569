"""The part of a model that is a function of tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..analysis.example_inputs import is_detector


class Segmentor(nn.Module):
    """From a batch of images to the logits of every pixel."""

    output = 'logits'

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: Tensor) -> Tensor:
        size = dict(img_shape=images.shape[2:])
        return self.model.encode_decode(images, [size])


class Features(nn.Module):
    """From a batch of images to the feature maps of backbone and neck."""

    output = 'features'

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model.extract_feat(images))


class AdaptiveAveragePool(nn.Module):
    """:class:`torch.nn.AdaptiveAvgPool2d` as products of matrices.

    A row of a matrix averages the pixels from floor(i H / s) to
    ceil((i + 1) H / s), where s is the output size. ONNX has no operator for
    it unless s divides H, which nobody knows of an image of any size.

    Args:
        output_size: height and width of the output.
    """

    def __init__(self, output_size: tuple[int, int]) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (
            self._weights(output, size, x)
            for output, size in zip(self.output_size, x.shape[2:])
        )
        return rows @ x @ columns.transpose(0, 1)

    @staticmethod
    def _weights(output: int, size: int, like: Tensor) -> Tensor:
        index = torch.arange(output, device=like.device).unsqueeze(1)
        pixel = torch.arange(size, device=like.device)
        first = index * size // output
        end = ((index + 1) * size + output - 1) // output
        inside = (pixel >= first) & (pixel < end)
        return inside.to(like.dtype) / (end - first)


def traceable_network(model: nn.Module) -> nn.Module:
    """Return the part of a model that can be exported.

    Args:
        model: a segmentor, of which it is all; a detector, of which it is
            backbone and neck; or any other module, as it is. It is changed
            where exporters cannot follow, and computes the same.
    """
    _replace_pools(model)
    if is_detector(model):
        return Features(model)
    return Segmentor(model) if hasattr(model, 'encode_decode') else model


def _replace_pools(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for key, child in list(parent._modules.items()):
            if not isinstance(child, nn.AdaptiveAvgPool2d):
                continue
            size: Any = child.output_size
            height, width = (size, size) if isinstance(size, int) else size
            if (height, width) != (1, 1) and None not in (height, width):
                pool = AdaptiveAveragePool((height, width))
                setattr(parent, key, pool)
