"""One image for a model, of whichever toolkit it is, and how to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn

from ..config.errors import ConfigError

IMAGE_SIZE = (128, 128)
"""Height and width of an image that shows the way through a network: small,
and not too small for a pyramid."""

T = TypeVar('T')


class ExampleError(ConfigError):
    """A model that runs on none of the images it was given."""


@dataclass(frozen=True)
class ExampleRun:
    """A model about to run on one image.

    Attributes:
        image: the random image, (1, C, H, W).
        forward: runs the model on it.
    """

    image: Tensor
    forward: Callable[[], Any]


def run_example(
    model: nn.Module,
    input_shapes: Iterable[Sequence[int]],
    watch: Callable[[ExampleRun], T],
) -> T:
    """Run a model on one random image, as it can be run.

    A model of mmengine's is called in its mode ``'tensor'``, the network
    without losses and post-processing. Where the toolkit has no such mode
    for it, it predicts.

    Args:
        model: any network that takes a batch of images.
        input_shapes: of the image, (C, H, W); those after the first are
            tried if it fails.
        watch: calls ``forward``; what it returns is returned.

    Raises:
        ExampleError: if the model fails in each way, in one line.
    """
    failed = []
    for shape in input_shapes:
        for run in _runs(model, shape):
            try:
                return watch(run)
            except Exception as error:  # a model can do anything
                last = error
        failed.append('×'.join(map(str, shape[1:])))
    message = ' '.join(str(last).split())
    raise ExampleError(
        f'the model takes no image of {" or ".join(failed)} pixels: '
        f'{type(last).__name__}: {message[:300]}'
    ) from last


def example_shapes(
    cfg: Config, image_size: Sequence[int] | None = None
) -> list[tuple[int, int, int]]:
    """Return shapes (C, H, W) of images to run a config's model on.

    Args:
        cfg: the whole config.
        image_size: (H, W). Default: a small one, else those that the config
            names, for models that take no other.
    """
    backbone = (cfg.get('model') or {}).get('backbone') or {}
    channels = backbone.get('in_channels', 3)
    channels = channels if isinstance(channels, int) else 3
    if image_size is not None:
        height, width = image_size
        return [(channels, height, width)]
    sizes = dict.fromkeys([IMAGE_SIZE, *_sizes_in(cfg)])
    return [(channels, *size) for size in sizes]


def is_detector(model: nn.Module) -> bool:
    """Return whether ``model`` is a whole detector of mmdet's."""
    return _inherits(model, 'mmdet.models.detectors.base.BaseDetector')


def _inherits(model: nn.Module, base: str) -> bool:
    return any(
        f'{kind.__module__}.{kind.__name__}' == base
        for kind in type(model).__mro__
    )


def _runs(model: nn.Module, shape: Sequence[int]) -> Iterator[ExampleRun]:
    like = next(model.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, *shape, generator=generator).to(like)
    if not isinstance(model, BaseModel):
        yield ExampleRun(image, partial(model, image))
    elif _inherits(model, 'mmdet.models.mot.base.BaseMOTModel'):
        samples = [_video_sample(shape[1:])]
        # The video is made in the run: who follows the image sees it.
        yield ExampleRun(
            image,
            lambda: model(image.unsqueeze(1), samples, mode='predict'),
        )
    else:
        for mode in ('tensor', 'predict'):
            samples = [_data_sample(model, image)]
            yield ExampleRun(image, partial(model, image, samples, mode=mode))


def _data_sample(model: nn.Module, image: Tensor) -> BaseDataElement:
    """Return what a model is told of an image, without annotations."""
    size = tuple(image.shape[2:])
    if not is_detector(model):
        return _sample_class(model)(metainfo=_metainfo(size))
    from mmdet.structures import DetDataSample

    sample = DetDataSample(metainfo=_metainfo(size))
    # Fast R-CNN reads them from a file.
    sample.proposals = InstanceData(
        bboxes=image.new_tensor([[0, 0, size[1], size[0]]]),
        scores=image.new_ones(1),
    )
    return sample


def _sample_class(model: nn.Module) -> type[BaseDataElement]:
    if _inherits(model, 'mmseg.models.segmentors.base.BaseSegmentor'):
        from mmseg.structures import SegDataSample

        return SegDataSample
    return BaseDataElement


def _video_sample(size: Sequence[int]) -> BaseDataElement:
    from mmdet.structures import DetDataSample, TrackDataSample

    frame = DetDataSample(metainfo=_metainfo(size) | dict(frame_id=0))
    video = TrackDataSample(metainfo=dict(key_frames_inds=[0]))
    video.video_data_samples = [frame]
    return video


def _metainfo(size: Sequence[int]) -> dict[str, Any]:
    shapes = ('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape')
    return dict.fromkeys(shapes, tuple(size)) | dict(
        img_id=0,
        scale_factor=(1.0, 1.0),
        flip=False,
        border=(0, 0, 0, 0),  # CenterNet, CornerNet
        text='object',  # of open vocabularies
        custom_entities=False,
        video_length=1,
        ori_video_length=1,
    )


def _sizes_in(cfg: Config) -> Iterator[tuple[int, int]]:
    """Yield the image sizes (H, W) that a config names."""
    model = cfg.get('model') or {}
    preprocessor = model.get('data_preprocessor') or {}
    named = [preprocessor.get('size'), cfg.get('crop_size')]
    loader = cfg.get('test_dataloader') or {}
    pipeline = cfg.get('test_pipeline') or _pipeline_of(loader.get('dataset'))
    for step in pipeline or ():
        scale = step.get('scale') if isinstance(step, Mapping) else None
        if isinstance(scale, (list, tuple)):
            named.append(scale[::-1])  # width first
    for size in named:
        if _is_size(size):
            yield (size[0], size[1])


def _pipeline_of(dataset: Any) -> Sequence:
    while isinstance(dataset, Mapping) and dataset.get('dataset'):
        dataset = dataset['dataset']
    return dataset.get('pipeline', ()) if isinstance(dataset, Mapping) else ()


def _is_size(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(side, int) and side > 0 for side in value)
    )
