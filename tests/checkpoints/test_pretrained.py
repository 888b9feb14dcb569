"""What a model starts from is looked at before it is trained."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from mmengine.config import Config

from whiten_plugins.checkpoints.pretrained import (
    check_pretrained,
    pretrained_sources,
)
from whiten_plugins.config import ConfigError


class _Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == '/there.pth' else 404)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """The address of a server that has ``there.pth``."""
    server = HTTPServer(('127.0.0.1', 0), _Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """torch's cache, empty; proxies would answer for the server."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    folder = tmp_path / 'hub' / 'checkpoints'
    folder.mkdir(parents=True)
    return folder


def _config(source):
    init_cfg = dict(type='Pretrained', checkpoint=source)
    return Config(dict(model=dict(backbone=dict(init_cfg=init_cfg))))


def test_every_place_is_found():
    model = dict(
        pretrained='a',
        backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='b')),
        heads=[
            dict(init_cfg=[dict(type='Pretrained', checkpoint='c')]),
            dict(init_cfg=dict(type='Normal', checkpoint='not weights')),
        ],
        neck=dict(pretrained=None),
    )
    assert list(pretrained_sources(model, 'model')) == [
        ('model.pretrained', 'a'),
        ('model.backbone.init_cfg.checkpoint', 'b'),
        ('model.heads.0.init_cfg.0.checkpoint', 'c'),
    ]


def test_what_is_there_is_not_asked_for_twice(server, cache, tmp_path):
    check_pretrained(_config(f'{server}/there.pth'))
    (cache / 'gone.pth').touch()
    check_pretrained(_config(f'{server}/gone.pth'))
    (cache / 'resnet50-0676ba61.pth').touch()
    check_pretrained(_config('torchvision://resnet50'))
    check_pretrained(_config('s3://bucket/only-mmengine-knows.pth'))
    (tmp_path / 'own.pth').touch()
    check_pretrained(_config(str(tmp_path / 'own.pth')))
    check_pretrained(Config(dict(model=dict(backbone=dict(init_cfg=None)))))


def test_a_server_that_lacks_it_or_is_down(server):
    for source in (f'{server}/gone.pth', 'http://127.0.0.1:9/gone.pth'):
        with pytest.raises(ConfigError) as error:
            check_pretrained(_config(source))
        message = str(error.value)
        assert '\n' not in message
        assert message.startswith(
            f'model.backbone.init_cfg.checkpoint: {source} cannot be had'
        )
        for other in (
            'torchvision://resnet50',
            'model.backbone.init_cfg.checkpoint=FILE',
            'model.backbone.init_cfg=None',
        ):
            assert other in message


def test_the_model_server_of_openmmlab_is_asked(monkeypatch):
    asked = []

    def down(url, timeout):
        asked.append(url)
        raise OSError('name or service not known')

    monkeypatch.setattr('urllib.request.urlopen', down)
    cfg = Config(dict(model=dict(pretrained='open-mmlab://resnet50_v1c')))
    with pytest.raises(ConfigError, match='model.pretrained=None'):
        check_pretrained(cfg)
    assert 'resnet50_v1c' in asked[0]


def test_an_unknown_model_gets_a_suggestion():
    with pytest.raises(ConfigError, match='did you mean .*resnet50'):
        check_pretrained(_config('torchvision://resnet5'))


def test_a_missing_file_is_named_with_what_makes_it():
    with pytest.raises(ConfigError, match='checkpoints/sn.pth .*README'):
        check_pretrained(_config('checkpoints/sn.pth'))
