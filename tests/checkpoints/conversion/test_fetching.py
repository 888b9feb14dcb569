"""Sources elsewhere are fetched once; what cannot be is said in one line."""

from urllib.error import URLError

import pytest
import torch

from whiten_plugins.checkpoints.conversion import (
    SOURCES,
    ConversionError,
    convert_checkpoint,
    fetching,
)
from whiten_plugins.checkpoints.conversion.fetching import resolve

URLS = {
    'hf://owner/repo/a b/model.pth': (
        'https://huggingface.co/owner/repo/resolve/main/a%20b/model.pth'
    ),
    'hf://owner/repo.v2@v1.0/model.safetensors': (
        'https://huggingface.co/owner/repo.v2/resolve/v1.0/model.safetensors'
    ),
    'https://host/some/model.pth?x=1': 'https://host/some/model.pth?x=1',
    'torchvision://resnet50': (
        'https://download.pytorch.org/models/resnet50-0676ba61.pth'
    ),
}


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """The addresses that were fetched, in place of a network."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.delenv('HF_ENDPOINT', raising=False)
    found = []

    def download(url, file):
        found.append(url)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(url)

    monkeypatch.setattr(fetching, 'download', download)
    return found


@pytest.mark.parametrize(('source', 'url'), URLS.items(), ids=URLS)
def test_an_address_is_fetched_once(fetched, source, url):
    first, second = resolve(source), resolve(source)
    assert fetched == [url]
    assert first == second and first.read_text() == url
    assert first.suffix == ('.safetensors' if 'safe' in source else '.pth')


def test_files_of_one_name_stay_apart(fetched):
    one, other = (resolve(f'https://{h}/model.pth') for h in 'ab')
    assert one != other


def test_another_hub(fetched, monkeypatch):
    monkeypatch.setenv('HF_ENDPOINT', 'https://mirror/')
    resolve('hf://owner/repo/model.pth')
    assert fetched == ['https://mirror/owner/repo/resolve/main/model.pth']


@pytest.mark.parametrize('source', URLS)
@pytest.mark.parametrize(
    'error', [URLError('no\nroute'), TimeoutError(), RuntimeError('hash')]
)
def test_what_cannot_be_reached_names_the_others(
    tmp_path, monkeypatch, source, error
):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))

    def download(url, file):
        raise error

    monkeypatch.setattr(fetching, 'download', download)
    with pytest.raises(ConversionError) as caught:
        resolve(source)
    message = str(caught.value)
    assert message.startswith(f'{source}: ') and '\n' not in message
    others = message.partition('; other sources: ')[2].split(', ')
    assert others == [
        example
        for scheme, example in SOURCES.items()
        if not source.startswith(scheme)
    ]


@pytest.mark.parametrize('source', ['hf://owner/repo', 'hf://a/../b'])
def test_an_address_without_a_file(fetched, source):
    with pytest.raises(ConversionError, match='is not hf://OWNER'):
        resolve(source)
    assert fetched == []


def test_nothing_is_fetched_for_nothing(fetched, tmp_path):
    """What can be wrong without SRC is found before it is fetched."""
    taken = tmp_path / 'dst.pth'
    torch.save({}, taken)
    config = tmp_path / 'config.py'
    config.write_text('model = dict()')
    url = 'https://host/model.pth'
    with pytest.raises(FileExistsError):
        convert_checkpoint(url, taken, config)
    with pytest.raises(ValueError, match=r'no model\.backbone'):
        convert_checkpoint(url, tmp_path / 'new.pth', config)
    assert fetched == []
