"""What runs, groups and moments are called in figures and tables."""

from collections.abc import Sequence
from pathlib import Path

from ...analysis.receptive_field import IMAGE, ROI
from ..layers import LayerRatios
from ..runs import Run, Snapshot

DIVERGENCE = 'divergence'


def letters(runs: Sequence[Run]) -> list[str]:
    """Return a short label for each run; '' for a single run.

    The labels run from A to Z, then on from 27.
    """
    if len(runs) == 1:
        return ['']
    return [chr(65 + i) if i < 26 else str(i + 1) for i in range(len(runs))]


def short_names(paths: Sequence[Path]) -> list[str]:
    """Name files by folder and file, or in full if that is ambiguous."""
    names = ['/'.join(path.parts[-2:]) for path in paths]
    distinct = len(set(names)) == len(names)
    return names if distinct else [str(path) for path in paths]


def run_titles(runs: Sequence[Run]) -> list[str]:
    """Return the letter and short name of each run."""
    names = short_names([run.path for run in runs])
    return [f'{a}  {b}'.strip() for a, b in zip(letters(runs), names)]


def moment_names(runs: Sequence[Run]) -> dict[str, str]:
    """Name the moments 'mean' and 'var' for display.

    Whitening layers mix covariances, the others variances.
    """
    whitens = {layer.whitens for run in runs for layer in run.layers}
    names = {
        frozenset({False}): 'variance',
        frozenset({True}): 'covariance',
    }
    return {
        'mean': 'mean',
        'var': names.get(frozenset(whitens), '(co)variance'),
    }


def time_title(run: Run, snapshot: Snapshot) -> str:
    """Tell when a snapshot was taken, as 'iteration 400'."""
    return f'{run.time_axis} {getattr(snapshot, run.time_axis)}'


def capital(text: str) -> str:
    """Capitalize the first letter of a text and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def field_title(name: str) -> str:
    """Describe a range of receptive fields in words."""
    return f'whole {name}' if name in (IMAGE, ROI) else name


def layer_facts(layer: LayerRatios) -> str:
    """Tell the type of a layer and what the convolution before it sees."""
    facts = [layer.type + ' (one set of ratios)' * layer.tied]
    if layer.kernel:
        facts.append('{}×{} convolution'.format(*layer.kernel))
    if layer.shortcut:
        facts.append('shortcut')
    if isinstance(layer.receptive_field, int):
        facts.append(f'sees {layer.receptive_field} pixels')
    elif layer.receptive_field:
        facts.append(f'sees the {field_title(layer.receptive_field)}')
    return ' · '.join(facts)


def shares_text(shares: dict[str, float]) -> str:
    """Format ratios as text, such as 'in 0.250, ln 0.750'."""
    return ', '.join(f'{stat} {share:.3f}' for stat, share in shares.items())
