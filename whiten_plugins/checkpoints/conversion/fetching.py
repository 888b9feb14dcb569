"""Find the file that a source names, fetching it where it is elsewhere."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from pathlib import Path
from urllib.parse import quote, urlparse

import torch

from ..model_zoo import MODEL_ZOOS, cached_file, zoo_url
from ..reading import CheckpointError
from .errors import ConversionError

SOURCES = {
    'a file': 'a checkpoint on this machine',
    'hf://': 'hf://OWNER/REPOSITORY[@REVISION]/FILE',
    'https://': 'https://HOST/FILE',
    'torchvision://': 'torchvision://resnet50',
    'open-mmlab://': 'open-mmlab://resnet50_v1c',
}
"""What can be converted, by scheme, with an example of each."""

TIMEOUT = 30  # seconds without a byte

_HUB = 'https://huggingface.co'
_HASH = re.compile(r'-([0-9a-f]{8,})\.')  # in the names of torch's hub


def resolve(source: str | Path) -> Path:
    """Find the file that a source names, on this machine afterwards.

    Args:
        source: a path, or an address of one of ``SOURCES``. Fetched files
            go to torch's cache, which is looked into first.

    Raises:
        ConversionError: if there is no such model, or it cannot be reached.
    """
    scheme, separator, _ = str(source).partition('://')
    if not separator:
        return Path(source)
    if scheme in MODEL_ZOOS:
        try:
            url = zoo_url(str(source))
        except CheckpointError as error:
            raise ConversionError(str(error)) from None
        cached = cached_file(url)
    elif scheme in ('hf', 'https'):
        url = _hub_address(str(source)) if scheme == 'hf' else str(source)
        # Different addresses may end in the same name.
        digest = hashlib.sha256(url.encode()).hexdigest()[:16]
        cached = cached_file(url).with_name(
            f'{digest}-{cached_file(url).name}'
        )
    else:
        *known, last = (start for start in SOURCES if '://' in start)
        raise ConversionError(
            f'{source}: {scheme}:// is not known here; name a file, or an '
            f'address after {", ".join(known)} and {last}'
        )
    if not cached.is_file():
        try:
            download(url, cached)
        except (OSError, RuntimeError, ValueError) as error:
            reason = ' '.join(str(error).split()) or type(error).__name__
            others = [
                example
                for start, example in SOURCES.items()
                if start != f'{scheme}://'
            ]
            raise ConversionError(
                f'{source}: is not in the cache, and {url} cannot be reached '
                f'({reason[:200]}); other sources: {", ".join(others)}'
            ) from error
    return cached


def download(url: str, file: Path) -> None:
    """Fetch a file, either completely or not at all.

    Where its name has a hash, as in torch's hub, its content is compared.

    Raises:
        OSError: if it cannot be reached or written.
        RuntimeError: if it has another hash.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    found = _HASH.search(Path(urlparse(url).path).name)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        torch.hub.download_url_to_file(
            url, str(file), hash_prefix=found and found[1]
        )
    finally:
        socket.setdefaulttimeout(before)


def _hub_address(source: str) -> str:
    match = re.fullmatch(
        r'hf://(\w[\w.-]*)/(\w[\w.-]*)(?:@(\w[\w.-]*))?/(.+)', source
    )
    if match is None:
        raise ConversionError(f'{source}: is not {SOURCES["hf://"]}')
    owner, repository, revision, file = match.groups()
    hub = os.environ.get('HF_ENDPOINT', _HUB).rstrip('/')
    path = f'{owner}/{repository}/resolve/{revision or "main"}/{quote(file)}'
    return f'{hub}/{path}'
