"""The norms of a checkpoint: what they are and which ratios they learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..analysis.layer_names import network_order
from ..norms.description import METADATA_KEY, NormDescription
from ..norms.switchable import SN_STATS, SW_STATS
from ..ops import importance_ratios
from .config_text import ConfiguredNorm, find_norms, norms_of
from .reading import Checkpoint, CheckpointError, module_metadata

LOGITS = ('mean_weight', 'var_weight')
MATRICES = ('running_cov', 'running_wm')
UNNAMED = 'stat'


@dataclass(frozen=True)
class NormLayer:
    """One norm layer of a checkpoint.

    Attributes:
        name: name of the module in the network.
        type: its type, of a Sync norm the local one.
        stats: its statistics, in the order of the ratio logits if it learns
            ratios; ``stat1``, ``stat2`` … where the file does not name them.
        hard: whether only the largest ratio counts.
        tensors: its tensors by their names in the module.
        kernel: height and width of the convolution before it; None where
            the checkpoint does not tell.
        described: whether the checkpoint itself says so, not its config or
            its tensors' shapes.
        num_instance: channels with InstanceNorm, where the others have
            another norm; None where all channels are alike.
    """

    name: str
    type: str
    stats: tuple[str, ...]
    hard: bool
    tensors: Mapping[str, Tensor] = field(repr=False)
    kernel: tuple[int, int] | None = None
    described: bool = False
    num_instance: int | None = None

    @property
    def learns_ratios(self) -> bool:
        """Whether it has ratio logits."""
        return LOGITS[0] in self.tensors

    @property
    def named(self) -> bool:
        """Whether the file names its statistics."""
        return not self.stats[0].startswith(UNNAMED)

    @property
    def tied(self) -> bool:
        """Whether one set of logits serves for means and covariances."""
        return LOGITS[1] not in self.tensors

    @property
    def logits(self) -> tuple[Tensor, Tensor]:
        """Logits of the means and of the (co)variances."""
        mean = self.tensors[LOGITS[0]]
        return mean, self.tensors.get(LOGITS[1], mean)

    @property
    def ratios(self) -> tuple[Tensor, Tensor]:
        """Ratios of the means and of the (co)variances, a row a group."""
        mean, var = (
            importance_ratios(
                logits.double(), self.stats, self.stats, self.hard
            ).reshape(-1, len(self.stats))
            for logits in self.logits
        )
        return mean, var

    @property
    def mean(self) -> dict[str, float]:
        """Ratio of each statistic of the mean, averaged over the groups."""
        return dict(zip(self.stats, self.ratios[0].mean(0).tolist()))

    @property
    def var(self) -> dict[str, float]:
        """Ratio of each statistic of the (co)variance, likewise."""
        return dict(zip(self.stats, self.ratios[1].mean(0).tolist()))


def read_norm_layers(checkpoint: Checkpoint) -> list[NormLayer]:
    """List the norms of this package's family in a checkpoint.

    A norm says what it is in the metadata of its state dict. A file without
    that is older or from elsewhere: there, norms are the modules with ratio
    logits, which take type and statistics from the config text, else from
    the shapes of their tensors.

    Args:
        checkpoint: weights, their metadata and the config text.

    Returns:
        list[NormLayer]: In network order, as far as names tell it.

    Raises:
        CheckpointError: if a norm's metadata are not what a norm writes, or
            its ratio logits are not those of such a norm.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    for key, value in checkpoint.state_dict.items():
        module, _, tensor = key.rpartition('.')
        modules.setdefault(module, {})[tensor] = value
    metadata = module_metadata(checkpoint.state_dict)
    described = {
        name: entries[METADATA_KEY]
        for name, entries in metadata.items()
        if METADATA_KEY in entries and name in modules
    }
    names = [
        name
        for name, tensors in modules.items()
        if name in described or (name and LOGITS[0] in tensors)
    ]
    configured = find_norms(checkpoint.config)
    kernels = _kernels(checkpoint.state_dict, set(names))
    layers = []
    try:
        for name in network_order(names):
            tensors = modules[name]
            _check(name, tensors)
            if name in described:
                layer = _described(name, tensors, described[name])
            else:
                layer = _recognized(name, tensors, configured)
            layers.append(replace(layer, kernel=kernels.get(name)))
    except CheckpointError as error:
        raise CheckpointError(f'{checkpoint.path}: {error}') from None
    return layers


