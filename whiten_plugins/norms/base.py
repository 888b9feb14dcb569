"""What every norm of the family shares: parameters, buffers, modes."""

from __future__ import annotations

from typing import ClassVar, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.fx import Proxy

from ..ops import (
    NormSpec,
    Parameters,
    Running,
    Sync,
    importance_ratios,
    normalize,
)
from .bn_state import adopt_bn_state
from .tracing import as_node, not_scriptable


class WhiteningNorm(nn.Module):
    """Base of the family; a subclass chooses the :class:`NormSpec`.

    Args:
        num_features: C, channels of the input.
        spec: statistics, grouping and whitening.
        momentum: weight of a batch in the running statistics, as torch's
            BatchNorm means it; None for a cumulative average.
        affine: learn ``weight`` and ``bias``.
        tie_weight: one set of ratios for means and covariances.
        ratio_groups: groups of channels with ratios of their own.
    """

    _abbr_ = 'bn'
    has_ratios: ClassVar[bool] = False

    def __init__(
        self,
        num_features: int,
        spec: NormSpec,
        momentum: float | None = 0.1,
        affine: bool = True,
        tie_weight: bool = False,
        ratio_groups: int = 1,
    ) -> None:
        super().__init__()
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(
                f'momentum must be None or between 0 and 1, got {momentum}'
            )
        self.num_features = num_features
        self.spec = spec
        self.momentum = momentum
        self.affine = affine
        self.tie_weight = tie_weight
        self.ratio_groups = ratio_groups
        self._make_parameters()
        if spec.uses_batch:
            self._make_buffers()
        self.reset_parameters()

    @property
    def eps(self) -> float:
        return self.spec.eps

    @property
    def stats(self) -> tuple[str, ...]:
        """Names of the statistics, in the order of the ratio logits; empty
        where the norm learns no ratios."""
        return self.spec.stats if self.has_ratios else ()

    @property
    def sync(self) -> Sync | None:
        """How batch statistics are shared over processes; None: not."""
        return None

    def _make_parameters(self) -> None:
        affine = (self.num_features,) if self.affine else None
        logits = None
        if self.has_ratios:
            logits = (self.ratio_groups, len(self.stats))
            logits = logits[1:] if self.ratio_groups == 1 else logits
        shapes = {
            'weight': affine,
            'bias': affine,
            'mean_weight': logits,
            'var_weight': None if self.tie_weight else logits,
        }
        for name, shape in shapes.items():
            value = shape and nn.Parameter(torch.empty(shape))
            self.register_parameter(name, value)

    @property
    def second_buffer(self) -> str | None:
        """Name of the running variance, covariance or whitening matrix;
        None where there are no batch statistics."""
        if not self.spec.uses_batch:
            return None
        if self.spec.running == 'matrix':
            return 'running_wm'
        return 'running_cov' if self.spec.whitens else 'running_var'

    def _make_buffers(self) -> None:
        second = (self.num_features,)
        if self.spec.whitens:
            rows = self.spec.num_rows
            second = (self.num_features // rows, rows, rows)
        self.register_buffer('running_mean', torch.empty(self.num_features))
        self.register_buffer(self.second_buffer, torch.empty(second))
        self.register_buffer('num_batches_tracked', torch.tensor(0))

    def reset_running_stats(self) -> None:
        """Running mean 0, variance 1 (covariance or matrix: identity)."""
        if not self.spec.uses_batch:
            return
        self.running_mean.zero_()
        second = getattr(self, self.second_buffer)
        rows = self.spec.num_rows if self.spec.whitens else 1
        second.zero_().view(-1, rows, rows).diagonal(dim1=1, dim2=2).fill_(1)
        self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, equal ratios, running statistics at their
        start."""
        self.reset_running_stats()
        for name, parameter in self.named_parameters(recurse=False):
            nn.init.constant_(parameter, 0 if name == 'bias' else 1)

    def _running(self) -> Running | None:
        if not self.spec.uses_batch:
            return None
        return Running(self.running_mean, getattr(self, self.second_buffer))

    def _momentum(self) -> float:
        """The weight of this batch, after counting it."""
        if not (self.training and self.spec.uses_batch):
            return 0.0
        self.num_batches_tracked.add_(1)
        if self.momentum is None:
            return 1.0 / float(self.num_batches_tracked)
        return self.momentum

    def forward(self, input: Tensor) -> Tensor:
        if isinstance(input, Proxy):
            return as_node(self, input)
        if input.dim() < 2 or input.shape[1] != self.num_features:
            raise ValueError(
                f'expected input (N, {self.num_features}, *), got '
                f'{tuple(input.shape)}'
            )
        cov_logits = self.mean_weight if self.tie_weight else self.var_weight
        return normalize(
            input,
            Parameters(self.weight, self.bias, self.mean_weight, cov_logits),
            self.spec,
            running=self._running(),
            training=self.training,
            momentum=self._momentum(),
            sync=self.sync,
        )

    def ratios(self) -> dict[str, dict[str, float]]:
        """The learned importance ratios, each set summing to 1.

        Returns:
            ``{'mean': {name: ratio}, 'var': {name: ratio}}``, averaged over
            the ratio groups; empty inner dicts where none are learned.
        """
        if not self.has_ratios:
            return {'mean': {}, 'var': {}}
        logits = {'mean': self.mean_weight, 'var': self.var_weight}
        if self.tie_weight:
            logits['var'] = self.mean_weight
        found = {}
        for moment, values in logits.items():
            values = values.detach().float().view(-1, len(self.stats))
            shares = importance_ratios(
                values, self.stats, self.stats, self.spec.hard
            )
            found[moment] = dict(zip(self.stats, shares.mean(0).tolist()))
        return found

    def extra_repr(self) -> str:
        shown = {'eps': self.eps}
        if self.spec.uses_batch:
            shown['momentum'] = self.momentum
        shown['affine'] = self.affine
        if self.spec.whitens:
            across = self.spec.across_groups
            rows = 'num_groups' if across else 'num_pergroup'
            shown[rows] = self.spec.num_rows
            shown['whitening'] = self.spec.whitening
            shown['T'] = self.spec.T
        if self.spec.uses_batch and not self.has_ratios:
            shown['running'] = self.spec.running
        if self.has_ratios:
            shown['tie_weight'] = self.tie_weight
            shown['hard'] = self.spec.hard
            if self.spec.whitens:
                shown['sw_type'] = len(self.stats)
            else:
                shown['stats'] = self.stats
                shown['ratio_groups'] = self.ratio_groups
        return ', '.join(
            [str(self.num_features)] + [f'{k}={v}' for k, v in shown.items()]
        )

    def __prepare_scriptable__(self) -> NoReturn:
        raise not_scriptable(self)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        own = adopt_bn_state(self, state_dict, prefix)
        super()._load_from_state_dict(own, prefix, *args)


class SyncStatistics:
    """Mixin: batch statistics over all processes, weighted by their
    elements.

    Outside a process group the norm is the local one. In training every
    process of the group must call the norm, also with an empty batch.
    """

    def __init__(
        self,
        *args,
        process_group: dist.ProcessGroup | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.process_group = process_group

    @property
    def sync(self) -> Sync:
        return Sync(self.process_group)
