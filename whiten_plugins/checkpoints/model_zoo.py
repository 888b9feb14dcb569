"""The addresses of pre-trained models, and whether they can be had."""

from __future__ import annotations

import difflib
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.runner.checkpoint import (
    get_external_models,
    get_torchvision_models,
)

from .reading import CheckpointError

# What mmengine's init_cfg resolves, by scheme: names and where they are from.
MODEL_ZOOS: dict[str, Callable[[], dict[str, str]]] = {
    'torchvision': get_torchvision_models,
    'open-mmlab': get_external_models,
}
_SECONDS = 15


def zoo_url(source: str) -> str:
    """Return the URL of ``torchvision://NAME`` or ``open-mmlab://NAME``.

    Raises:
        CheckpointError: if there is no such model zoo or model.
    """
    scheme, _, name = source.partition('://')
    if scheme not in MODEL_ZOOS:
        known = ' and '.join(f'{zoo}://' for zoo in MODEL_ZOOS)
        raise CheckpointError(
            f'{source}: {scheme}:// is not known here; name a file, or a '
            f'model after {known}'
        )
    urls = MODEL_ZOOS[scheme]()
    if name not in urls:
        close = difflib.get_close_matches(name, urls)
        hint = f'; did you mean {" or ".join(close)}?' if close else ''
        raise CheckpointError(f'{source}: no such model{hint}')
    return urls[name]


def cached_file(url: str) -> Path:
    """Return where torch and mmengine keep what they downloaded from there."""
    cache = Path(torch.hub.get_dir()) / 'checkpoints'
    return cache / Path(urlparse(url).path).name


def check_reachable(url: str) -> None:
    """Check that a file is in the cache, or that its server answers.

    Raises:
        OSError: if neither is so.
    """
    if not cached_file(url).is_file():
        urllib.request.urlopen(url, timeout=_SECONDS).close()
