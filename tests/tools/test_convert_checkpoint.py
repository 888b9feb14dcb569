"""tools/convert_checkpoint.py: what it writes, what it refuses."""

import json
import pickle
import re
import time

import pytest
import torch

from tests.checkpoints.conversion.conftest import SAME_NORMS, tiny
from tests.checkpoints.conversion.published import Network, checkpoint

TOOL = 'convert_checkpoint.py'
SW = Network('sw', 18)


@pytest.fixture
def files(tmp_path):
    """A source, a config and a destination."""
    torch.save(checkpoint(SW), tmp_path / 'sw.pth')
    backbone = {**tiny(**SAME_NORMS['sw']), 'depth': 18}
    (tmp_path / 'config.py').write_text(f'model = dict(backbone={backbone})')
    return tmp_path / 'sw.pth', tmp_path / 'dst.pth', tmp_path / 'config.py'


def test_converts_and_reports(run, files):
    src, dst, config = files
    code, error = run(TOOL, src, dst, '--config', config)
    assert (code, error) == (0, '')
    state = torch.load(dst, weights_only=True)['state_dict']
    assert 'bn1.running_cov' in state and 'fc.weight' not in state
    report = json.loads(dst.with_suffix('.json').read_text())
    assert report['layout'] == 'sw'


def test_every_option(run, files, tmp_path):
    src, dst, config = files
    options = ('--source', 'sw', '--init-ratios', 'bn', '--trust-pickle')
    code, _ = run(TOOL, src, dst, '--config', config, *options)
    assert code == 0
    back = tmp_path / 'back.pth'
    code, _ = run(TOOL, dst, back, '--source', 'mm', '--to', 'sw')
    assert code == 0
    assert 'sw1.running_cov' in torch.load(back)['state_dict']
    assert json.loads(back.with_suffix('.json').read_text())['to'] == 'sw'


@pytest.mark.parametrize(
    'text',
    [
        'model = dict(type="FasterRCNN", backbone=BACKBONE)',
        'model = BACKBONE',
        'backbone = BACKBONE',
        '_base_ = "base.py"',
    ],
    ids=['detector', 'bare model', 'bare backbone', 'inherited'],
)
def test_a_config_of_any_kind(run, files, text):
    src, dst, config = files
    backbone = repr({**tiny(**SAME_NORMS['sw']), 'depth': 18})
    base = config.with_name('base.py')
    base.write_text(f'model = dict(backbone={backbone})')
    config.write_text(text.replace('BACKBONE', backbone))
    code, error = run(TOOL, src, dst, '--config', config)
    assert (code, error) == (0, '')


def test_a_model_zoos_file_is_taken_from_the_cache(run, files, monkeypatch):
    _, dst, config = files
    cache = dst.parent / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    network = Network('torchvision', 18)
    torch.save(checkpoint(network), cache / 'resnet18-f37072fd.pth')
    monkeypatch.setenv('TORCH_HOME', str(dst.parent))
    code, error = run(TOOL, 'torchvision://resnet18', dst, '--config', config)
    assert (code, error) == (0, '')
    report = json.loads(dst.with_suffix('.json').read_text())
    assert report['source'] == 'torchvision://resnet18'


class Trainer:
    """What training code leaves in a checkpoint."""


def _truncated(src):
    src.write_bytes(src.read_bytes()[:-300])


def _objects(src):
    torch.save({'state_dict': checkpoint(SW), 'args': Trainer()}, src)


def _state(**changes):
    def save(src):
        network = Network(**{**vars(SW), **changes})
        torch.save(checkpoint(network), src)

    return save


def _tensor(key, *shape):
    def save(src):
        torch.save({**checkpoint(SW), key: torch.ones(shape)}, src)

    return save


def _without(key):
    def save(src):
        state = checkpoint(SW)
        del state[key]
        torch.save(state, src)

    return save


def _pre_activation(src):
    state = checkpoint(Network('sn', num_ratios=3))
    state['layer2.0.sn1.weight'] = torch.ones(1, 32, 1, 1)
    state['layer2.0.sn1.bias'] = torch.ones(1, 32, 1, 1)
    torch.save(state, src)


def _detector(src):
    state = {f'backbone.{k}': v for k, v in checkpoint(SW).items()}
    torch.save({**state, 'rpn_head.rpn_conv.weight': torch.ones(1)}, src)


