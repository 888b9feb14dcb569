"""How each statistic looks, the same in every table and figure.

Green, blue and red stand for BN, IN and LN as in SN Fig. 5. Lightness falls
in even steps (bw, iw, bn, ln, in), so that the colours stay apart in print
and in the common kinds of colour blindness; lines and points have a dash and
a symbol of their own too.
"""

from typing import NamedTuple


class Style(NamedTuple):
    """How one statistic is drawn.

    Holds its colour, the colour of text on it, and the dash and symbol by
    plotly's names.
    """

    title: str
    color: str
    ink: str
    dash: str
    symbol: str


STYLES = {
    'in': Style('instance norm', '#1D3A70', 'white', 'solid', 'circle'),
    'ln': Style('layer norm', '#B23B2E', 'white', 'dash', 'square'),
    'bn': Style('batch norm', '#3E9F7A', 'white', 'dot', 'diamond'),
    'iw': Style(
        'instance whitening', '#B4A7E5', 'black', 'longdash', 'triangle-up'
    ),
    'bw': Style(
        'batch whitening', '#F7D667', 'black', 'dashdot', 'triangle-down'
    ),
    'stat1': Style('of the 1st logit', '#4A4A4A', 'white', 'solid', 'circle'),
    'stat2': Style('of the 2nd logit', '#8C8C8C', 'white', 'dash', 'square'),
    'stat3': Style('of the 3rd logit', '#CFCFCF', 'black', 'dot', 'diamond'),
    'stat4': Style(
        'of the 4th logit', '#6E6E6E', 'white', 'longdash', 'triangle-up'
    ),
    'stat5': Style(
        'of the 5th logit', '#AEAEAE', 'black', 'dashdot', 'triangle-down'
    ),
    'divergence': Style('divergence', '#6B6B6B', 'white', 'solid', 'circle'),
}
COLORS = {stat: style.color for stat, style in STYLES.items()}
