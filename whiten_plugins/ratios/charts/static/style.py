"""What bars and curves share: sizes, axes and texts."""

from matplotlib.axes import Axes
from matplotlib.typing import LineStyleType

TITLE = 0.5
LEFT, RIGHT = 0.75, 0.25
MIN_WIDTH = 6.5
GREY = '#666666'
LINES: dict[str, LineStyleType] = {
    'solid': '-',
    'dash': '--',
    'dot': ':',
    'dashdot': '-.',
    'longdash': (0, (7, 2)),
}
MARKERS = {
    'circle': 'o',
    'square': 's',
    'diamond': 'D',
    'triangle-up': '^',
    'triangle-down': 'v',
}


def set_style(axes: Axes, label: str) -> None:
    """Set ticks and label of the vertical axis, and remove the frame."""
    if axes.get_ylim()[1] == 1:
        axes.set_yticks([0, 0.5, 1], ['0', '0.5', '1'])
    axes.tick_params(length=2, color=GREY, labelcolor=GREY, labelsize=8)
    axes.set_ylabel(label, fontsize=9.5, parse_math=False)
    axes.spines[:].set_visible(False)
