"""Hard ratios: every layer uses the one statistic that it prefers.

SN section 4.1.4 replaces the ratios of a trained network by one-hot ones and
goes on training (SN Table 3). A layer does so with ``hard=True``; here it is
done to a checkpoint, which then works so with any ``norm_cfg``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..norms.description import METADATA_KEY
from ..utils.files import check_free
from .norm_layers import LOGITS, NormLayer, read_ratio_layers
from .reading import load_checkpoint, module_metadata, with_metadata
from .writing import save_weights

GAP = 1000.0
"""exp(-GAP) is 0 in float64 too: the softmax is one-hot, its gradient 0."""


@dataclass(frozen=True)
class Hardened:
    """What became hard.

    Attributes:
        layers: the layers as they are now, in network order.
        ties: ``layer.mean_weight`` and the like whose largest logit was not
            alone; the first statistic was taken.
    """

    layers: list[NormLayer]
    ties: list[str]


def harden_logits(logits: Tensor) -> Tensor:
    r"""Set logits so far apart that their softmax is one-hot.

    .. math::
        \lambda'_k = \lambda_k - 1000 \, r_k

    where :math:`r_k` is the number of logits that are larger; of equal ones
    the first counts as larger, as in a layer with ``hard=True``. Where an
    input leaves the chosen statistic undefined, the next one is chosen.

    Args:
        logits: (\*, K).
    """
    order = logits.argsort(dim=-1, descending=True, stable=True)
    return logits - GAP * order.argsort(-1)


def harden_checkpoint(
    checkpoint: str | Path, out: str | Path, *, overwrite: bool = False
) -> Hardened:
    """Write a checkpoint whose layers have one-hot ratios.

    Only the ratio logits differ from those of ``checkpoint``, and layers
    that describe themselves call themselves hard; keys and shapes are the
    same. What is no weight is left out, but for ``meta``.

    Args:
        checkpoint: training checkpoint or state dict.
        out: file to write.
        overwrite: replace ``out`` if it is there already.

    Raises:
        CheckpointError: if ``checkpoint`` cannot be read or has no layer
            that learns ratios, or one with logits that are not finite.
        OSError: if ``out`` cannot be written or is not to be overwritten.
    """
    out = Path(out)
    check_free([out], overwrite, Path(checkpoint))
    source = load_checkpoint(checkpoint)
    weights, ties = dict(source.state_dict), []
    metadata = module_metadata(source.state_dict)
    for layer in read_ratio_layers(source):
        for name in LOGITS:
            if name not in layer.tensors:
                continue  # tied
            key = f'{layer.name}.{name}'.lstrip('.')
            logits = weights[key]
            largest = logits.amax(-1, keepdim=True)
            if ((logits == largest).sum(-1) > 1).any():
                ties.append(key)
            weights[key] = harden_logits(logits)
        if layer.described:
            own = metadata[layer.name]
            own[METADATA_KEY] = {**own[METADATA_KEY], 'hard': True}
    save_weights(with_metadata(weights, metadata), source.meta, out)
    return Hardened(read_ratio_layers(load_checkpoint(out)), ties)
