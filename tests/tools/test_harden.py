"""tools/harden.py, and the config that fine-tunes with hard ratios."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from tests.ratios.synthetic import DETECTOR, layer, network, save
from whiten_plugins.config.loading import load_config
from whiten_plugins.norms import SW

pytest.importorskip('mmdet')

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs' / 'mini' / 'hard_ratios'
TOOL = ROOT / 'tools' / 'harden.py'


def test_choices_and_ties_are_printed(tmp_path, monkeypatch, capsys):
    weights = layer('backbone.a', [1.0, 2.0, 3.0], [1.0, 1.0, 0.0])
    weights |= layer('backbone.b', [1.0, 2.0, 3.0], [0.0, 1.0, 0.0])
    source, out = save(tmp_path / 'a.pth', weights), tmp_path / 'b.pth'
    monkeypatch.setattr(
        sys, 'argv', ['harden.py', str(source), '--out', str(out)]
    )
    runpy.run_path(str(TOOL), run_name='__main__')
    assert capsys.readouterr().out.splitlines() == [
        'mean of 2 layers: bn 2',
        'var of 2 layers: in 1, ln 1',
        'tie, the first statistic was taken: backbone.a.var_weight',
        str(out),
    ]


def test_every_layer_is_hard_in_the_file(run, tmp_path):
    out = tmp_path / 'hard.pth'
    source = save(tmp_path / 'soft.pth', network())
    assert run('harden.py', source, '--out', out)[0] == 0
    saved = torch.load(out, weights_only=True)['state_dict']
    for name in DETECTOR:
        ratios = saved[f'{name}.mean_weight'].softmax(-1)
        assert sorted(ratios.tolist()) == [0, 0, 1]


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['none.pth', '--out', 'OUT'], 'none.pth: no such file'),
        (['SOFT', '--out', 'SOFT'], 'is the checkpoint itself'),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, args, message):
    source = save(tmp_path / 'soft.pth', network())
    paths = {'SOFT': source, 'OUT': tmp_path / 'hard.pth'}
    code, error = run('harden.py', *(paths.get(arg, arg) for arg in args))
    assert code == 2
    assert error.startswith('harden.py: error: ')
    assert message in error
    assert error.count('\n') == 1


def test_the_config_makes_every_norm_hard():
    (path,) = CONFIGS.glob('*.py')
    cfg = load_config(path)
    scope = DefaultScope.overwrite_default_scope(cfg.default_scope)
    with scope, torch.device('meta'):
        model = MODELS.build(cfg.model)
    norms = [m for m in model.modules() if isinstance(m, SW)]
    assert len(norms) == 36
    assert all(norm.spec.hard for norm in norms)
    assert cfg.load_from.endswith('400i_mini-coco/hard.pth')


@pytest.mark.slow
def test_a_network_is_trained_hardened_and_fine_tuned(
    run, tiny_config, tmp_path
):
    config = tiny_config('mask-rcnn', 'coco')
    assert run('train.py', config, '--work-dir', tmp_path)[0] == 0
    hard = tmp_path / 'hard.pth'
    assert run('harden.py', tmp_path / 'iter_2.pth', '--out', hard)[0] == 0
    (path,) = CONFIGS.glob('*.py')
    fine_tuning = tmp_path / 'hard.py'
    text = config.read_text().splitlines()
    text[1] = f"_base_ = '{path}'"
    fine_tuning.write_text('\n'.join(text))
    work_dir = tmp_path / 'fine_tuned'
    options = ('--cfg-options', f'load_from={hard}')
    code, _ = run('train.py', fine_tuning, '--work-dir', work_dir, *options)
    assert code == 0
    before, after = (
        torch.load(file, weights_only=True)['state_dict']
        for file in (hard, work_dir / 'iter_2.pth')
    )
    assert before.keys() == after.keys()
    for key, value in before.items():
        if 'mean_weight' in key or 'var_weight' in key:
            assert torch.equal(after[key], value), key
    weight = 'backbone.conv1.weight'
    assert not torch.equal(after[weight], before[weight])
