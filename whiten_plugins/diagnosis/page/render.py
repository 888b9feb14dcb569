"""Fill the page's template with a diagnosis."""

from __future__ import annotations

import base64
import math
from typing import Any

import torch

from ...analysis.layer_names import locate
from ...analysis.limits import LIMITS
from ...utils.page import fill_page
from ..advice import SUGGESTIONS
from ..results import Diagnosis, NormDiagnosis, Spread
from ..table import map_text, number, values_text


def render(found: Diagnosis) -> str:
    """Write the page.

    Args:
        found: the diagnosis.

    Returns:
        str: HTML that needs no other file.
    """
    return fill_page(
        __package__,
        data=[_layer(norm) for norm in found.norms],
        about=found.about,
        facts=_facts(found),
        advice=[
            {
                'kind': 'suggestion' if a.problem in SUGGESTIONS else 'found',
                'problem': a.problem,
                'sentence': a.sentence,
                'norm': a.norms[0],
                'limit': LIMITS[a.problem],
            }
            for a in found.advice
        ],
        not_run=found.not_run,
        rows=[_row(norm) for norm in found.norms],
        noise_limit=LIMITS['batch noise'].value,
    )


def _facts(found: Diagnosis) -> list[tuple[str, str]]:
    images = found.about.get('images a batch')
    faults = [a for a in found.advice if a.problem not in SUGGESTIONS]
    before, after = (
        _median([getattr(n, side).condition.k90 for n in found.norms])
        for side in ('before', 'after')
    )
    gaps = [n.noise.gap for n in found.norms if math.isfinite(n.noise.gap)]
    return [
        (str(len(found.norms)), 'norms that ran'),
        (
            str(found.batches),
            f'batches of {images} images' if images else 'batches',
        ),
        (str(len(faults)), 'findings'),
        (
            f'{number(before)} → {number(after)}',
            'median condition (90 %) before and after a norm',
        ),
        (
            f'{max(gaps, default=0.0):.2f}',
            'largest train–test gap, in deviations',
        ),
    ]


def _median(values: list[float]) -> float:
    values = sorted(v for v in values if not math.isnan(v))
    return values[len(values) // 2] if values else math.nan


def _layer(norm: NormDiagnosis) -> dict[str, Any]:
    """Collect what the script draws of a norm."""
    part, stage, label = locate(norm.name)
    noise = norm.noise
    return {
        'name': norm.name,
        'type': norm.info.type,
        'part': f'{part} {stage}'.strip(),
        'label': label,
        'map': map_text(norm),
        'values': values_text(norm),
        'before': _side(norm.before),
        'after': _side(norm.after),
        'noise': _finite(noise.per_channel),
        'gap': _finite(noise.gap),
        'off': _finite(noise.second_off),
        'deviation': _finite(norm.deviation),
        'whatIf': [
            {
                'norm': w.norm,
                'size': w.size,
                'T': w.T,
                'k90': number(w.condition.k90),
            }
            for w in norm.what_if
        ],
    }


def _side(spread: Spread) -> dict[str, Any]:
    picture = spread.correlation
    values = torch.empty(0) if picture is None else picture
    bytes_ = (values * 127).round().to(torch.int8).numpy().tobytes()
    return {
        'k90': _finite(spread.condition.k90),
        'k100': _finite(spread.condition.k100),
        'correlation': _finite(spread.largest_correlation),
        'size': len(values),
        'channels': spread.channels,
        'picture': base64.b64encode(bytes_).decode(),
    }


def _finite(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return 'inf' if math.isinf(value) else value


def _row(norm: NormDiagnosis) -> list[str]:
    noise = norm.noise
    groups = norm.after.groups
    return [
        norm.name,
        norm.info.type,
        norm.info.state,
        map_text(norm),
        values_text(norm),
        *(
            number(value)
            for value in (
                norm.before.condition.k90,
                norm.after.condition.k90,
                groups.median.k90 if groups else math.nan,
                norm.after.largest_correlation,
                norm.before.scale_spread,
                norm.deviation,
                noise.snd or math.nan,
                noise.per_channel or math.nan,
                noise.gap or math.nan,
                noise.second_off,
            )
        ),
        str(len(norm.dead) or ''),
    ]
