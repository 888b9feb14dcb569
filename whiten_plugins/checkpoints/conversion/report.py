"""What a conversion did."""

from __future__ import annotations

from dataclasses import dataclass

from ..averages import average_ratios, by_stage
from ..norm_layers import NormLayer
from .backbone import Fitted
from .norms import CARRIED, CONVERTED, NormChange


@dataclass(frozen=True)
class Report:
    """One conversion.

    Attributes:
        source: the checkpoint as the user named it.
        layout: its layout.
        architecture: its network, in words.
        config: the config's path; None without one.
        destination: the file written.
        to: the layout written.
        init_ratios: where ratios start that the source does not have.
        fitted: layers and keys by what happened to them.
        learned: the source's norms that learned ratios.
        notes: what a user has to know, in sentences.
    """

    source: str
    layout: str
    architecture: str
    config: str | None
    destination: str
    to: str
    init_ratios: str
    fitted: Fitted
    learned: list[NormLayer]
    notes: list[str]

    def as_dict(self) -> dict:
        """Return everything for JSON and the checkpoint's ``meta``."""
        fitted = self.fitted
        converted = [n for n in fitted.norms if n.action == CONVERTED]
        carried = [n.name for n in fitted.norms if n.action == CARRIED]
        return {
            'source': self.source,
            'layout': self.layout,
            'architecture': self.architecture,
            'config': self.config,
            'destination': self.destination,
            'to': self.to,
            'init_ratios': self.init_ratios,
            'layers': {
                CARRIED: fitted.layers + carried,
                CONVERTED: {n.name: _change(n) for n in converted},
                'initialized': fitted.started,
            },
            'added': fitted.added,
            'dropped': fitted.dropped,
            'ratios': {
                'layers': {r.name: _ratios(r) for r in self.learned},
                'averages': averages_by_stage(self.learned),
            },
            'notes': self.notes,
        }


def averages_by_stage(learned: list[NormLayer]) -> dict[str, dict]:
    """Average ratios over the layers of each stage, and over 'all'.

    Args:
        learned: ratios in network order.

    Returns:
        dict[str, dict]: By stage ('stem', 'layer1', …), then 'all', the
        number of 'layers' and the averages 'mean' and 'var' by statistic;
        empty without ratios.
    """
    groups = {**by_stage(learned), 'all': learned} if learned else {}
    return {
        stage: {'layers': len(layers), **average_ratios(layers)}
        for stage, layers in groups.items()
    }


def _change(change: NormChange) -> dict:
    return {
        'from': change.source,
        'to': change.target,
        'carried': change.carried,
        'started': change.started,
        'dropped': change.dropped,
    }


def _ratios(ratios: NormLayer) -> dict:
    return {
        'type': ratios.type,
        'stats': list(ratios.stats),
        'mean': ratios.mean,
        'var': ratios.var,
    }