BAD_SOURCES = {
    'missing': (lambda src: src.unlink(), 'no such file'),
    'empty': (lambda src: src.write_bytes(b''), 'not a PyTorch checkpoint'),
    'truncated': (_truncated, 'a damaged one'),
    'pickle': (
        lambda src: src.write_bytes(pickle.dumps(checkpoint(SW))),
        'not a PyTorch checkpoint',
    ),
    'objects': (_objects, 'Trainer object.*add --trust-pickle'),
    'deeper': (_state(depth=34), 'holds a ResNet-34.*, but .* a ResNet-18'),
    'bottlenecks': (_state(depth=50), 'holds a ResNet-50 .*but'),
    'deep stem': (_state(deep_stem=True), 'with a deep stem.*, but'),
    'wider': (_state(width=16), r'bn1.weight is \(16,\).* has 8 channels'),
    'shape': (
        _tensor('layer1.0.conv2.weight', 8, 8, 5, 5),
        r'layer1.0.conv2.weight is \(8, 8, 5, 5\), but \(8, 8, 3, 3\)',
    ),
    'lacking': (_without('layer2.0.conv1.weight'), 'lacks layer2.0.conv1.we'),
    'norm lacking': (
        lambda src: torch.save(
            {k: v for k, v in checkpoint(SW).items() if '2.1.bn2' not in k},
            src,
        ),
        'has no norm layer2.1.bn2',
    ),
    'extra': (
        _tensor('layer1.0.se.weight', 8, 8, 1, 1),
        "holds layer1.0.se.weight, which the config's backbone has not",
    ),
    'pre-activation': (_pre_activation, 'pre-activation ResNet .SN "v2".'),
    'detector': (_detector, 'of a detector or segmentor'),
    'other': (
        lambda src: torch.save({'features.0.weight': torch.ones(3)}, src),
        'is not a ResNet',
    ),
}


@pytest.mark.parametrize(
    ('spoil', 'message'), BAD_SOURCES.values(), ids=BAD_SOURCES
)
def test_a_bad_source_is_one_line_and_no_destination(
    run, files, spoil, message
):
    src, dst, config = files
    spoil(src)
    _refused(run(TOOL, src, dst, '--config', config), f'{src}: .*{message}')
    assert sorted(p.suffix for p in dst.parent.iterdir()) in (
        ['.pth', '.py'],
        ['.py'],
    )


def _refused(result, message):
    code, error = result
    assert code == 2
    *_, last = error.strip().splitlines()
    assert last.startswith(f'{TOOL}: error: ')
    assert 'Traceback' not in error
    assert re.search(message, last), last


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, 'no such config file'),
        ('work_dir = "x"', 'has no model.backbone'),
        ('model = dict(', 'SyntaxError'),
        (
            'model = dict(backbone=dict(type="mmdet.ResNet", depth=18, '
            'norm_cfg=dict(type="SX")))',
            "model.backbone.norm_cfg.type='SX' is not registered",
        ),
        (
            'model = dict(backbone=dict(type="mmdet.WhitenResNet", depth=18, '
            'whiten_cfg=dict(type="SW"), whiten_at="sw15"))',
            "model.backbone.whiten_at='sw15' is no preset",
        ),
        (
            'model = dict(backbone=dict(type="mmdet.SwinTransformer"))',
            "the config's backbone is not a ResNet",
        ),
        (
            'model = dict(backbone=dict(type="mmdet.ResNet", depth=18, '
            'base_channels=8, norm_cfg=dict(type="GN", num_groups=2)))',
            'has no norm gn1',
        ),
    ],
)
def test_a_bad_config_is_one_line(run, files, text, message):
    src, dst, config = files
    config.unlink() if text is None else config.write_text(text)
    _refused(run(TOOL, src, dst, '--config', config), message)
    assert not dst.exists()


def test_objects_are_loaded_on_request(run, files):
    src, dst, config = files
    _objects(src)
    code, _ = run(TOOL, src, dst, '--config', config, '--trust-pickle')
    assert code == 0
    torch.load(dst, weights_only=True)


def test_other_arguments_that_cannot_work(run, files, tmp_path):
    src, dst, config = files
    for args, message in (
        ((src, dst), 'name the --config'),
        ((src, dst, '--config', config, '--source', 'gw'), '--source gw: .*'),
        ((src, dst, '--to', 'torchvision'), 'bn1 is SW, but .* holds BN'),
        ((src, tmp_path / 'x.json', '--to', 'sw'), '.json is the report'),
        ((src, src, '--config', config, '--overwrite'), 'is SRC itself'),
        ((src, tmp_path, '--to', 'sw'), 'is a folder'),
    ):
        _refused(run(TOOL, *args), message)
    assert not dst.exists()


def test_files_that_are_there_are_kept_unless_asked(run, files):
    src, dst, config = files
    report = dst.with_suffix('.json')
    report.write_text('mine')
    args = (TOOL, src, dst, '--config', config)
    _refused(run(*args), f'{report}: already there; .* --overwrite')
    assert report.read_text() == 'mine' and not dst.exists()
    code, _ = run(*args, '--overwrite')
    assert code == 0
    assert json.loads(report.read_text())['layout'] == 'sw'


@pytest.mark.slow
def test_a_resnet_50_of_100_mb_takes_less_than_ten_seconds(run, files):
    src, dst, config = files
    torch.save(checkpoint(Network('sw', width=64, rows=16)), src)
    assert src.stat().st_size > 90e6
    config.write_text(
        "model = dict(backbone=dict(type='mmdet.WhitenResNet', depth=50, "
        "whiten_cfg=dict(type='SW'), whiten_at='sw14'))"
    )
    start = time.perf_counter()
    code, _ = run(TOOL, src, dst, '--config', config)
    assert code == 0
    assert time.perf_counter() - start < 10
