"""Where bars and headings stand.

Above the bars stand the parts of the network and the residual stages, set
apart by gaps; below them a label a bar. Lengths are inches at the width of a
printed page, which is also 96 pixels each on a screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

BARS_WIDTH = 8.6  # of all bars together, once there are many
MIN_PITCH = 0.115  # from bar to bar, so that labels can be read
STAGE_GAP, PART_GAP = 0.12, 0.32
HEADING_EM, LABEL_EM = 0.085, 0.065  # room for a character
Place = tuple[str, str, str]


@dataclass(frozen=True)
class Heading:
    """A title over neighbouring bars, from `start` to `end`."""

    title: str
    start: float
    end: float


@dataclass(frozen=True)
class BarLayout:
    """Places of bars along an axis on which a bar takes 1.

    Attributes:
        centers: the middle of each bar.
        labels: its label.
        parts: the upper headings.
        stages: the lower headings.
        width: the end of the axis.
        pitch: inches a bar.
        places: what was laid out.
    """

    centers: list[float]
    labels: list[str]
    parts: list[Heading]
    stages: list[Heading]
    width: float
    pitch: float
    places: list[Place]

    @property
    def inches(self) -> float:
        """Width of the whole axis."""
        return self.width * self.pitch

    @property
    def label_inches(self) -> float:
        """Width of the longest label."""
        return LABEL_EM * max(map(len, self.labels))

    @property
    def upright(self) -> bool:
        """Whether labels are too long to stand side by side."""
        return self.label_inches > 0.95 * self.pitch


def lay_out_bars(places: Sequence[Place], max_pitch: float = 0.3) -> BarLayout:
    """Lay bars out in their order, with room for every heading.

    Args:
        places: heading of the part, of the stage and label of each bar;
            neighbours with equal headings stand together.
        max_pitch: inches from bar to bar when there are few.
    """
    pitch = max(MIN_PITCH, min(max_pitch, BARS_WIDTH / len(places)))
    centers: list[float] = []
    parts: list[Heading] = []
    stages: list[Heading] = []
    x = 0.0
    for part, in_part in groupby(places, key=lambda place: place[0]):
        start = x
        groups = [
            (stage, len(list(group)))
            for stage, group in groupby(in_part, key=lambda place: place[1])
        ]
        for stage, count in groups:
            room = max(
                HEADING_EM * len(part) / len(groups),
                0.9 * HEADING_EM * len(stage),
            )
            span = max(count, room / pitch)
            first = x + (span - count) / 2 + 0.5
            centers += [first + i for i in range(count)]
            if stage:
                stages.append(Heading(stage, x, x + span))
            x += span + STAGE_GAP / pitch
        x -= STAGE_GAP / pitch
        if part:
            parts.append(Heading(part, start, x))
        x += PART_GAP / pitch
    labels = [label for _, _, label in places]
    width = x - PART_GAP / pitch
    return BarLayout(
        centers, labels, parts, stages, width, pitch, list(places)
    )