def read_ratio_layers(checkpoint: Checkpoint) -> list[NormLayer]:
    """List the norms of a checkpoint that learn ratios.

    Raises:
        CheckpointError: as :func:`read_norm_layers`, and if there are none.
    """
    layers = [n for n in read_norm_layers(checkpoint) if n.learns_ratios]
    if not layers:
        raise CheckpointError(
            f'{checkpoint.path}: no SN or SW layer in it, nor another that '
            f"learns ratios (no '*.{LOGITS[0]}' among its "
            f'{len(checkpoint.state_dict)} tensors)'
        )
    return layers


def _kernels(
    weights: Mapping[str, Tensor], norms: set[str]
) -> dict[str, tuple[int, int]]:
    """Return the kernel size of the convolution that each layer normalizes.

    That is the last one registered before the layer in the same module.
    """
    kernels: dict[str, tuple[int, int]] = {}
    latest: dict[str, tuple[int, int]] = {}
    for key, weight in weights.items():
        module = key.rpartition('.')[0]
        parent = module.rpartition('.')[0]
        if module in norms:
            if parent in latest:
                kernels.setdefault(module, latest[parent])
        elif key.endswith('.weight') and weight.dim() == 4:
            height, width = weight.shape[2:]
            latest[parent] = (height, width)
    return kernels


def _check(name: str, tensors: Mapping[str, Tensor]) -> None:
    if not name.isprintable():  # it would reach the terminal
        raise CheckpointError(f'{name!r}: not a module name')
    if LOGITS[0] not in tensors:
        return
    mean = tensors[LOGITS[0]]
    var = tensors.get(LOGITS[1], mean)
    shaped = mean.dim() in (1, 2) and mean.numel() > 0
    if not shaped or mean.shape != var.shape:
        raise CheckpointError(
            f'{name}: mean_weight {tuple(mean.shape)} and var_weight '
            f'{tuple(var.shape)} must both be (K,) or (ratio_groups, K)'
        )
    for key, logits in zip(LOGITS, (mean, var)):
        if not logits.dtype.is_floating_point:
            raise CheckpointError(f'{name}.{key}: is {logits.dtype}')
        if not torch.isfinite(logits).all():
            raise CheckpointError(
                f'{name}.{key}: {logits.tolist()} is not finite; the '
                f'training had diverged when this was saved'
            )


def _described(
    name: str, tensors: Mapping[str, Tensor], metadata: object
) -> NormLayer:
    try:
        found = NormDescription.from_metadata(metadata)
    except ValueError as error:
        raise CheckpointError(
            f'{name}: its description {error}, which no norm writes'
        ) from None
    logits = tensors.get(LOGITS[0])
    num_ratios = 0 if logits is None else logits.shape[-1]
    if num_ratios != (len(found.spec.stats) if found.has_ratios else 0):
        raise CheckpointError(
            f'{name}: {num_ratios} ratios, but it is described as '
            f'{found.type} of {", ".join(found.spec.stats)}, '
            f'{"with" if found.has_ratios else "without"} ratios'
        )
    spec = found.spec
    return NormLayer(
        name,
        found.type,
        spec.stats,
        spec.hard,
        tensors,
        described=True,
        num_instance=found.num_instance,
    )


def _recognized(
    name: str,
    tensors: Mapping[str, Tensor],
    configured: list[ConfiguredNorm],
) -> NormLayer:
    """Recognize a norm that does not say what it is.

    It is SN or SW, of this package or as published, or what the config's text
    says.
    """
    num_stats = tensors[LOGITS[0]].shape[-1]
    buffers = ('running_var', *MATRICES)
    buffer = next((b for b in buffers if b in tensors), None)
    fitting = norms_of(name, num_stats, buffer, configured)
    types = {norm.type for norm in fitting}
    named = {norm.stats for norm in fitting}
    if len(types) == 1:
        (kind,) = types
    else:
        kind = _type_of_tensors(name, num_stats, buffer in MATRICES)
    if not fitting and buffer in MATRICES:
        named = {SW_STATS[num_stats]}
    elif not fitting and num_stats == len(SN_STATS):
        named = {SN_STATS}
    numbered = tuple(f'{UNNAMED}{i + 1}' for i in range(num_stats))
    stats = named.pop() if len(named) == 1 else numbered
    hard = bool(fitting) and all(norm.hard for norm in fitting)
    return NormLayer(name, kind, stats, hard, tensors)


def _type_of_tensors(name: str, num_stats: int, whitens: bool) -> str:
    kind = 'SW' if whitens else 'SN'
    known = SW_STATS if whitens else range(1, len(SN_STATS) + 1)
    if num_stats not in known:
        raise CheckpointError(
            f'{name}: {num_stats} ratios; {kind} has '
            f'{", ".join(map(str, known))}'
        )
    return kind
