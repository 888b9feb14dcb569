"""One norm's state, fitted to the norm that stands in its place.

What the target has under the same name and shape is carried over. Everything
else starts from what the source amounts to as a BatchNorm (weight, bias,
running mean and variances), as :mod:`whiten_plugins.norms.bn_state` does for
BatchNorm's own; :mod:`.initial_ratios` says where the ratios start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ...norms.base import SyncStatistics, WhiteningNorm
from ...placement.norm_types import num_channels
from ..norm_layers import LOGITS, MATRICES, NormLayer
from .errors import ConversionError
from .initial_ratios import start_ratios
from .layouts import COUNT, State

CARRIED, CONVERTED = 'carried over', 'converted'
FROM_VARIANCES = 'from the variances'
_VECTORS = ('weight', 'bias', 'running_mean', 'running_var')
_START = {'weight': 'at 1', 'bias': 'at 0', 'running_mean': 'at 0'}


@dataclass(frozen=True)
class NormChange:
    """What became of one norm.

    Attributes:
        name: its module in the backbone.
        source: its type in the source.
        target: its type in the backbone.
        carried: tensors of the target that are the source's.
        started: how the others start, by tensor.
        dropped: tensors of the source that the target has no use for.
        sync: whether the target shares statistics over processes.
        stats: the statistics of the target's ratios, in their order.
        num_instance: channels of the target with InstanceNorm, where the
            others have another norm.
    """

    name: str
    source: str
    target: str
    carried: list[str] = field(default_factory=list)
    started: dict[str, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    sync: bool = False
    stats: tuple[str, ...] = ()
    num_instance: int | None = None

    @property
    def local_target(self) -> str:
        """The target's type without the prefix of Sync norms."""
        return self.target.removeprefix('Sync') if self.sync else self.target

    @property
    def action(self) -> str:
        """``CARRIED`` for the source's norm as it was, else ``CONVERTED``."""
        same = self.source == self.local_target
        return CARRIED if same and not self.started else CONVERTED


def kind_of_module(norm: nn.Module) -> str:
    """Return the type of a norm as a ``norm_cfg`` names it."""
    name = type(norm).__name__
    known = {'BatchNorm2d': 'BN', 'SyncBatchNorm': 'SyncBN'}
    return known.get(name, name)


def kind_of_state(state: Mapping[str, Tensor], layer: NormLayer | None) -> str:
    """Return the type of norm that a state of this package belongs to.

    Of types with the same state it is the one that was published (ItN, not
    BW; GW, not IW), unless the checkpoint says what it is.

    Args:
        state: the norm's tensors.
        layer: the norm, where it is one that the checkpoint tells of.
    """
    if layer is not None:
        return layer.type
    kinds = dict(running_wm='ItN', running_cov='BW', running_var='BN')
    return next((kinds[name] for name in kinds if name in state), 'GW')


def norm_states(state: Mapping[str, Tensor]) -> dict[str, State]:
    """Collect the norms in a state dict of this package, by module."""
    modules: dict[str, State] = {}
    for key, value in state.items():
        module, _, tensor = key.rpartition('.')
        modules.setdefault(module, {})[tensor] = value
    return {
        module: tensors
        for module, tensors in modules.items()
        if {'running_mean', 'mean_weight'} & tensors.keys()
        or ('weight' in tensors and tensors['weight'].dim() == 1)
    }


