"""How each statistic looks, the same in every table and figure.

Green, blue and red stand for BN, IN and LN as in SN Fig. 5. Lightness falls
in even steps (bw, iw, bn, ln, in), so that the colours stay apart in print
and in the common kinds of colour blindness; lines and points have a dash and
a symbol of their own too. On a dark page each colour has a lighter one.
"""

from typing import NamedTuple


class Style(NamedTuple):
    """How one statistic is drawn.

    Holds its colour, the colour of text on it, the colour on a dark ground
    (with black text on it), and the names of its dash and its symbol.
    """

    title: str
    color: str
    ink: str
    dark: str
    dash: str
    symbol: str


STYLES = {
    'in': Style(
        'instance norm',
        '#1D3A70',
        'white',
        '#4E6FD0',
        'solid',
        'circle',
    ),
    'ln': Style(
        'layer norm',
        '#B23B2E',
        'white',
        '#DE6454',
        'dash',
        'square',
    ),
    'bn': Style(
        'batch norm',
        '#3E9F7A',
        'white',
        '#5DBE9A',
        'dot',
        'diamond',
    ),
    'iw': Style(
        'instance whitening',
        '#B4A7E5',
        'black',
        '#C4B8F2',
        'longdash',
        'triangle-up',
    ),
    'bw': Style(
        'batch whitening',
        '#F7D667',
        'black',
        '#FBE38E',
        'dashdot',
        'triangle-down',
    ),
    'stat1': Style(
        'of the 1st logit',
        '#4A4A4A',
        'white',
        '#6F6F6F',
        'solid',
        'circle',
    ),
    'stat2': Style(
        'of the 2nd logit',
        '#8C8C8C',
        'white',
        '#A8A8A8',
        'dash',
        'square',
    ),
    'stat3': Style(
        'of the 3rd logit',
        '#CFCFCF',
        'black',
        '#E2E2E2',
        'dot',
        'diamond',
    ),
    'stat4': Style(
        'of the 4th logit',
        '#6E6E6E',
        'white',
        '#8C8C8C',
        'longdash',
        'triangle-up',
    ),
    'stat5': Style(
        'of the 5th logit',
        '#AEAEAE',
        'black',
        '#C6C6C6',
        'dashdot',
        'triangle-down',
    ),
    'divergence': Style(
        'divergence',
        '#6B6B6B',
        'white',
        '#A09B92',
        'solid',
        'circle',
    ),
}
COLORS = {stat: style.color for stat, style in STYLES.items()}
