"""What a norm is, as the metadata of its state dict says.

A state dict holds a norm's tensors, but neither its type, nor the names of
its statistics, nor whether its ratios are hard. These travel in the metadata
that ``state_dict()`` carries beside the tensors (where torch keeps module
versions), so that no key is added and any other norm loads the tensors as
before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..ops import BATCH_STATS, METHODS, SAMPLE_STATS, NormSpec

METADATA_KEY = 'whiten_plugins'
"""Under this key a module's metadata holds its description."""

_STATS = (*SAMPLE_STATS, *BATCH_STATS)


@dataclass(frozen=True)
class NormDescription:
    """One norm, without its tensors.

    Attributes:
        type: name of its class; of a Sync norm that of the local one.
        spec: its statistics, grouping and whitening.
        has_ratios: whether it learns ratios of its statistics.
        num_instance: channels with InstanceNorm, where the others have
            another norm; None where all channels are alike.
    """

    type: str
    spec: NormSpec
    has_ratios: bool
    num_instance: int | None = None

    def to_metadata(self) -> dict[str, Any]:
        """Return plain values, which weights-only loading admits."""
        spec = self.spec
        return {
            'type': self.type,
            'has_ratios': self.has_ratios,
            'stats': tuple(spec.stats),
            'num_rows': spec.num_rows,
            'across_groups': spec.across_groups,
            'whitening': spec.whitening,
            'T': spec.T,
            'eps': float(spec.eps),
            'hard': spec.hard,
            'running': spec.running,
            'num_instance': self.num_instance,
        }

    @classmethod
    def from_metadata(cls, metadata: object) -> NormDescription:
        """Read what :meth:`to_metadata` wrote, from an untrusted file.

        Raises:
            ValueError: if it is anything else; names the entry.
        """
        if not isinstance(metadata, Mapping):
            raise ValueError(f'is {metadata!r:.60}, not a dict')
        for name, is_valid in _ENTRIES.items():
            if name not in metadata:
                raise ValueError(f'has no {name!r}')
            if not is_valid(metadata[name]):
                raise ValueError(f'has {name}={metadata[name]!r:.60}')
        entries = {name: metadata[name] for name in _ENTRIES}
        kind, has_ratios = entries.pop('type'), entries.pop('has_ratios')
        num_instance = entries.pop('num_instance')
        entries['stats'] = tuple(entries['stats'])
        return cls(kind, NormSpec(**entries), has_ratios, num_instance)


def _is_type_name(value: object) -> bool:
    return isinstance(value, str) and value.isidentifier()


def _are_stats(value: object) -> bool:
    return (
        isinstance(value, (tuple, list))
        and 0 < len(value) <= len(_STATS)
        and all(isinstance(name, str) and name in _STATS for name in value)
        and len(set(value)) == len(value)
    )


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_eps(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value >= 0


def _one_of(*values: str) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in values


_ENTRIES: dict[str, Callable[[object], bool]] = {
    'type': _is_type_name,
    'has_ratios': _is_bool,
    'stats': _are_stats,
    'num_rows': _is_count,
    'across_groups': _is_bool,
    'whitening': _one_of(*METHODS),
    'T': _is_count,
    'eps': _is_eps,
    'hard': _is_bool,
    'running': _one_of('cov', 'matrix'),
    'num_instance': lambda value: value is None or _is_count(value),
}
