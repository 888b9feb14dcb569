"""What a model is pre-trained with, looked at before it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config.errors import ConfigError
from .model_zoo import MODEL_ZOOS, check_reachable, zoo_url
from .reading import CheckpointError


def check_pretrained(cfg: Config) -> None:
    """Check that all weights that a model starts from are available.

    mmengine looks for them after the data sets and the model are built. Where
    a server keeps them, this one asks whether it answers; what is in torch's
    cache needs none.

    Args:
        cfg: the whole config.

    Raises:
        ConfigError: if a file is missing, or a server does not answer; names
            where it stands and what else there is.
    """
    for place, source in pretrained_sources(cfg.get('model', {}), 'model'):
        try:
            _check(source)
        except (OSError, CheckpointError) as error:
            raise ConfigError(
                f'{place}: {source} cannot be had ({error}); {_others(source)}'
                f' Name a file with --cfg-options {place}=FILE, or train from '
                f'scratch with {_scratch(place)}=None'
            ) from error


def pretrained_sources(setting: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield each place of a config that names weights, and what it names.

    Args:
        setting: ``model`` of a config, or a part of it.
        place: its dotted key.
    """
    if isinstance(setting, Mapping):
        for key, value in setting.items():
            here = f'{place}.{key}'
            is_source = key == 'pretrained' or (
                key == 'checkpoint' and setting.get('type') == 'Pretrained'
            )
            if is_source and isinstance(value, str):
                yield here, value
            else:
                yield from pretrained_sources(value, here)
    elif isinstance(setting, (list, tuple)):
        for index, value in enumerate(setting):
            yield from pretrained_sources(value, f'{place}.{index}')


def _check(source: str) -> None:
    scheme, separator, _ = source.partition('://')
    if not separator:
        if not Path(source).is_file():
            raise FileNotFoundError('no such file')
    elif scheme in ('http', 'https'):
        check_reachable(source)
    elif scheme in MODEL_ZOOS:
        check_reachable(zoo_url(source))
    # The rest are stores that only mmengine knows, such as s3.


def _others(source: str) -> str:
    if '://' in source:
        return (
            'the same network is often at another place too, as in '
            'torchvision://resnet50, a file of https:// or of a hub: tools/'
            'convert_checkpoint.py makes it fit this config.'
        )
    return (
        'tools/convert_checkpoint.py makes it from a published file, and the '
        'README beside the config says where that is.'
    )


def _scratch(place: str) -> str:
    return place.removesuffix('.checkpoint')
