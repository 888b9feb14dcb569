"""Write a drawing as SVG.

What a mark looks like is said by classes: ``f-in`` fills with the colour of
IN, ``s-in`` is a line of it, ``t-in`` text upon it. A page gives them
colours that change between light and dark; a file has its own, light ones.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import escape, quoteattr

from ...palette import STYLES
from .marks import Band, Drawing, Group, Line, Mark, Point, Rect, Stroke, Text
from .style import DASHES, FONT, NEUTRALS, SYMBOLS

SLASHES = (
    '<pattern id="slashes" width="5" height="5" '
    'patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="0.9" height="5" fill="#fff" fill-opacity=".55"/></pattern>'
)
NS = 'xmlns="http://www.w3.org/2000/svg"'


def to_svg(
    drawing: Drawing, title: str, note: Callable[[Group], str] | None = None
) -> str:
    """Write the element for a page that has :func:`style_sheet`.

    Args:
        drawing: the drawing.
        title: what it shows, for those who do not see it.
        note: the attributes of a group's element. Default: groups have no
            element.
    """
    return (
        f'<svg {_size(drawing)} role="img" '
        f'aria-label={quoteattr(title)}>{_marks(drawing, note)}</svg>'
    )


def to_svg_file(drawing: Drawing, title: str) -> str:
    """Write a file that looks the same everywhere: dark on white."""
    return (
        f'<svg {NS} {_size(drawing)}><title>{escape(title)}</title>'
        f'<defs>{SLASHES}</defs>'
        f'<style>svg{{font-family:{FONT}}}{style_sheet(_plain)}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'{_marks(drawing, None)}</svg>\n'
    )


def style_sheet(color: Callable[[str], str]) -> str:
    """Write the rules of the classes.

    Args:
        color: of a statistic, 'on-' and a statistic, 'ink', 'grey', 'grid'
            and 'paper', as CSS writes it.
    """
    paper = color('paper')
    rules = [
        f'rect{{stroke:{paper};stroke-width:.6}}'
        f'path{{stroke:{paper};stroke-width:.7}}'
        f'polyline{{fill:none;stroke-width:2}}'
        f'.band{{stroke:none;fill-opacity:.22}}'
        f'.grid{{stroke:{color("grid")}}}.rule{{stroke:{color("ink")}}}'
        f'.slashes{{fill:url(#slashes);stroke:none}}'
        f'.ink{{fill:{color("ink")}}}text{{fill:{color("grey")}}}'
    ]
    for stat, style in STYLES.items():
        dash = ' '.join(map(str, DASHES[style.dash])) or 'none'
        rules.append(
            f'.f-{stat}{{fill:{color(stat)}}}'
            f'.s-{stat}{{stroke:{color(stat)};stroke-dasharray:{dash}}}'
            f'text.t-{stat}{{fill:{color(f"on-{stat}")}}}'
        )
    return 'svg{stroke-linejoin:round}' + ''.join(
        f'svg {rule}' for part in rules for rule in _each(part)
    )


def _each(rules: str) -> list[str]:
    return [f'{rule}}}' for rule in rules.split('}') if rule]


def _plain(name: str) -> str:
    if name.startswith('on-'):
        return STYLES[name[3:]].ink
    return STYLES[name].color if name in STYLES else NEUTRALS[name]


def _size(drawing: Drawing) -> str:
    width, height = _number(drawing.width), _number(drawing.height)
    return f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'


def _marks(drawing: Drawing, note: Callable[[Group], str] | None) -> str:
    written = []
    for mark in drawing.marks:
        if not isinstance(mark, Group):
            written.append(_mark(mark))
            continue
        inside = ''.join(map(_mark, mark.marks))
        written.append(f'<g {note(mark)}>{inside}</g>' if note else inside)
    return ''.join(written)


def _mark(mark: Mark) -> str:
    return _WRITERS[type(mark)](mark)


def _number(value: float) -> str:
    return f'{value:.2f}'.rstrip('0').rstrip('.')


def _rect(mark: Rect) -> str:
    kind = mark.paint if mark.paint not in STYLES else f'f-{mark.paint}'
    x, y, width, height = map(
        _number, (mark.x, mark.y, mark.width, mark.height)
    )
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" '
        f'height="{height}"/>'
    )


def _line(mark: Line) -> str:
    kind = {'ink': 'rule', 'grid': 'grid'}[mark.paint]
    x1, y1, x2, y2 = map(_number, (mark.x1, mark.y1, mark.x2, mark.y2))
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _points(mark: Stroke | Band) -> str:
    return ' '.join(f'{_number(x)},{_number(y)}' for x, y in mark.points)


def _stroke(mark: Stroke) -> str:
    return f'<polyline class="s-{mark.stat}" points="{_points(mark)}"/>'


def _band(mark: Band) -> str:
    points = _points(mark)
    return f'<polygon class="band f-{mark.stat}" points="{points}"/>'


def _point(mark: Point) -> str:
    x, y = _number(mark.x), _number(mark.y)
    shape = SYMBOLS[STYLES[mark.stat].symbol].path
    return f'<path class="f-{mark.stat}" d="M{x} {y}{shape}"/>'


def _text(mark: Text) -> str:
    x, y = _number(mark.x), _number(mark.y)
    attributes = [f'x="{x}" y="{y}" font-size="{_number(mark.size)}"']
    if mark.anchor != 'start':
        attributes.append(f'text-anchor="{mark.anchor}"')
    if mark.paint == 'ink':
        attributes.append('class="ink"')
    elif mark.paint.startswith('on-'):
        attributes.append(f'class="t-{mark.paint[3:]}"')
    if mark.bold:
        attributes.append('font-weight="600"')
    if mark.turned:
        attributes.append(f'transform="rotate(-90 {x} {y})"')
    if mark.name:
        attributes.append(f'data-name="{mark.name}"')
    return f'<text {" ".join(attributes)}>{escape(mark.text)}</text>'


_WRITERS: dict[type, Callable] = {
    Rect: _rect,
    Line: _line,
    Stroke: _stroke,
    Band: _band,
    Point: _point,
    Text: _text,
}
