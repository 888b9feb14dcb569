"""Exported networks compute in onnxruntime what they compute in PyTorch."""

import copy
import sys

import pytest
import torch
from torch import nn

from tests.deploy.networks import (
    KINDS_AND_SLOW_CASES,
    as_trained,
    relative_difference,
)
from tests.norms.cases import CASES
from whiten_plugins.deploy import ExportError, export_onnx, onnx_export
from whiten_plugins.deploy.network import AdaptiveAveragePool
from whiten_plugins.norms import BW, GW, SN
from whiten_plugins.utils.requirements import MissingPackageError

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

SIZES = {0: 'batch', 2: 'height', 3: 'width'}


def onnx_outputs(file, images):
    session = onnxruntime.InferenceSession(
        file, providers=['CPUExecutionProvider']
    )
    return [torch.from_numpy(y) for y in session.run(None, {'input': images})]


def assert_same_for_any_size(model, file, channels=8):
    for shape in ((1, channels, 9, 5), (3, channels, 6, 20)):
        x = torch.randn(shape)
        with torch.no_grad():
            expected = model(x)
        (found,) = onnx_outputs(file, x.numpy())
        assert relative_difference(found, expected) < 1e-4


@pytest.mark.filterwarnings('ignore:.*:DeprecationWarning')
@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
@pytest.mark.parametrize('case', KINDS_AND_SLOW_CASES, ids=str)
def test_norm_by_the_exporter_of_torchscript(case, tmp_path):
    """The one that torch before 2.7 has."""
    norm = as_trained(case.norm())
    torch.onnx.export(
        norm,
        (torch.randn(2, 8, 6, 7),),
        tmp_path / 'norm.onnx',
        dynamo=False,
        input_names=['input'],
        dynamic_axes={'input': SIZES},
    )
    assert_same_for_any_size(norm, tmp_path / 'norm.onnx')


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES, ids=str)
def test_norm_by_the_default_exporter(case, tmp_path):
    norm = as_trained(case.norm())
    torch.onnx.export(
        norm,
        (torch.randn(2, 8, 6, 7),),
        tmp_path / 'norm.onnx',
        input_names=['input'],
        dynamic_shapes=(SIZES,),
        dynamo=True,
        verbose=False,
    )
    assert_same_for_any_size(norm, tmp_path / 'norm.onnx')


class Pyramid(nn.Module):
    """Norms of samples and batch, and poolings to fixed sizes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), SN(8))
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), SN(8))
        self.pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(3), GW(8, num_groups=2, T=1)
        )
        self.norm = BW(8, whitening='pca', running='cov')

    def forward(self, x):
        x = self.stem(x)
        pooled = self.pool(x)
        size = x.shape[2:]
        x = x + nn.functional.interpolate(pooled, size, mode='bilinear')
        return self.norm(x) + self.image_pool(x), pooled


@pytest.mark.parametrize(
    'dynamic', [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_network(dynamic, tmp_path):
    file = tmp_path / 'network.onnx'
    model = as_trained(Pyramid())
    state = copy.deepcopy(model.state_dict())
    difference = export_onnx(model, file, (3, 32, 48), dynamic)
    assert difference < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ['network.onnx']
    assert model.state_dict().keys() == state.keys()
    x = torch.randn(3, 3, 40, 31) if dynamic else torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        assert relative_difference(onnx_outputs(file, x.numpy()), model(x)) < (
            1e-4
        )


def test_weights_beside_the_file(tmp_path, monkeypatch):
    """As they are beyond 1.5 GiB."""
    program = pytest.importorskip(
        'torch.onnx._internal.exporter._onnx_program'
    )
    monkeypatch.setattr(program, '_LARGE_MODEL_THRESHOLD', 100)
    monkeypatch.setattr(onnx_export, 'LARGEST_FILE', 100)
    model = as_trained(nn.Sequential(nn.Conv2d(3, 64, 5), SN(64)))
    file, data = tmp_path / 'new' / 'n.onnx', tmp_path / 'new' / 'n.onnx.data'
    export_onnx(model, file, (3, 8, 8))
    assert sorted(file.parent.iterdir()) == [file, data]
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        found = onnx_outputs(file, x.numpy())
        assert relative_difference(found, [model(x)]) < 1e-4
    file.unlink()
    before = data.read_bytes()
    monkeypatch.delattr(onnx_export, '_export')  # is not reached
    with pytest.raises(FileExistsError, match='n.onnx.data: already there'):
        export_onnx(model, file, (3, 8, 8), overwrite=False)
    assert data.read_bytes() == before and not file.exists()


def test_missing_packages_are_named_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    monkeypatch.delattr(onnx_export, '_export')  # is not reached
    with pytest.raises(MissingPackageError, match='needs onnxruntime.*pip in'):
        export_onnx(nn.Conv2d(3, 8, 1).eval(), tmp_path / 'n.onnx', (3, 8, 8))


class Enlarged(nn.Module):
    """mmseg's resize, which reads the sizes of what it aligns."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)

    def forward(self, x):
        wrappers = pytest.importorskip('mmseg.models.utils')
        size = x.shape[2:]
        return wrappers.resize(
            self.conv(x), size, mode='bilinear', align_corners=True
        )


@pytest.mark.slow
def test_resizing_of_mmseg(tmp_path):
    assert export_onnx(
        as_trained(Enlarged()), tmp_path / 'n.onnx', (3, 33, 41), dynamic=True
    ) < (1e-4)


class Decides(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


def test_what_cannot_be_exported_is_an_error(tmp_path):
    file = tmp_path / 'network.onnx'
    with pytest.raises(ExportError, match='torch.onnx cannot export it'):
        export_onnx(as_trained(Decides(3, 8, 1)), file, (3, 8, 8))
    with pytest.raises(ExportError, match='takes no image of 8×8'):
        export_onnx(nn.Conv2d(3, 8, 9).eval(), file, (3, 8, 8))
    assert not list(tmp_path.iterdir())


def test_a_wrong_network_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, '_difference', lambda *_: float('nan'))
    model = as_trained(nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)))
    with pytest.raises(ExportError, match='would differ from PyTorch by nan'):
        export_onnx(model, tmp_path / 'network.onnx', (3, 8, 8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('size', [(7, 7), (6, 13), (20, 4), (3, 5)])
@pytest.mark.parametrize('output', [(1, 2), (3, 3), (6, 4)])
def test_adaptive_pooling(size, output):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = nn.functional.adaptive_avg_pool2d(x, output)
    torch.testing.assert_close(AdaptiveAveragePool(output)(x), expected)
