"""What a user has to know about a conversion, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from mmengine.config import Config
from torch import Tensor, nn

from ...norms.base import WhiteningNorm
from ...ops import whitening_matrix
from ...placement.norm_types import channel_norms
from ..norm_layers import MATRICES
from .backbone import Fitted
from .initial_ratios import KEPT_SHARE
from .keras import KERAS
from .layouts import OURS, TORCHVISION
from .norms import FROM_VARIANCES
from .source import Source

GW_GROUPS = 64
_STRIDES = {'pytorch': '3×3', 'caffe': 'first 1×1'}


class _Training(NamedTuple):
    """How a network was trained: where its strides are, on which images."""

    style: str
    mean: list[float]
    std: list[float]
    rgb: bool
    known: bool = True


_IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
_TRAINED = {
    KERAS: _Training('caffe', _IMAGENET[0][::-1], [1.0, 1.0, 1.0], False),
    # A ResNet with BatchNorms may be anybody's.
    TORCHVISION: _Training('pytorch', *_IMAGENET, True, known=False),
    None: _Training('pytorch', *_IMAGENET, True),
}
_QUANTILES = torch.tensor([0.0, 0.5, 1.0])


def source_caveats(source: Source) -> Iterator[str]:
    """Yield what a published file leaves open."""
    layout, learned = source.layout, source.learned
    if layout == 'sn':
        yield (
            "The authors' code takes the unbiased variance of an instance, "
            'n / (n - 1) times the biased one of the paper and of this '
            'package (2 % more at 7×7 positions), and the other variances '
            "from it: features differ from that code's by as much."
        )
    if layout == 'sw' and any(len(ratios.stats) == 5 for ratios in learned):
        yield (
            'The published code of sw_type=5 takes the covariance ratios of '
            'bw and iw for bn and in too, so that logits 3 and 4 of '
            'var_weight were never trained. They are carried over as they '
            "are and count as in the paper: features are not that code's."
        )
    averaged = [name for name in source.others if 'ema' in name.lower()]
    if averaged:
        yield (
            f'The file holds averaged weights too, which are not taken: '
            f'{", ".join(averaged)}; --weights {averaged[0]} takes them.'
        )
    unnamed = [layer.name for layer in learned if not layer.named]
    if unnamed:
        yield (
            f'The file does not say which statistics {", ".join(unnamed)} '
            "mix; they are taken for those of the config's layers."
        )


def target_caveats(
    layout: str, fitted: Fitted, backbone: nn.Module, cfg: Config
) -> Iterator[str]:
    """Yield what the config's backbone does differently.

    Args:
        layout: layout of the source.
        fitted: the conversion.
        backbone: the config's.
        cfg: the config.
    """
    norms = channel_norms(backbone)
    yield from _batch_caveats(norms, fitted)
    starts = {how for n in fitted.norms for how in n.started.values()}
    if any(how.startswith(f'{KEPT_SHARE:g} ') for how in starts):
        yield (
            f'Ratios that start at the batch are {KEPT_SHARE:g}, not 1: a '
            'softmax that is one-hot has no gradient. They leave it slowly; '
            'ratio_lr_mult of NormAwareOptimWrapperConstructor speeds it up.'
        )
    rows = {
        norm.spec.num_rows
        for norm in norms.values()
        if isinstance(norm, WhiteningNorm)
        and norm.spec.across_groups
        and norm.spec.num_rows != min(GW_GROUPS, norm.num_features)
    }
    if layout == 'gw' and rows:
        yield (
            f'The published GW models have num_groups={GW_GROUPS}, which the '
            f"file does not say; the config's have {sorted(rows)}."
        )
    if layout != OURS:
        yield from _input_caveats(layout, cfg)


def _batch_caveats(
    norms: Mapping[str, nn.Module], fitted: Fitted
) -> Iterator[str]:
    by_sample = [n for n in fitted.norms if 'running_mean' in n.dropped]
    if by_sample:
        yield (
            f'{len(by_sample)} converted layers have no batch statistics '
            '(GW, IW, or SN without bn): they normalize by each sample '
            'from the first image on, so features differ from the '
            "source's until they are fine-tuned."
        )
    parted = [n for n in fitted.norms if n.source == 'IBN' != n.local_target]
    if parted:
        yield (
            f'{len(parted)} converted layers had InstanceNorm in some '
            'channels, of which there are no running statistics: these start '
            "at 0 and 1, and features differ from the source's until they "
            'are fine-tuned or calibrated.'
        )
    whitening = {
        n.name: norms[n.name]
        for n in fitted.norms
        if FROM_VARIANCES in n.started.values()
        and not n.started.keys().isdisjoint(MATRICES)
    }
    if whitening:
        yield (
            f'{len(whitening)} converted layers start from variances alone: '
            'in training they whiten by the batch, and their running '
            'matrices gain the correlations from it.'
        )
    reached = [
        _reached_deviations(norm, fitted.state[f'{name}.running_cov'])
        for name, norm in whitening.items()
        if isinstance(norm, WhiteningNorm)
        and norm.spec.whitening == 'itn'
        and norm.spec.running == 'cov'
    ]
    if reached:
        low, middle, high = torch.cat(reached).quantile(_QUANTILES).tolist()
        yield (
            f'{len(reached)} of them whiten by Newton iterations, which stop '
            'short of the standard deviation 1 that BN gives, the more so '
            'where variances within a group differ: their channels reach '
            f'{low:.2f} to {high:.2f}, half of them {middle:.2f} or more, '
            'and features differ accordingly. A larger T comes closer, '
            "whitening='zca' reaches 1."
        )


def _reached_deviations(norm: WhiteningNorm, covariance: Tensor) -> Tensor:
    """Compute the standard deviations of whitened channels.

    The channels have the given covariance before they are whitened.
    """
    eye = torch.eye(norm.spec.num_rows)
    S = covariance + norm.spec.eps * eye
    W = whitening_matrix(S[None], norm.spec)[0]
    return (W @ S @ W.mT).diagonal(dim1=1, dim2=2).sqrt().flatten()


def _input_caveats(layout: str, cfg: Config) -> Iterator[str]:
    trained = _TRAINED.get(layout, _TRAINED[None])
    style = cfg.model.get('style', 'pytorch')
    if style != trained.style:
        yield (
            f"The config's backbone has style={style!r} (stride in the "
            f'{_STRIDES[style]} convolution of a block); the source '
            f'was trained with {trained.style!r} style.'
            if trained.known
            else f"The config's backbone has style={style!r}; the file does "
            f'not say with which it was trained. torchvision and the authors '
            f'of SN, SW, GW and ItN have {trained.style!r} style.'
        )
    images = cfg.get('data_preprocessor') or {}
    seen = (
        list(images.get('mean') or trained.mean),
        list(images.get('std') or trained.std),
    )
    rgb = images.get('bgr_to_rgb', trained.rgb)  # images are read as BGR
    if seen != (trained.mean, trained.std) or rgb != trained.rgb:
        yield (
            f"The config's data_preprocessor has mean and std {list(seen)} "
            f'and bgr_to_rgb={rgb}; the source was trained with '
            f'{"RGB" if trained.rgb else "BGR"} images of '
            f'{[trained.mean, trained.std]}.'
        )
