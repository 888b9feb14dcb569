"""Where a layer stands in a detector or segmentor, told from its name."""

import re
from collections.abc import Iterable

# The first match counts; a lookahead keeps what is not a prefix.
_PARTS = {
    'backbone': r'backbone\.|(?=(?:stem|layer\d+)\.|bn1$)',
    'FPN': r'neck\.(?=(?:lateral|fpn)_convs\.)',
    'neck': r'neck\.',
    'RPN head': r'rpn_head\.',
    'box head': r'(?:roi_head\.)?bbox_head\.',
    'mask head': r'(?:roi_head\.)?mask_head\.',
    'decode head': r'decode_head\.',
    'auxiliary head': r'auxiliary_head\.',
    'network': r'',
}
_BLOCK = re.compile(r'((?:.*\.)?layer\d+\.\d+)\.')


def locate(name: str) -> tuple[str, str, str]:
    """Split a layer's name into where it stands and how to label it.

    Args:
        name: name of a norm layer in the network.

    Returns:
        tuple[str, str, str]: The part of the network ('backbone', 'FPN',
        'box head', …; 'network' if unknown), the residual stage ('stem',
        'layer1', …; '' outside of a ResNet) and a short label that is
        unique inside them.

    Example:
        >>> locate('backbone.layer1.0.bn2')
        ('backbone', 'layer1', '0.bn2')
        >>> locate('roi_head.bbox_head.shared_convs.0.bn')
        ('box head', '', 'shared_convs.0')
    """
    part, prefix = next(
        (part, match)
        for part, pattern in _PARTS.items()
        if (match := re.match(pattern, name))
    )
    label = name[prefix.end() :]
    stage = ''
    if part == 'backbone':
        residual = re.match(r'(layer\d+)\.', label)
        if residual:
            stage, label = residual[1], label[residual.end() :]
        elif re.match(r'stem\.|bn1$', label):
            stage = 'stem'
    return part, stage, re.sub(r'\.bn$|(?<=downsample)\.\d+$', '', label)


def is_shortcut(name: str) -> bool:
    """Return whether a layer stands in the shortcut of a residual block."""
    return '.downsample.' in name


def common_name(name: str) -> str:
    """Return a name shared by a detector and a classifier.

    It is what a backbone's layer is called in the detector as well as in
    the classifier that the backbone was pre-trained in.
    """
    return name.removeprefix('backbone.')


def network_order(names: Iterable[str]) -> list[str]:
    """Sort layer names as most networks run them.

    Modules are registered in the order of the network, except that inside a
    residual block the numbered norms come first and the shortcut's last.
    Heads that branch out may run in another order: see
    `forward.trace_forward`.

    Args:
        names: names in the order of the state dict.

    Returns:
        list[str]: The same names in network order.
    """
    names = list(names)
    first_seen: dict[str, int] = {}
    keys = {}
    for index, name in enumerate(names):
        block = _BLOCK.match(name)
        if block is None:
            keys[name] = (index, False, 0)
            continue
        number = re.search(r'(\d+)$', name)
        keys[name] = (
            first_seen.setdefault(block[1], index),
            is_shortcut(name),
            int(number[1]) if number else 0,
        )
    return sorted(names, key=keys.__getitem__)