def fit_norm(
    name: str,
    state: State,
    norm: nn.Module,
    source: NormLayer | None,
    init_ratios: str,
) -> tuple[State, NormChange]:
    """Fit a norm's state to another norm.

    Args:
        name: the norm's module, for messages.
        state: the source's, in our names and shapes.
        norm: the target, at its start values; it is changed.
        source: the source's norm, where the checkpoint tells what it is.
        init_ratios: 'uniform' or 'bn', where ratios start that the source
            does not have.

    Returns:
        The target's state and what became of it.

    Raises:
        ConversionError: if a tensor does not have the target's channels.
    """
    check_shapes(name, state, num_channels(norm))
    start = norm.state_dict()
    bn = _as_batch_norm(name, state)
    norm.load_state_dict(bn, strict=False)
    own = norm.state_dict()
    exact = {
        key: value
        for key, value in state.items()
        if key not in LOGITS and key in own and own[key].shape == value.shape
    }
    fitted = {**own, **{k: v.to(own[k].dtype) for k, v in exact.items()}}
    started = {
        key: _how_it_starts(key, bn)
        for key in start
        if key not in exact and key not in LOGITS and key != COUNT
    }
    carried = [key for key in start if key in exact]
    if isinstance(norm, WhiteningNorm) and norm.has_ratios:
        learned = source if source and source.learns_ratios else None
        ratios = start_ratios(norm, learned, init_ratios)
        fitted |= ratios.logits
        carried += ratios.carried
        started |= ratios.started
    dropped = [key for key in state if key not in fitted and key != COUNT]
    sync = isinstance(norm, (SyncStatistics, nn.SyncBatchNorm))
    change = NormChange(
        name,
        kind_of_state(state, source),
        kind_of_module(norm),
        carried,
        started,
        dropped,
        sync,
        getattr(norm, 'stats', ()),
        getattr(norm, 'num_instance', None),
    )
    split = source and source.num_instance
    if split and change.num_instance and split != change.num_instance:
        raise ConversionError(
            f"{name}: has {split} channels with InstanceNorm, the config's "
            f'norm {change.num_instance}; set its half'
        )
    same = state.keys() - {COUNT} == fitted.keys() - {COUNT}
    if source is None and same and not started:
        # The same state belongs to several types; the target's is as likely.
        kind = _same_state(change.source, change.local_target)
        change = replace(change, source=kind)
    return fitted, change


def _same_state(source: str, target: str) -> str:
    alike = ({'ItN', 'BW'}, {'GW', 'IW'})
    return target if {source, target} in alike else source


def _as_batch_norm(name: str, state: State) -> State:
    """Convert a norm to the BatchNorm that it amounts to.

    Its variances are the diagonal of the covariance, which for a whitening
    matrix W is (W W^T)^(-1).
    """
    kept = {key: state[key] for key in (*_VECTORS, COUNT) if key in state}
    covariance = state.get('running_cov')
    if 'running_wm' in state:
        matrix = state['running_wm'].double()
        covariance, singular = torch.linalg.inv_ex(matrix @ matrix.mT)
        if singular.any():
            raise ConversionError(f'{name}.running_wm is singular')
    if covariance is not None:
        variance = covariance.diagonal(dim1=1, dim2=2).flatten()
        kept['running_var'] = variance.clamp(min=0).float()
    return kept


def _how_it_starts(tensor: str, bn: State) -> str:
    if tensor in _START:
        return _START[tensor]
    if 'running_var' in bn:
        return FROM_VARIANCES
    return 'at 1' if tensor == 'running_var' else 'at the identity'


def check_shapes(name: str, state: State, channels: int | None = None) -> None:
    """Check that tensors belong to a single norm.

    Args:
        name: its module, for messages.
        state: its state in our names and shapes.
        channels: what they have to be for; None for their own.

    Raises:
        ConversionError: naming the tensor that is not.
    """
    vectors = {key: state[key] for key in _VECTORS if key in state}
    if channels is None:
        channels = max((v.numel() for v in vectors.values()), default=0)
    for tensor, value in vectors.items():
        if tuple(value.shape) != (channels,):
            raise ConversionError(
                f'{name}.{tensor} is {tuple(value.shape)}, but the norm there '
                f'has {channels} channels'
            )
    if COUNT in state and state[COUNT].dim():
        raise ConversionError(f'{name}.{COUNT} is not a number')
    for tensor in MATRICES:
        if tensor not in state:
            continue
        groups, *sides = shape = tuple(state[tensor].shape) or (0,)
        if sides != [channels // max(1, groups)] * 2:
            raise ConversionError(
                f'{name}.{tensor} is {shape}, not (G, c, c) with G·c = '
                f'{channels}, the channels there'
            )
