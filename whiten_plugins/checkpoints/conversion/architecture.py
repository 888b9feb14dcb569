"""Which ResNet a state dict holds, told from its keys and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ...utils.texts import shorten
from .errors import ConversionError

_BLOCK = re.compile(r'layer(\d+)\.(\d+)\.(\w+)')
_DEPTHS: dict[tuple[bool, tuple[int, ...]], int] = {
    (False, (2, 2, 2, 2)): 18,
    (False, (3, 4, 6, 3)): 34,
    (True, (3, 4, 6, 3)): 50,
    (True, (3, 4, 23, 3)): 101,
    (True, (3, 8, 36, 3)): 152,
}


@dataclass(frozen=True)
class Architecture:
    """What has to agree for the weights of one ResNet to fit another.

    Attributes:
        blocks: residual blocks of each stage.
        bottleneck: whether they have three convolutions.
        deep_stem: whether three 3×3 convolutions take the place of the 7×7
            one.
        groups: of the 3×3 convolutions of Bottlenecks (ResNeXt).
        width: channels of each group in the first block.
    """

    blocks: tuple[int, ...]
    bottleneck: bool
    deep_stem: bool
    groups: int = 1
    width: int = 64

    def __str__(self) -> str:
        depth = _DEPTHS.get((self.bottleneck, self.blocks))
        if depth is None:
            kind = 'Bottleneck' if self.bottleneck else 'BasicBlock'
            stages = ', '.join(map(str, self.blocks))
            name = f'ResNet of {stages} {kind}s'
        else:
            name = f'ResNe{"Xt" if self.groups > 1 else "t"}-{depth}'
        if (self.groups, self.width) != (1, 64):
            name = f'{name} ({self.groups}x{self.width}d)'
        return f'{name} with a deep stem' if self.deep_stem else name


def architecture_of(state: Mapping[str, Tensor]) -> Architecture:
    """Tell the architecture from our keys.

    Raises:
        ConversionError: if it is not a ResNet, or a pre-activation one.
    """
    blocks: dict[int, set[int]] = {}
    for match in filter(None, map(_BLOCK.match, state)):
        blocks.setdefault(int(match[1]), set()).add(int(match[2]))
    deep_stem = 'stem.0.weight' in state
    if not (deep_stem or 'conv1.weight' in state) or 1 not in blocks:
        raise ConversionError(
            f'is not a ResNet: no conv1 and layer1.0 in it; its keys are '
            f'{shorten(list(state))}'
        )
    _refuse_pre_activation(state)
    bottleneck = 'layer1.0.conv3.weight' in state
    groups, width = _groups(state) if bottleneck else (1, 64)
    counts = tuple(len(blocks[stage]) for stage in sorted(blocks))
    return Architecture(counts, bottleneck, deep_stem, groups, width)


def check_fits(source: Architecture, target: Architecture) -> None:
    """Compare stems, blocks and groups; the target may have fewer stages.

    Raises:
        ConversionError: naming both architectures.
    """
    blocks = source.blocks[: len(target.blocks)]
    if replace(source, blocks=blocks) == target:
        return
    raise ConversionError(
        f"holds a {source}, but the config's backbone is a {target}; their "
        f'weights do not fit each other'
    )


def _groups(state: Mapping[str, Tensor]) -> tuple[int, int]:
    weight = state.get('layer1.0.conv2.weight')
    if weight is None or weight.dim() != 4:
        return 1, 64
    return weight.shape[0] // max(1, weight.shape[1]), weight.shape[1]


def _refuse_pre_activation(state: Mapping[str, Tensor]) -> None:
    """Raise an error for a pre-activation ResNet.

    A block's first norm is as wide as what it follows: its convolution or,
    with pre-activation, the block's input.
    """
    for key, norm in state.items():
        if not re.fullmatch(r'layer\d+\.\d+\.bn1\.weight', key):
            continue
        conv = state.get(key.replace('.bn1.', '.conv1.'))
        if conv is None or conv.dim() != 4:
            continue
        outputs, inputs = conv.shape[:2]
        if tuple(norm.shape) == (inputs,) and inputs != outputs:
            raise ConversionError(
                f'is a pre-activation ResNet (SN "v2"): {key} normalizes the '
                f"{inputs} channels before its convolution; the toolkits' "
                f'ResNets normalize after it, so only "v1" models fit'
            )
