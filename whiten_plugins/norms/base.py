"""What every norm of the family shares: parameters, buffers, modes."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

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
    whitening_norm,
)
from .bn_state import adopt_bn_state
from .description import METADATA_KEY, NormDescription
from .one_image import warn_of_one_image
from .tracing import as_node, not_scriptable


class WhiteningNorm(nn.Module):
    """Base of the family; a subclass chooses the :class:`NormSpec`.

    A norm of one's own is such a subclass, in any package: it registers
    itself in mmengine's ``MODELS``, and every tool of this package works
    with it, since its state dict says what it is (:attr:`description`).

    Args:
        num_features: C, channels of the input.
        spec: statistics, grouping and whitening.
        momentum: weight of a batch in the running statistics, as torch's
            BatchNorm means it; None for a cumulative average.
        affine: learn ``weight`` and ``bias``.
        tie_weight: one set of ratios for means and covariances.
        ratio_groups: groups of channels with ratios of their own.

    Examples::

        >>> from whiten_plugins.ops import NormSpec
        >>> class BatchAndLayerNorm(WhiteningNorm):
        ...     has_ratios = True
        ...
        ...     def __init__(self, num_features, eps=1e-5, momentum=0.1):
        ...         spec = NormSpec(('bn', 'ln'), num_rows=1, eps=eps)
        ...         super().__init__(num_features, spec, momentum)
        >>> BatchAndLayerNorm(64).ratios()['mean']
        {'bn': 0.5, 'ln': 0.5}
    """

    _abbr_ = 'bn'
    has_ratios: ClassVar[bool] = False
    num_instance: int | None = None

    if TYPE_CHECKING:  # torch.jit.trace cannot read these annotations
        weight: nn.Parameter | None
        bias: nn.Parameter | None
        mean_weight: nn.Parameter | None
        var_weight: nn.Parameter | None
        running_mean: Tensor
        num_batches_tracked: Tensor

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
        self._make_buffers()
        self.reset_parameters()

    @property
    def eps(self) -> float:
        return self.spec.eps

    @property
    def stats(self) -> tuple[str, ...]:
        """Names of the statistics, in the order of the ratio logits.

        Empty if the norm learns no ratios.
        """
        return self.spec.stats if self.has_ratios else ()

    @property
    def description(self) -> NormDescription:
        """What the norm is, as its state dict's metadata says."""
        name = type(self).__name__
        if isinstance(self, SyncStatistics):
            name = name.removeprefix('Sync')
        return NormDescription(
            name, self.spec, self.has_ratios, self.num_instance
        )

    @property
    def sync(self) -> Sync | None:
        """How batch statistics are shared over processes; None: not."""
        return None

    def _make_parameters(self) -> None:
        affine = (self.num_features,) if self.affine else None
        logits: tuple[int, ...] | None = None
        if self.has_ratios:
            sets = () if self.ratio_groups == 1 else (self.ratio_groups,)
            logits = (*sets, len(self.stats))
        shapes: dict[str, tuple[int, ...] | None] = {
            'weight': affine,
            'bias': affine,
            'mean_weight': logits,
            'var_weight': None if self.tie_weight else logits,
        }
        for name, shape in shapes.items():
            value = None if shape is None else torch.empty(shape)
            self.register_parameter(
                name, None if value is None else nn.Parameter(value)
            )

    @property
    def covariance_buffer(self) -> str | None:
        """Name of the running variance, covariance or whitening matrix.

        None where there are no batch statistics.
        """
        if not self.spec.uses_batch:
            return None
        if self.spec.running == 'matrix':
            return 'running_wm'
        return 'running_cov' if self.spec.whitens else 'running_var'

    def _make_buffers(self) -> None:
        covariance = self.covariance_buffer
        if covariance is None:
            return
        shape: tuple[int, ...] = (self.num_features,)
        if self.spec.whitens:
            rows = self.spec.num_rows
            shape = (self.num_features // rows, rows, rows)
        self.register_buffer('running_mean', torch.empty(self.num_features))
        self.register_buffer(covariance, torch.empty(shape))
        self.register_buffer('num_batches_tracked', torch.tensor(0))

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, variances to 1, matrices to identity."""
        covariance = self.covariance_buffer
        if covariance is None:
            return
        self.running_mean.zero_()
        matrices = getattr(self, covariance).zero_()
        rows = self.spec.num_rows if self.spec.whitens else 1
        matrices.view(-1, rows, rows).diagonal(dim1=1, dim2=2).fill_(1)
        self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Reset parameters and running statistics to their initial values.

        Weight becomes 1, bias 0, and the ratios equal.
        """
        self.reset_running_stats()
        for name, parameter in self.named_parameters(recurse=False):
            nn.init.constant_(parameter, 0 if name == 'bias' else 1)

    def _running(self) -> Running | None:
        covariance = self.covariance_buffer
        if covariance is None:
            return None
        return Running(
            self.running_mean,
            getattr(self, covariance),
            self.num_batches_tracked,
        )

    def _logits(self, input: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the ratio logits of the means and of the covariances."""
        if self.tie_weight:
            return self.mean_weight, self.mean_weight
        return self.mean_weight, self.var_weight

    def _check_input(self, input: Tensor) -> None:
        if input.dim() < 2 or input.shape[1] != self.num_features:
            raise ValueError(
                f'expected input (N, {self.num_features}, *), got '
                f'{tuple(input.shape)}'
            )

    def forward(self, input: Tensor) -> Tensor:
        if isinstance(input, Proxy):
            return as_node(self, input)
        self._check_input(input)
        if self.training and self.has_ratios:
            warn_of_one_image(self, input)
        return whitening_norm(
            input,
            Parameters(self.weight, self.bias, *self._logits(input)),
            self.spec,
            running=self._running(),
            training=self.training,
            momentum=self.momentum,
            sync=self.sync,
        )

    def ratios(self) -> dict[str, dict[str, float]]:
        """Return the learned importance ratios, each set summing to 1.

        Returns:
            ``{'mean': {name: ratio}, 'var': {name: ratio}}``, averaged over
            the ratio groups; empty inner dicts where none are learned.
        """
        mean = self.mean_weight
        var = mean if self.tie_weight else self.var_weight
        if mean is None or var is None:  # neither without ratios
            return {'mean': {}, 'var': {}}
        found = {}
        for moment, logits in (('mean', mean), ('var', var)):
            values = logits.detach().float().view(-1, len(self.stats))
            shares = importance_ratios(
                values, self.stats, self.stats, self.spec.hard
            )
            found[moment] = dict(zip(self.stats, shares.mean(0).tolist()))
        return found

    def extra_repr(self) -> str:
        shown = self._shown_arguments()
        return ', '.join(
            [str(self.num_features)] + [f'{k}={v}' for k, v in shown.items()]
        )

    def _shown_arguments(self) -> dict[str, Any]:
        """Return the arguments that ``repr`` shows after the channels."""
        shown: dict[str, Any] = {'eps': self.eps}
        if self.spec.uses_batch:
            shown['momentum'] = self.momentum
        shown['affine'] = self.affine
        if self.spec.whitens:
            across = self.spec.across_groups
            name = 'num_groups' if across else 'num_pergroup'
            shown[name] = self.spec.num_rows
            shown['whitening'] = self.spec.whitening
            shown['T'] = self.spec.T
        if self.spec.uses_batch and not self.has_ratios:
            shown['running'] = self.spec.running
        if self.has_ratios:
            shown['stats'] = self.stats
            shown['tie_weight'] = self.tie_weight
            shown['ratio_groups'] = self.ratio_groups
            shown['hard'] = self.spec.hard
        return shown

    def __prepare_scriptable__(self) -> NoReturn:
        raise not_scriptable(self)

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, '_metadata', None)
        if metadata is not None:  # a plain dict has nowhere to keep it
            own = metadata.setdefault(prefix[:-1], {})
            own[METADATA_KEY] = self.description.to_metadata()

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any
    ) -> None:
        tensors = {**self._parameters, **self._buffers}
        own = adopt_bn_state(
            self.spec,
            {k: v for k, v in tensors.items() if v is not None},
            state_dict,
            prefix,
            self.num_features,
        )
        super()._load_from_state_dict(own, prefix, *args)


class SyncStatistics:
    r"""Mixin: batch statistics over all processes.

    With :math:`M_p` elements a channel on process p, which may be none,

    .. math::
        \mu = \frac{\sum_p M_p \mu_p}{\sum_p M_p}, \qquad
        \Sigma = \frac{\sum_p M_p
            (\Sigma_p + \mu_p \mu_p^T)}{\sum_p M_p} - \mu \mu^T

    of which variances are the diagonal (SN eq. 15-22), in one all-reduce
    forward and one backward. Batches may differ in size between processes.
    Outside a process group, and in evaluation, a Sync norm is the local one.

    In training every process of the group must call the norm, also with an
    empty batch.

    Args:
        args: those of the local norm, by position or by name.
        process_group: processes that share statistics; None for all.
        kwargs: as ``args``.
    """

    if TYPE_CHECKING:  # as in the base
        __signature__: ClassVar[inspect.Signature]

    def __init__(
        self,
        *args: Any,
        process_group: dist.ProcessGroup | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.process_group = process_group

    def __init_subclass__(cls) -> None:
        """Show the arguments of the local norm as the class's own."""
        super().__init_subclass__()
        shown = inspect.signature(cls.__init__).parameters
        self, *parameters = shown.values()
        if cls.__init__ is SyncStatistics.__init__:
            own = shown['process_group']
            after = cls.__mro__.index(SyncStatistics) + 1
            local = inspect.signature(cls.__mro__[after])
            parameters = [*local.parameters.values(), own]
        cls.__signature__ = inspect.Signature(parameters)

    @property
    def sync(self) -> Sync:
        """All processes of the group."""
        return Sync(self.process_group)

    def __deepcopy__(self, memo: dict[int, Any]) -> SyncStatistics:
        """Copy all but the process group, which belongs to the processes."""
        memo[id(self.process_group)] = self.process_group
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied
