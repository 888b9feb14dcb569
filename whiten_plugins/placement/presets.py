"""Which norms of a network become SW, GW …: presets, patterns, replacement.

The papers put whitening into some norms of a ResNet only. A preset says which
in terms of structure: the stem's last norm, then blocks ``layerS.B`` with
norms numbered 1 to n (n = 3 in a Bottleneck, 2 in a BasicBlock). So presets
hold for ResNet-18 to 152, ResNeXt, deep stems, dilation and deformable
convolution, in mmdet, mmseg and torchvision. "Inner" is the norm before the
block's last convolution: the 2nd in a Bottleneck, the 1st in a BasicBlock.

================ ============================================= =============
preset           norms, besides the stem's                     ResNet-50 has
================ ============================================= =============
``sw14``         inner, blocks of stages 1–3 (SW supp. B)      14
``sw7``          inner, every second of those blocks           7
``sw7-released`` inner, every second block of each stage, as   7
                 in the published SW checkpoints
``s1``           none (GW section 5.1.1)                       1
``s1b1``         1st of every block                            17
``s1b2``         2nd of every block                            17
``s1b3``         3rd of every block; Bottlenecks only          17
``s1b12``        1st and 2nd of every block                    33
``l1``           none (DBN: before the first residual block)   1
``ibn-a``        1st of every block of stages 1–3; the stem    13
                 keeps its norm (IBN-Net, IBN-a)
``ibn-b``        a new norm after the residual addition of     3
                 the last block of stages 1 and 2 (IBN-b)
``all``          every norm, shortcuts too, in any network     53
================ ============================================= =============

Numbering the convolutions of a network in order, without shortcuts, ``sw14``
follows layers {1, n, 2n, …} and ``sw7`` {1, 2n, 4n, …}: {1, 3, …, 39} and
{1, 6, …, 36} in ResNet-50, {1, 4, 8, …} in a ResNet of BasicBlocks, all as in
SW supplement B. The names count ResNet-50's; in ResNet-101 ``sw14`` is 31.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import NamedTuple

from .errors import PlacementError, listed


class Block(NamedTuple):
    """A residual block, its position and its norms.

    These are its stage, its place there, its number in the whole network
    (all from 1) and its norms in order, without the shortcut's.
    """

    stage: int
    place: int
    number: int
    norms: tuple[str, ...]


class Preset(NamedTuple):
    """The norms that a preset replaces.

    These are the norms of a block by position, the blocks concerned,
    whether the stem's last norm is one, and the stages whose last block
    gains a norm after its residual addition.
    """

    positions: tuple[int, ...]
    blocks: Callable[[Block], bool] = lambda block: True
    stem: bool = True
    ends_of: tuple[int, ...] = ()


INNER = -2


ALL = 'all'


PRESETS = {
    'sw14': Preset((INNER,), lambda b: b.stage <= 3),
    'sw7': Preset((INNER,), lambda b: b.stage <= 3 and b.number % 2 == 0),
    'sw7-released': Preset(
        (INNER,), lambda b: b.stage <= 3 and b.place % 2 == 0
    ),
    's1': Preset(()),
    's1b1': Preset((0,)),
    's1b2': Preset((1,)),
    's1b3': Preset((2,)),
    's1b12': Preset((0, 1)),
    'l1': Preset(()),
    'ibn-a': Preset((0,), lambda b: b.stage <= 3, stem=False),
    'ibn-b': Preset((), ends_of=(1, 2)),
}


_BLOCK = re.compile(r'layer(\d+)\.(\d+)\.')


_BLOCK_NORM = re.compile(r'layer\d+\.\d+\.[^.\d]+(\d+)$')


def match_preset(names: list[str], preset: str) -> set[str]:
    """Return the names of the stem's last norm and of the blocks' norms."""
    blocks = residual_blocks(names)
    first = next((i for i, name in enumerate(names) if _BLOCK.match(name)), 0)
    if not blocks or not first or not all(map(_BLOCK.match, names[first:])):
        raise PlacementError(
            f'whiten_at={preset!r} needs a ResNet, a stem and then only '
            f'blocks with norms named as in layer1.0.bn1, layer1.0.bn2; give '
            f'a list of patterns instead; {listed(names)}'
        )
    positions, concerned, stem, _ = PRESETS[preset]
    chosen = {names[first - 1]} if stem else set()
    for block in filter(concerned, blocks):
        if positions and max(positions) >= len(block.norms):
            raise PlacementError(
                f'whiten_at={preset!r} needs norm {max(positions) + 1} of '
                f'each block, but the last of block {block.number} is '
                f'{block.norms[-1]}'
            )
        chosen.update(block.norms[position] for position in positions)
    return chosen


def blocks_to_extend(names: list[str], preset: str) -> dict[str, list[str]]:
    """Return the blocks that gain a norm, and the norms that they have."""
    ends = {block.stage: block for block in residual_blocks(names)}
    stages = PRESETS[preset].ends_of if preset in PRESETS else ()
    return {
        ends[stage].norms[0].rpartition('.')[0]: list(ends[stage].norms)
        for stage in stages
        if stage in ends
    }


def residual_blocks(names: Iterable[str]) -> list[Block]:
    """Return the blocks of a ResNet, told from the names of its norms.

    Args:
        names: names of all norms, in the order of the modules.

    Returns:
        list[Block]: In network order; empty if a block has other norms than
        ``layerS.B.<name>1`` to ``<name>n``, n > 1, and its shortcut's.
    """
    inside = [match for match in map(_BLOCK.match, names) if match]
    blocks: list[Block] = []
    for (stage, place), members in groupby(inside, lambda m: m.groups()):
        numbered = {
            int(match[1]): match[0]
            for match in (_BLOCK_NORM.match(m.string) for m in members)
            if match
        }
        order = sorted(numbered)
        if len(order) < 2 or order != list(range(1, len(order) + 1)):
            return []
        norms = tuple(numbered[position] for position in order)
        number = len(blocks) + 1
        blocks.append(Block(int(stage), int(place) + 1, number, norms))
    return blocks
