"""tools/calibrate.py on a detector and a segmentor."""

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner

from whiten_plugins.calibration import batch_average, sample_loader
from whiten_plugins.config.loading import load_config

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')


def build(config, *options):
    """The model and the training loader of a config."""
    cfg = load_config(config, dict(options))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    return model, loader


def save(model, path):
    meta = {'cfg': 'text', 'epoch': 3}
    content = {'state_dict': model.state_dict(), 'meta': meta}
    torch.save(content | {'optimizer': {'state': {}}}, path)
    return path


@pytest.mark.parametrize(
    ('architecture', 'format', 'norm'),
    [
        ('mask-rcnn', 'coco', 'SW'),
        pytest.param('mask-rcnn', 'coco', 'BN', marks=pytest.mark.slow),
        ('pspnet', 'ade20k', 'SN'),
    ],
)
def test_running_statistics_and_nothing_else(
    run, tiny_config, tmp_path, architecture, format, norm
):
    config = tiny_config(architecture, format)
    option = ('norm_cfg.type', norm)
    torch.manual_seed(0)
    model, _ = build(config, option)
    source, out = save(model, tmp_path / 'a.pth'), tmp_path / 'b.pth'
    code, error = run(
        'calibrate.py',
        config,
        source,
        '--num-images=2',
        '--out',
        out,
        '--cfg-options',
        '='.join(option),
    )
    assert code == 0, error
    saved = torch.load(out, weights_only=True)
    assert saved['meta'] == {'cfg': 'text', 'epoch': 3}
    before, after = model.state_dict(), saved['state_dict']
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert torch.equal(after[key], value) == ('running_' not in key), key
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.pth', 'b.pth']


def test_stem_sees_the_training_images(run, tiny_config, tmp_path):
    """Written out: what the data preprocessor and the first convolution make
    of the two images."""
    config = tiny_config('mask-rcnn', 'coco')
    torch.manual_seed(0)
    model, loader = build(config)
    source, out = save(model, tmp_path / 'a.pth'), tmp_path / 'b.pth'
    content = torch.load(source, weights_only=True)
    content['state_dict']['teacher.weight'] = torch.ones(2)
    torch.save(content, source)
    args = ('--num-images', '2', '--batch-size', '1', '--out', out)
    assert run('calibrate.py', config, source, *args)[0] == 0
    saved = torch.load(out, weights_only=True)['state_dict']
    assert saved['teacher.weight'].tolist() == [1, 1]  # has no place, stays
    moments = []
    for index in range(2):
        batch = loader.collate_fn([loader.dataset[index]])
        inputs = model.data_preprocessor(batch, True)['inputs']
        x = model.backbone.conv1(inputs).double().transpose(0, 1).flatten(1)
        x = x.view(4, 16, -1)
        centred = x - x.mean(-1, keepdim=True)
        moments.append((x.mean(-1), centred @ centred.mT / x.shape[-1]))
    mean, cov = (sum(pair) / 2 for pair in zip(*moments))
    for key, value in (('mean', mean.flatten()), ('cov', cov)):
        actual = saved[f'backbone.bn1.running_{key}'].double()
        torch.testing.assert_close(actual, value, rtol=1e-5, atol=1e-5)


def test_seed_decides_images_and_regions(run, tiny_config, tmp_path):
    """Regions of interest are sampled at random, images augmented."""
    config = tiny_config('mask-rcnn', 'coco')
    model, loader = build(config)
    source, out = save(model, tmp_path / 'a.pth'), tmp_path / 'b.pth'
    args = (config, source, '--num-images=2', '--seed=4', '--out', out)
    assert run('calibrate.py', *args)[0] == 0
    saved = torch.load(out, weights_only=True)['state_dict']
    batch_average(model, sample_loader(loader, 2, seed=4), seed=4)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(saved[key], value, msg=key)


@pytest.mark.parametrize(
    ('checkpoint', 'args', 'message'),
    [
        ('none.pth', ['--num-images=2'], 'none.pth: no such file'),
        ('a.pth', ['--num-images=3'], 'num_images=3: the training set has 2'),
        ('a.pth', ['--num-images=2', '--batch-size=0'], 'at least 1, got 0'),
        ('other.pth', ['--num-images=2'], 'is not of the network in the conf'),
        (
            'a.pth',
            ['--num-images=2', '--cfg-options', 'norm_cfg.type=XX'],
            "norm_cfg.type='XX' is not registered",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run, tiny_config, tmp_path, monkeypatch, checkpoint, args, message
):
    config = tiny_config('pspnet', 'ade20k')
    monkeypatch.chdir(tmp_path)
    save(build(config)[0], tmp_path / 'a.pth')
    torch.save({'weight': torch.ones(2)}, tmp_path / 'other.pth')
    code, error = run(
        'calibrate.py', config, checkpoint, *args, '--out', 'b.pth'
    )
    assert code == 2
    last = error.strip().splitlines()[-1]
    assert last.startswith('calibrate.py: error: ')
    assert message in last
    assert 'Traceback' not in error
    assert {p.name for p in tmp_path.iterdir()} == {'a.pth', 'other.pth'}


def test_an_existing_file_is_kept_unless_asked(run, tiny_config, tmp_path):
    config = tiny_config('pspnet', 'ade20k')
    source = save(build(config)[0], tmp_path / 'a.pth')
    out = tmp_path / 'b.pth'
    out.write_text('mine')
    args = (config, source, '--num-images', '2', '--out', out)
    code, error = run('calibrate.py', *args)
    assert (code, out.read_text()) == (2, 'mine')
    assert 'b.pth: already there' in error
    assert run('calibrate.py', *args, '--overwrite')[0] == 0
    assert 'state_dict' in torch.load(out, weights_only=True)
