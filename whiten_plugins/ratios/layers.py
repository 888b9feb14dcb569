"""The importance ratios of a layer at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from ..analysis.layer_names import is_shortcut, locate
from ..checkpoints.norm_layers import UNNAMED, NormLayer, read_ratio_layers
from ..checkpoints.reading import Checkpoint

_COVARIANCES = ('iw', 'bw')


@dataclass(frozen=True)
class LayerRatios:
    """The ratios of one layer.

    Attributes:
        name: name of the module in the network.
        type: its type, of a Sync norm the local one.
        stats: the statistics, in the order of the logits.
        mean_groups: ratios of the means, a row for each ratio group; a row
            sums to 1.
        var_groups: those of the (co)variances.
        tied: whether one set of logits serves for both.
        hard: whether only the largest ratio counts.
        kernel: height and width of the convolution before it; None where
            the checkpoint does not tell.
        receptive_field: pixels of the image that it sees, 'image' or 'RoI'
            after pooling those as a whole; None where it was not traced.
    """

    name: str
    type: str
    stats: tuple[str, ...]
    mean_groups: list[list[float]]
    var_groups: list[list[float]]
    tied: bool = False
    hard: bool = False
    kernel: tuple[int, int] | None = None
    receptive_field: int | str | None = None

    @property
    def part(self) -> str:
        """The part of the network it belongs to, e.g. 'backbone'."""
        return locate(self.name)[0]

    @property
    def shortcut(self) -> bool:
        """Whether it stands in the shortcut of a residual block."""
        return is_shortcut(self.name)

    @property
    def named(self) -> bool:
        """Whether the statistics are known, not only numbered."""
        return not self.stats[0].startswith(UNNAMED)

    @property
    def whitens(self) -> bool:
        """Whether it mixes covariances, not variances alone."""
        return any(stat in _COVARIANCES for stat in self.stats)

    @property
    def mean(self) -> dict[str, float]:
        """Ratio of each statistic of the mean, averaged over the groups."""
        return dict(zip(self.stats, _average(self.mean_groups)))

    @property
    def var(self) -> dict[str, float]:
        """Ratio of each statistic of the (co)variance, likewise."""
        return dict(zip(self.stats, _average(self.var_groups)))


def read_layers(checkpoint: Checkpoint) -> list[LayerRatios]:
    """Read the importance ratios of a checkpoint, in network order.

    The ratios are the softmax of a layer's logits (SN eq. 5), or one-hot
    where the layer was hard.

    Raises:
        CheckpointError: if no layer learns ratios, or one has logits that
            are not those of such a layer.
    """
    return [ratios_of(layer) for layer in read_ratio_layers(checkpoint)]


def ratios_of(layer: NormLayer) -> LayerRatios:
    """Take the ratios of a checkpoint's norm layer."""
    mean, var = layer.ratios
    return LayerRatios(
        layer.name,
        layer.type,
        layer.stats,
        mean.tolist(),
        var.tolist(),
        tied=layer.tied,
        hard=layer.hard,
        kernel=layer.kernel,
    )


def _average(rows: list[list[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows)]
