"""The ratio report as a picture: a stacked bar a layer, as SN Fig. 5, 11.

Above the bars stand the parts of the network and the residual stages, set
apart by gaps; below them the layers. All lengths are in inches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .layers import CheckpointRatios, LayerRatios
from .network import locate
from .palette import COLORS

BARS_WIDTH = 11.5  # of all bars together, once there are many
MAX_PITCH = 0.28  # from bar to bar, when there are few
MIN_PITCH = 0.11  # from label to label; closer ones are thinned out
LEFT, RIGHT = 0.75, 0.25
PANEL, PANEL_GAP = 1.55, 0.16
TITLE, HEADINGS = 0.42, 0.5
STAGE_GAP, PART_GAP = 0.6, 1.4  # in bars
GREY = '#666666'


@dataclass(frozen=True)
class Bars:
    """Where the bars and headings of a checkpoint stand, in bars.

    Attributes:
        centers: the middle of each layer's bar.
        labels: its label.
        parts: title, start and end of each part.
        stages: likewise of each residual stage.
        width: the end of the last part.
        pitch: inches a bar.
    """

    centers: list[float]
    labels: list[str]
    parts: list[tuple[str, float, float]]
    stages: list[tuple[str, float, float]]
    width: float
    pitch: float


def draw_ratios(reports: Sequence[CheckpointRatios]) -> Figure:
    """Draw the ratios of checkpoints.

    Args:
        reports: one or more checkpoints, drawn below one another.

    Returns:
        Figure: Two axes a checkpoint, the ratios of the means and those of
        the (co)variances, each with one bar container a statistic.
    """
    rows = [arrange(ratios.layers) for ratios in reports]
    label_height = 0.15 + 0.056 * max(
        len(label) for bars in rows for label in bars.labels
    )
    row_height = TITLE + HEADINGS + 2 * PANEL + PANEL_GAP + label_height
    width = max(6.5, LEFT + RIGHT + max(b.width * b.pitch for b in rows))
    height = row_height * len(rows) + 0.1
    figure = Figure(figsize=(width, height), facecolor='white')
    titles = short_names([ratios.path for ratios in reports])
    for index, (ratios, bars) in enumerate(zip(reports, rows)):
        top = height - index * row_height - TITLE - HEADINGS
        panels = [
            _add_panel(figure, top - PANEL),
            _add_panel(figure, top - 2 * PANEL - PANEL_GAP),
        ]
        _draw_title(figure, panels[0], titles[index], ratios.stats)
        _draw_headings(panels[0], bars)
        kinds = {layer.type for layer in ratios.layers}
        spread = {'SN': 'variance', 'SW': 'covariance'}
        name = spread[kinds.pop()] if len(kinds) == 1 else '(co)variance'
        means = [layer.mean for layer in ratios.layers]
        _draw_bars(panels[0], bars, means, ratios.stats, 'mean')
        variances = [layer.var for layer in ratios.layers]
        _draw_bars(panels[1], bars, variances, ratios.stats, name)
        _draw_labels(panels[1], bars)
    return figure


def arrange(layers: Sequence[LayerRatios]) -> Bars:
    """Lay the bars out in network order, with room for every heading.

    Args:
        layers: layers in network order.

    Returns:
        Bars: Where they stand.
    """
    pitch = min(MAX_PITCH, BARS_WIDTH / len(layers))
    places = [locate(layer.name) for layer in layers]
    centers, parts, stages = [], [], []
    x = 0.0
    for part, in_part in groupby(places, key=lambda place: place[0]):
        title = part[0].upper() + part[1:]
        start = x
        groups = [
            (stage, len(list(group)))
            for stage, group in groupby(in_part, key=lambda place: place[1])
        ]
        for stage, count in groups:
            room = max(0.09 * len(title) / len(groups), 0.07 * len(stage))
            span = max(count, room / pitch)
            first = x + (span - count) / 2 + 0.5
            centers += [first + i for i in range(count)]
            stages.append((stage, x, x + span))
            x += span + STAGE_GAP
        x -= STAGE_GAP
        parts.append((title, start, x))
        x += PART_GAP
    labels = [label for _, _, label in places]
    return Bars(centers, labels, parts, stages, x - PART_GAP, pitch)


def short_names(paths: Sequence[Path]) -> list[str]:
    """Name files by folder and file, or in full if that is ambiguous.

    Args:
        paths: files.

    Returns:
        list[str]: A name each.
    """
    names = ['/'.join(path.parts[-2:]) for path in paths]
    distinct = len(set(names)) == len(names)
    return names if distinct else [str(path) for path in paths]


def _add_panel(figure: Figure, bottom: float) -> Axes:
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (
            LEFT / width,
            bottom / height,
            (width - LEFT - RIGHT) / width,
            PANEL / height,
        )
    )


def _draw_bars(
    axes: Axes,
    bars: Bars,
    ratios: Sequence[dict[str, float]],
    stats: Sequence[str],
    name: str,
) -> None:
    bottoms = [0.0] * len(ratios)
    for stat in stats:
        heights = [layer.get(stat, 0.0) for layer in ratios]
        axes.bar(
            bars.centers,
            heights,
            0.86,
            bottoms,
            color=COLORS[stat],
            label=stat,
        )
        bottoms = [low + high for low, high in zip(bottoms, heights)]
    inches = axes.figure.get_figwidth() - LEFT - RIGHT
    axes.set_xlim(0, max(bars.width, inches / bars.pitch))
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([0, 0.5, 1], ['0', '0.5', '1'], fontsize=8, color=GREY)
    axes.tick_params(length=2, color=GREY)
    axes.set_ylabel(f'{name} ratios', fontsize=10)
    axes.spines[:].set_visible(False)


def _draw_labels(axes: Axes, bars: Bars) -> None:
    shown = []
    for center, label in zip(bars.centers, bars.labels):
        if not shown or (center - shown[-1][0]) * bars.pitch >= MIN_PITCH:
            shown.append((center, label))
    axes.set_xticks(
        *zip(*shown), rotation=90, fontsize=7, color=GREY, parse_math=False
    )
    axes.tick_params(axis='x', length=0, pad=2)


def _draw_headings(axes: Axes, bars: Bars) -> None:
    transform = axes.get_xaxis_transform()
    rows = (
        (bars.parts, 0.3, {'fontsize': 10, 'color': 'black'}),
        (bars.stages, 0.09, {'fontsize': 8, 'color': GREY}),
    )
    for headings, inches, style in rows:
        for title, start, end in headings:
            axes.text(
                (start + end) / 2,
                1 + inches / PANEL,
                title,
                ha='center',
                va='baseline',
                transform=transform,
                **style,
            )
    for _, start, end in bars.parts:
        axes.plot(
            (start, end),
            (1 + 0.25 / PANEL,) * 2,
            color='black',
            linewidth=0.8,
            transform=transform,
            clip_on=False,
        )


def _draw_title(
    figure: Figure, axes: Axes, title: str, stats: Sequence[str]
) -> None:
    box = axes.get_position()
    y = box.y1 + (HEADINGS + 0.16) / figure.get_figheight()
    room = figure.get_figwidth() - LEFT - RIGHT - 0.62 * len(stats)
    most = int(room / 0.1)  # characters beside the legend
    if len(title) > most:
        title = '…' + title[1 - most :]
    figure.text(
        box.x0,
        y,
        title,
        fontsize=11,
        fontweight='bold',
        va='center',
        parse_math=False,
    )
    figure.legend(
        handles=[
            Patch(color=COLORS[stat], label=stat.upper()) for stat in stats
        ],
        loc='center right',
        bbox_to_anchor=(box.x1, y),
        ncols=len(stats),
        frameon=False,
        fontsize=9,
        handlelength=1,
        handleheight=1,
        columnspacing=1.2,
        borderpad=0,
        borderaxespad=0,
    )
