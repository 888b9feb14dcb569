r"""How much the statistics of a batch disturb what a norm does to a sample.

Stochastic normalization disturbance (ItN section 4.1): one element x is
normalized by the statistics of batches :math:`B_1 … B_s`,

.. math::
    \Delta_F(x) = \frac1s \sum_i \Bigl\| F(x; B_i)
        - \frac1s \sum_j F(x; B_j) \Bigr\|_2

averaged over elements x. Beside it stand the difference of F(x; B) from
F(x; running), the train–test gap, and how far the running statistics are
from the average batch. F is the norm without weight and bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..norms.base import WhiteningNorm
from ..ops import (
    Moments,
    Parameters,
    Running,
    StageInputs,
    coefficients,
    whitening_matrix,
)
from .layout import spec_of
from .measures import DEAD_SHARE

MOST_SAMPLES, MOST_POINTS = 4, 256


@dataclass
class Disturbance:
    """What the batches did.

    Attributes:
        snd: stochastic normalization disturbance over all channels.
        per_channel: snd / sqrt(C), in standard deviations of the output.
        gap: root mean square of F(x; B) - F(x; running); NaN without running
            statistics.
        mean_off: distance of the running means from the average batch's, in
            standard deviations, averaged over channels.
        second_off: relative distance of the running variances; of
            covariances and whitening matrices in the Frobenius norm.
        from_batch: root mean square of the output's difference from what
            the running statistics of the batch alone would give; NaN where
            they are all that the norm uses.
    """

    snd: float = 0.0
    per_channel: float = 0.0
    gap: float = 0.0
    mean_off: float = math.nan
    second_off: float = math.nan
    from_batch: float = math.nan


class BatchNoise:
    """Collects the statistics of batches, and elements to try them on.

    Args:
        norm: a norm that uses statistics of the batch, in its mode.
        generator: chooses the elements.
    """

    def __init__(self, norm: nn.Module, generator: torch.Generator) -> None:
        self.norm = norm
        self.spec = spec_of(norm)
        self.training = norm.training
        # What running statistics are now, before the batches move them.
        self.running = _running(norm)
        self.batches: list[tuple[Moments, int]] = []
        self._generator = generator
        self._active: tuple[str, ...] = ()
        self._x = torch.empty(0)  # (samples, C, points)
        self._sample: Moments | None = None

    def add(self, x: Tensor, sample: Moments, batch: Moments) -> None:
        """Record a batch.

        Args:
            x: its elements, (N, C, M).
            sample: moments of its samples.
            batch: of the whole batch.
        """
        values = x.shape[0] * x.shape[2]
        if values < 2 or not all(v.isfinite().all() for v in batch):
            return
        self.batches.append((_double(batch), values))
        if not self._active:
            self._choose(x, sample)

    def _choose(self, x: Tensor, sample: Moments) -> None:
        """Choose elements of the first batch and their samples' moments."""
        num_samples, channels, size = x.shape
        undefined = {'in': size < 2, 'iw': size < 2, 'ln': channels * size < 2}
        self._active = tuple(
            name for name in self.spec.stats if not undefined.get(name)
        )
        most = MOST_SAMPLES
        if not self.spec.uses_samples:  # of which nothing is kept
            most = max(most, MOST_POINTS // size)
        chosen = min(num_samples, most)
        points = max(1, MOST_POINTS // chosen)
        places = torch.randperm(size, generator=self._generator)[:points]
        self._x = x[:chosen][..., places.to(x.device)].double()
        if self.spec.uses_samples:
            self._sample = _double(Moments(*(v[:chosen] for v in sample)))

    def measure(self) -> Disturbance:
        """Measure how the output for the elements depends on the batch."""
        if not self._active:
            return Disturbance(math.nan, math.nan, math.nan)
        by_batch = torch.stack(
            [self._outputs(batch) for batch, _ in self.batches]
        )
        found = Disturbance()
        if self.training or self.running is None:
            distances = (by_batch - by_batch.mean(0)).norm(dim=2)
            found.snd = float(distances.mean())
            found.per_channel = found.snd / math.sqrt(by_batch.shape[2])
        if self.running is not None:
            running = self._outputs(self.running, running=True)
            found.gap = _root_mean_square(by_batch - running)
            found.mean_off, found.second_off = self._running_off(self.running)
            if self.spec.uses_samples:
                alone = self._outputs(self.running, running=True, alone=True)
                found.from_batch = _root_mean_square(running - alone)
        return found

    def _outputs(
        self, batch: Moments, *, running: bool = False, alone: bool = False
    ) -> Tensor:
        """Compute F(x), (samples, C, points).

        It uses the statistics of one batch or the running ones; with
        ``alone``, nothing but these.
        """
        spec, active = self.spec, self._active
        if alone:
            active = ('bw',) if spec.whitens else ('bn',)
            spec = replace(spec, stats=active)
        sample = None if alone else self._sample
        inputs = StageInputs(sample, batch, _ratios(self.norm, self._x))
        A, b, _ = coefficients(spec, active, inputs, running)
        rows = self._x.unflatten(1, (-1, spec.num_rows))
        return (A @ rows + b.unsqueeze(-1)).flatten(1, 2)

    def _running_off(self, running: Moments) -> tuple[float, float]:
        """Measure the distance of running statistics to the average batch."""
        counts = torch.tensor([float(n) for _, n in self.batches])
        weights = (counts / counts.sum()).double()
        means = torch.cat([b.mean for b, _ in self.batches])
        weights = weights.to(means.device).view(-1, 1, 1)
        covs = torch.cat([b.cov for b, _ in self.batches])
        mean = (weights * means).sum(0)
        cov = (weights.unsqueeze(-1) * covs).sum(0)
        variance = cov.diagonal(dim1=-2, dim2=-1)
        live = variance > self.spec.eps * DEAD_SHARE
        off = (running.mean[0] - mean).abs()[live]
        mean_off = (off / variance[live].sqrt()).mean()
        second = self._average_second(covs, weights.unsqueeze(-1))
        difference = (running.cov[0] - second).flatten(1).norm(dim=1)
        size = second.flatten(1).norm(dim=1)
        if self.spec.num_rows == 1:
            difference, size = difference[live[:, 0]], size[live[:, 0]]
        return float(mean_off), float((difference / size).mean())

    def _average_second(self, covs: Tensor, weights: Tensor) -> Tensor:
        """Average the second moment as the norm keeps its running average."""
        if isinstance(self.norm, _BatchNorm):  # keeps unbiased variances
            counts = [n / (n - 1) for _, n in self.batches]
            weights = weights * weights.new_tensor(counts).view(-1, 1, 1, 1)
        elif self.spec.running == 'matrix':
            eye = torch.eye(covs.shape[-1], dtype=covs.dtype).to(covs.device)
            covs = whitening_matrix(covs + self.spec.eps * eye, self.spec)
        return (weights * covs).sum(0)


def _ratios(norm: nn.Module, x: Tensor) -> Parameters:
    """Return the ratio logits of a norm, without weight and bias."""
    if not isinstance(norm, WhiteningNorm):
        return Parameters(None, None, None, None)
    logits = norm._logits(x)
    return Parameters(
        None, None, *(v if v is None else v.detach() for v in logits)
    )


def _running(norm: nn.Module) -> Moments | None:
    """Return the running statistics in float64, None if there are none.

    The second moment may be a whitening matrix.
    """
    if isinstance(norm, WhiteningNorm):
        running = norm._running()
    elif (
        isinstance(norm, _BatchNorm)
        and norm.running_mean is not None
        and norm.running_var is not None
    ):
        running = Running(norm.running_mean, norm.running_var)
    else:
        running = None
    if running is None:
        return None
    moments = running.moments(spec_of(norm).num_rows, torch.float64)
    return Moments(*(value.clone() for value in moments))


def _double(moments: Moments) -> Moments:
    return Moments(*(value.double() for value in moments))


def _root_mean_square(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
