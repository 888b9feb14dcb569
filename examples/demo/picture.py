"""A picture of what a detector finds, below what there is to find."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

SCORE_THR = 0.5
_COLORS = colormaps['gist_rainbow'](np.linspace(0, 1, 10))[:, :3]


def draw_predictions(
    samples: Sequence[DetDataSample], path: Path, names: Sequence[str]
) -> None:
    """Draw ground truth in the upper row and predictions in the lower.

    Args:
        samples: Test results with ``gt_instances`` and ``pred_instances`` in
            the coordinates of the image file.
        path: PNG file to write.
        names: What to call each class; '' to name none.
    """
    columns = len(samples)
    figure = Figure(figsize=(2 * columns, 4.3), layout='constrained')
    axes = figure.subplots(2, columns, squeeze=False)
    for (above, below), sample in zip(axes.T, samples):
        image = cv2.imread(sample.img_path)[..., ::-1]
        truth, found = sample.gt_instances, sample.pred_instances
        _draw(above, image, truth.masks.to_ndarray(), truth, names)
        found = found[found.scores >= SCORE_THR]
        _draw(below, image, found.masks.cpu().numpy(), found, names)
    axes[0, 0].set_ylabel('ground truth')
    axes[1, 0].set_ylabel('predictions')
    temporary = path.with_name(f'.{path.name}')
    figure.savefig(temporary, dpi=150, format='png')
    temporary.replace(path)


def _draw(
    axes: Axes,
    image: np.ndarray,
    masks: np.ndarray,
    instances: InstanceData,
    names: Sequence[str],
) -> None:
    """Draw masks, boxes, names and, where there are any, scores."""
    canvas = image / 255
    boxes = np.asarray(instances.bboxes.cpu())
    labels = instances.labels.tolist()
    for mask, label in zip(masks.astype(bool), labels):
        canvas[mask] = 0.5 * canvas[mask] + 0.5 * _COLORS[label]
    axes.imshow(canvas, interpolation='nearest')
    for index, (box, label) in enumerate(zip(boxes, labels)):
        left, top, right, bottom = box
        axes.add_patch(
            Rectangle(
                (left, top),
                right - left,
                bottom - top,
                edgecolor=_COLORS[label],
                fill=False,
            )
        )
        score = (
            f' {instances.scores[index]:.2f}' if 'scores' in instances else ''
        )
        axes.text(
            left,
            top - 2,
            f'{names[label]}{score}'.strip(),
            fontsize=7,
            bbox=dict(facecolor=_COLORS[label], edgecolor='none', pad=1),
        )
    axes.set(xticks=[], yticks=[])
