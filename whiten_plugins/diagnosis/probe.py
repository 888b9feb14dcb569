"""Watches one norm through the forward passes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from ..analysis.norms import NormInfo, keeps_statistics
from ..analysis.start_state import ratios_at_start, statistics_at_start
from ..analysis.statistic_sizes import StatisticSize, statistic_sizes
from ..norms.base import WhiteningNorm
from ..ops import Moments, NormSpec, backend_for, merge_samples
from ..ops.layout import statistics_view
from .groups import GroupConditions
from .layout import channels_second, map_size, spec_of
from .measures import (
    DEAD_SHARE,
    axis_swaps,
    condition,
    correlation,
    largest_correlation,
    scale_spread,
)
from .moments import (
    ChannelVariance,
    JointMoments,
    choose_channels,
    choose_elements,
    take,
)
from .noise import BatchNoise, Disturbance
from .results import Gradient, NormDiagnosis, Spread
from .what_if import WhatIf, choose_samples, what_if

MOST_ELEMENTS, MOST_CHANNELS = 2048, 512
"""Of one pass, for the covariance over all channels: it takes
elements × channels² products, where a convolution takes elements × channels
× channels of its input."""

_AFFINE = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)
_ONE_BY_ONE = NormSpec(('in',), num_rows=1)


class NormProbe:
    """Measures a norm's input and output as it runs.

    As a context manager it hooks the norm. While the norm runs it has no
    weight and bias, which are applied to its output afterwards, so that the
    normalized values themselves are seen, also where a weight is zero.

    Args:
        info: of the norm.
        norm: the norm, in the mode in which it is to be looked at.
        seed: of the choice of elements.
        processes: that share the statistics of a Sync norm.
    """

    def __init__(
        self, info: NormInfo, norm: nn.Module, seed: int, processes: int
    ) -> None:
        self.info, self.norm, self.processes = info, norm, processes
        self.spec = spec_of(norm)
        self.watching = True
        self.passes, self.samples = 0, 0
        self._maps: list[tuple[int, ...]] = []
        self._sizes: dict[str, StatisticSize] = {}
        self._generator = torch.Generator().manual_seed(seed)
        self._channel_moments = ChannelVariance()
        self._before, self._after = JointMoments(), JointMoments()
        self._groups = GroupConditions(self.spec), GroupConditions(self.spec)
        self._deviations: list[tuple[float, float]] = []
        self._last_blocks: Tensor | None = None
        self._swaps: list[float] = []
        self._what_if: list[WhatIf] = []
        self._noise = None
        if self.spec.uses_batch:
            self._noise = BatchNoise(norm, self._generator)
        self.updated = None
        if keeps_statistics(norm):
            self.updated = not statistics_at_start(norm)
        self._gradients = JointMoments()
        self._gradient_squares: list[list[float]] = [[], []]
        self._taken: dict[str, Any] = {}

    def __enter__(self) -> NormProbe:
        self._hooks = (
            self.norm.register_forward_pre_hook(self._take_affine),
            self.norm.register_forward_hook(self._look),
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        for hook in self._hooks:
            hook.remove()
        self._give_back()

    def _take_affine(self, norm: nn.Module, args: tuple) -> None:
        if isinstance(norm, (WhiteningNorm, *_AFFINE)):
            self._taken = {
                name: norm._parameters[name]
                for name in ('weight', 'bias')
                if norm._parameters.get(name) is not None
            }
            for name in self._taken:
                norm._parameters[name] = None

    def _give_back(self) -> dict[str, Any]:
        taken, self._taken = self._taken, {}
        self.norm._parameters.update(taken)
        return taken

    def _look(self, norm: nn.Module, args: tuple, output: Tensor) -> Tensor:
        taken = self._give_back()
        x = args[0]
        if self.watching and output.numel():
            device = output.device.type
            with torch.no_grad(), torch.autocast(device, enabled=False):
                elements = self._measure(x.detach(), output.detach())
            if output.requires_grad:
                self._follow_gradients(x, output, elements)
        return _affine(output, norm, taken)

    def _measure(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        size = map_size(x, self.norm)
        x, y = (channels_second(v, self.norm) for v in (x, y))
        self._count(x, size)
        elements = choose_elements(x, MOST_ELEMENTS, self._generator)
        channels = choose_channels(x.shape[1], MOST_CHANNELS)
        vectors = take(x, elements, channels)
        self._before.add(vectors)
        self._after.add(take(y, elements, channels))
        self._look_at_axes(vectors)
        one_by_one = _moments(x, _ONE_BY_ONE)
        self._channel_moments.add(one_by_one, x.shape[2])
        own = one_by_one
        if self.spec.num_rows > 1:
            own = _moments(x, self.spec)
        batch = merge_samples(own)
        self._groups[0].add(own, batch)
        self._look_at_output(y)
        if self._noise is not None:
            self._noise.add(x, own, batch)
        if not self._what_if:
            self._what_if = what_if(choose_samples(x), self.spec.eps)
        return elements

    def _count(self, x: Tensor, size: tuple[int, ...]) -> None:
        """Record sizes, keeping those of the smallest input."""
        samples = len(x)
        self.samples = min(samples, self.samples) if self.passes else samples
        self.passes += 1
        self._maps.append(size)
        found = statistic_sizes(self.norm, samples, size, self._sharing)
        fewest = min((s.values for s in found.values()), default=0)
        known = min((s.values for s in self._sizes.values()), default=math.inf)
        if fewest < known:
            self._sizes = found

    @property
    def _sharing(self) -> int:
        shares = isinstance(self.norm, nn.SyncBatchNorm) or (
            getattr(self.norm, 'sync', None) is not None
        )
        return self.processes if shares else 1

    def _look_at_axes(self, vectors: Tensor) -> None:
        """Compare the principal axes with those of the last pass.

        They are those of four groups of 16 channels.
        """
        rows = min(16, vectors.shape[1])
        groups = min(4, vectors.shape[1] // rows)
        vectors = vectors[:512, : groups * rows]
        if len(vectors) <= rows or not vectors.sum().isfinite():
            return
        centred = vectors - vectors.mean(0)
        blocks = centred.unflatten(1, (groups, rows)).permute(1, 2, 0)
        blocks = blocks @ blocks.mT / len(vectors)
        if self._last_blocks is not None:
            self._swaps.append(axis_swaps(self._last_blocks, blocks))
        self._last_blocks = blocks

    def _look_at_output(self, y: Tensor) -> None:
        own = _moments(y, self.spec)
        batch = merge_samples(own)
        self._groups[1].add(own, batch)
        if 'ln' in self.spec.stats and len(self.spec.stats) == 1:
            mean = own.mean.mean(1, keepdim=True)
            spread = own.cov[..., 0] + (own.mean - mean).square()
            variance = spread.mean(1)
        else:
            moments = batch if self.spec.uses_batch else own
            variance = moments.cov.diagonal(dim1=-2, dim2=-1)
        deviation = variance.double().sqrt()
        self._deviations.append(
            (float(deviation.mean()), float(deviation.min()))
        )

    def _follow_gradients(
        self, x: Tensor, y: Tensor, elements: tuple[Tensor, Tensor]
    ) -> None:
        channels = choose_channels(self.info.channels, MOST_CHANNELS)

        def at_output(gradient: Tensor) -> None:
            found = channels_second(gradient.detach(), self.norm)
            self._gradients.add(take(found, elements, channels))
            self._gradient_squares[0].append(_mean_square(gradient))

        def at_input(gradient: Tensor) -> None:
            self._gradient_squares[1].append(_mean_square(gradient))

        y.register_hook(at_output)
        if x.requires_grad:
            x.register_hook(at_input)

    def finish(self) -> NormDiagnosis:
        """Return what the passes showed."""
        variance = self._channel_moments.variance
        live = variance > self.spec.eps * DEAD_SHARE
        means, smallest = zip(*self._deviations)
        areas = sorted(self._maps, key=math.prod)
        noise = self._noise.measure() if self._noise else Disturbance()
        if self.updated is False and self.norm.training:
            # Nothing to compare with yet, and nothing in training reads it.
            noise = replace(
                noise, gap=math.nan, mean_off=math.nan, second_off=math.nan
            )
        return NormDiagnosis(
            info=self.info,
            whitening=self._whitening,
            updated=self.updated,
            at_start=self._at_start,
            passes=self.passes,
            samples=self.samples,
            smallest_map=areas[0],
            largest_map=areas[-1],
            sizes=self._sizes,
            before=self._spread(0, variance, live),
            after=self._spread(1, self._after.cov.diagonal(), None),
            deviation=sum(means) / len(means),
            smallest_deviation=min(smallest),
            dead=(variance <= self.spec.eps * DEAD_SHARE)
            .nonzero()
            .flatten()
            .tolist(),
            noise=noise,
            axis_swaps=_mean(self._swaps),
            what_if=self._what_if,
            gradient=self._gradient(),
            skipped=self._before.skipped,
        )

    @property
    def _whitening(self) -> str | None:
        own = isinstance(self.norm, WhiteningNorm)
        return self.spec.whitening if own and self.spec.whitens else None

    @property
    def _at_start(self) -> bool | None:
        learns = getattr(self.norm, 'has_ratios', False)
        return ratios_at_start(self.norm) if learns else None

    def _spread(
        self, side: int, variance: Tensor, live: Tensor | None
    ) -> Spread:
        joint = (self._before, self._after)[side]
        if live is None:
            live = variance > DEAD_SHARE**2
        cov = joint.cov
        return Spread(
            elements=joint.count,
            channels=len(cov),
            condition=condition(cov),
            groups=self._groups[side].summary(),
            largest_correlation=largest_correlation(cov),
            scale_spread=scale_spread(variance, live),
            correlation=_picture(correlation(cov)),
        )

    def _gradient(self) -> Gradient | None:
        if not self._gradients.count:
            return None
        outputs, inputs = self._gradient_squares
        return Gradient(
            math.sqrt(_mean(outputs)),
            math.sqrt(_mean(inputs)),
            condition(self._gradients.cov),
        )


def _moments(x: Tensor, spec: NormSpec) -> Moments:
    return backend_for(x).moments(statistics_view(x, spec))


def _affine(y: Tensor, norm: nn.Module, taken: dict[str, Any]) -> Tensor:
    """Compute weight · y + bias, in place if no gradient is required."""
    if not taken:
        return y
    shape = tuple(getattr(norm, 'normalized_shape', ()))
    if not (shape and y.shape[-len(shape) :] == shape):
        shape = (-1, *(1,) * (y.dim() - 2))
    values = {name: p.to(y.dtype).view(shape) for name, p in taken.items()}
    in_place = not torch.is_grad_enabled()
    if 'weight' in values:
        scale = values['weight']
        y = y.mul_(scale) if in_place else y * scale
    if 'bias' in values:
        y = y.add_(values['bias']) if in_place else y + values['bias']
    return y


def _picture(values: Tensor) -> Tensor:
    """Reduce a matrix to at most 64 × 64.

    Each value is the strongest of its block.
    """
    values = values.float().cpu()
    size = len(values)
    if size <= 64:
        return values
    block = math.ceil(size / 64)
    values = values.masked_fill(torch.eye(size, dtype=torch.bool), 0)
    pad = block * math.ceil(size / block) - size
    values = nn.functional.pad(values, (0, pad, 0, pad))
    count = len(values) // block
    blocks = values.view(count, block, count, block).transpose(1, 2)
    blocks = blocks.reshape(count, count, -1)
    strongest = blocks.abs().argmax(-1, keepdim=True)
    return blocks.gather(-1, strongest).squeeze(-1)


def _mean_square(values: Tensor) -> float:
    return float(values.detach().double().square().mean())


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
