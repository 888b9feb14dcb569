"""tools/fold.py, export_onnx.py and get_flops.py as a user starts them."""

import json

import pytest
import torch

from tests.deploy.networks import as_trained, relative_difference
from whiten_plugins.checkpoints.loading import load_model
from whiten_plugins.config.building import build_model
from whiten_plugins.config.loading import load_config
from whiten_plugins.norms.base import WhiteningNorm

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

pytestmark = [
    pytest.mark.filterwarnings('ignore:``build_loss``'),
    pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``'),
]


@pytest.fixture(scope='module')
def trained(tiny_config, tmp_path_factory):
    """Returns a config, the option that chooses its norm, a checkpoint."""
    folder = tmp_path_factory.mktemp('trained')

    def write(architecture, format, norm):
        config = tiny_config(architecture, format)
        file = folder / f'{architecture}_{norm}.pth'
        if not file.exists():
            torch.manual_seed(0)
            model = as_trained(
                build_model(load_config(config, {'norm_cfg.type': norm}))
            )
            meta = {'dataset_meta': {'classes': ('digit',)}, 'epoch': 3}
            torch.save({'state_dict': model.state_dict(), 'meta': meta}, file)
        return config, ('--cfg-options', f'norm_cfg.type={norm}'), file

    return write


def test_folded_checkpoint_has_a_config_that_builds_it(run, trained, tmp_path):
    config, option, checkpoint = trained('pspnet', 'ade20k', 'ItN')
    out = tmp_path / 'folded' / 'model.pth'
    code, error = run('fold.py', config, checkpoint, '--out', out, *option)
    assert code == 0, error
    written = sorted(path.name for path in out.parent.iterdir())
    assert written == ['model.pth', 'model.py']
    content = torch.load(out, weights_only=True)
    assert content['meta']['dataset_meta'] == {'classes': ('digit',)}
    assert 'FoldedModel' in content['meta']['cfg']

    cfg = load_config(out.with_suffix('.py'))
    assert cfg.load_from == str(out)
    folded, model = (
        load_model(c, file)[0]
        for c, file in (
            (cfg, out),
            (load_config(config, {'norm_cfg.type': 'ItN'}), checkpoint),
        )
    )
    assert type(folded) is type(model)
    left = [m for m in folded.modules() if isinstance(m, WhiteningNorm)]
    assert len(left) == 1  # of the auxiliary head
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert relative_difference(folded(x), model(x)) < 1e-4


def metrics(work_dir):
    (file,) = work_dir.glob('20*/20*.json')
    found = json.loads(file.read_text())
    return {k: v for k, v in found.items() if 'time' not in k}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('architecture', 'format'), [('pspnet', 'ade20k'), ('mask-rcnn', 'coco')]
)
def test_folded_checkpoint_is_tested_like_any_other(
    run, trained, tmp_path, architecture, format
):
    config, option, checkpoint = trained(architecture, format, 'ItN')
    out = tmp_path / 'folded.pth'
    assert run('fold.py', config, checkpoint, '--out', out, *option)[0] == 0
    found = []
    for arguments in (
        (config, checkpoint, *option),
        (out.with_suffix('.py'), out),
    ):
        work_dir = tmp_path / str(len(found))
        code, error = run('test.py', *arguments, '--work-dir', work_dir)
        assert code == 0, error
        found.append(metrics(work_dir))
    assert found[0] and found[1] == pytest.approx(found[0], abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize('dynamic', [[], ['--dynamic']])
@pytest.mark.parametrize(
    ('architecture', 'format', 'norm', 'outputs'),
    [
        ('pspnet', 'ade20k', 'SW', ['logits']),
        ('mask-rcnn', 'coco', 'SN', [f'features_{i}' for i in range(5)]),
    ],
)
@pytest.mark.timeout(900)
def test_exported_network(
    run, trained, tmp_path, architecture, format, norm, outputs, dynamic
):
    """The tool compares the outputs itself; here is another size."""
    onnxruntime = pytest.importorskip('onnxruntime')
    config, option, checkpoint = trained(architecture, format, norm)
    out = tmp_path / 'model.onnx'
    code, error = run(
        'export_onnx.py',
        config,
        checkpoint,
        '--out',
        out,
        '--shape',
        64,
        96,
        *dynamic,
        *option,
    )
    assert code == 0, error
    cfg = load_config(config, {'norm_cfg.type': norm})
    model, _ = load_model(cfg, checkpoint)
    images = (
        torch.randn(3, 3, 70, 101) if dynamic else torch.randn(1, 3, 64, 96)
    )
    with torch.no_grad():
        if outputs == ['logits']:
            size = dict(img_shape=images.shape[2:])
            expected = [model.encode_decode(images, [size])]
        else:
            expected = model.extract_feat(images)
    session = onnxruntime.InferenceSession(
        out, providers=['CPUExecutionProvider']
    )
    assert [output.name for output in session.get_outputs()] == outputs
    found = session.run(None, {'input': images.numpy()})
    found = [torch.from_numpy(y) for y in found]
    assert relative_difference(found, expected) < 1e-4


@pytest.mark.parametrize(
    ('tool', 'args', 'message'),
    [
        ('fold.py', ['CONFIG', 'none.pth', '--out', 'OUT.pth'], 'none.pth'),
        ('fold.py', ['CONFIG', 'SN', '--out', 'OUT.pth'], 'no norm can be'),
        ('fold.py', ['CONFIG', 'SN', '--out', 'OUT'], 'a .pth file, got'),
        ('fold.py', ['CONFIG', 'SN', '--out', 'SN'], 'already there'),
        ('fold.py', ['OTHER', 'SN', '--out', 'OUT.pth'], 'size mismatch'),
        (
            'fold.py',
            ['CONFIG', 'SN', '--out', 'CONFIG.pth', '--overwrite'],
            'its config would replace',
        ),
        (
            'export_onnx.py',
            ['CONFIG', 'SN', '--out', 'SN', '--shape', '64', '64'],
            'already there',
        ),
        (
            'export_onnx.py',
            ['CONFIG', 'CONFIG', '--out', 'OUT', '--shape', '64', '64'],
            'not a PyTorch checkpoint',
        ),
        (
            'export_onnx.py',
            ['CONFIG', 'SN', '--out', 'OUT', '--shape', '0', '64'],
            'takes no image of 0×64',
        ),
        ('get_flops.py', ['none.py'], 'no such config file: none.py'),
        (
            'get_flops.py',
            ['CONFIG', '--shape', '0', '64'],
            'takes no image of 0×64',
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run, trained, tiny_config, tmp_path, tool, args, message
):
    config, option, checkpoint = trained('pspnet', 'ade20k', 'SN')
    out = tmp_path / 'out'
    places = {
        'CONFIG': config,
        'CONFIG.pth': config.with_suffix('.pth'),
        'OTHER': tiny_config('deeplabv3', 'cityscapes'),
        'SN': checkpoint,
        'OUT': out,
        'OUT.pth': out.with_suffix('.pth'),
    }
    before = checkpoint.read_bytes()
    args = [places.get(arg, arg) for arg in args]
    code, error = run(tool, *args, *option)
    assert code == 2
    last = error.strip().splitlines()[-1]
    assert last.startswith(f'{tool}: error: ') and message in last
    assert checkpoint.read_bytes() == before
    assert not list(tmp_path.iterdir())
