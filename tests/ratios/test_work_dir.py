"""One training and one kind of weights, whatever else a folder holds."""

import shutil

import pytest
import torch

from tests.training import NormNetwork, image_loader, runner
from whiten_plugins.checkpoints.reading import CheckpointError
from whiten_plugins.norms import SN
from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.history import FILE_NAME

from .synthetic import DETECTOR, network, save, training


def train(folder, iterations, *, lr_hooks=(), interval=2, seed=0, **settings):
    torch.manual_seed(seed)
    model = NormNetwork(SN(8), SN(8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(seed * torch.randn_like(parameter))
    runner(
        model,
        folder,
        [dict(type='RatioHook', interval=interval), *lr_hooks],
        train_cfg=dict(by_epoch=False, max_iters=iterations),
        train_dataloader=image_loader(sampler='InfiniteSampler'),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=3, by_epoch=False)
        ),
        **settings,
    ).train()


def layers_of(run, iteration):
    return run.snapshots[run.times.index(iteration)].layers


def test_averaged_weights_do_not_mix_with_trained_ones(tmp_path):
    ema = dict(type='EMAHook', momentum=0.01)
    train(tmp_path, 6, lr_hooks=[ema], interval=1)
    run = read_run(tmp_path)
    assert run.times == [0, 1, 2, 3, 4, 5, 6]
    (note,) = run.notes
    assert 'EMAHook' in note
    content = torch.load(tmp_path / 'iter_6.pth', weights_only=False)
    trained = content['ema_state_dict']['module.backbone.1.mean_weight']
    shares = list(run.layers[0].mean.values())
    assert shares == pytest.approx(trained.double().softmax(0), abs=1e-12)
    averaged = read_run(tmp_path / 'iter_6.pth')
    shares = list(averaged.layers[0].mean.values())
    assert shares != pytest.approx(trained.double().softmax(0), abs=1e-9)
    assert averaged.notes == ['The weights are averaged ones (EMAHook).']


def test_averaged_weights_throughout_where_there_is_no_history(tmp_path):
    train(tmp_path, 6, lr_hooks=[dict(type='EMAHook', momentum=0.01)])
    (tmp_path / FILE_NAME).unlink()
    run = read_run(tmp_path)
    alone = read_run(tmp_path / 'iter_6.pth')
    assert run.layers[0].mean == alone.layers[0].mean


@pytest.mark.parametrize('interval', [2, 50])
@pytest.mark.parametrize('same_second', [True, False])
def test_a_folder_used_twice_shows_the_later_training(
    tmp_path, interval, same_second
):
    train(tmp_path, 9, interval=interval)
    for file in tmp_path.glob('iter_*.pth') if not same_second else ():
        content = torch.load(file, weights_only=False)
        content['meta']['time'] = '20200101_000000'
        torch.save(content, file)
    train(tmp_path, 6, interval=interval, seed=1)
    run = read_run(tmp_path)
    assert run.times[-1] == 6
    assert run.notes == [
        'Left out, for it is not of the latest training in this folder: '
        'iter_9.pth.'
    ]


def test_checkpoints_alone_tell_an_older_training_by_their_time(tmp_path):
    training(tmp_path, times=(100, 200, 300))
    for iteration, time in ((100, '0102'), (200, '0102'), (300, '0101')):
        file = tmp_path / f'iter_{iteration}.pth'
        state = torch.load(file)['state_dict']
        save(file, state, iter=iteration, time=f'2026{time}_120000')
    run = read_run(tmp_path)
    assert run.times == [100, 200]
    assert 'iter_300.pth' in run.notes[0]


def test_what_a_crashed_continuation_left_is_not_shown(tmp_path):
    """Resumed from an earlier iteration, the history went back with it."""
    train(tmp_path, 9)
    older = tmp_path / 'older.pth'
    shutil.copy(tmp_path / 'iter_9.pth', older)
    train(
        tmp_path,
        6,
        load_from=str(tmp_path / 'iter_3.pth'),
        resume=True,
    )
    shutil.copy(older, tmp_path / 'iter_9.pth')
    assert read_run(tmp_path).times == [0, 2, 3, 4, 6]


def test_a_checkpoint_that_the_history_contradicts(tmp_path):
    train(tmp_path, 6, interval=3)
    file = tmp_path / 'iter_3.pth'
    content = torch.load(file, weights_only=False)
    logits = content['state_dict']['backbone.1.mean_weight']
    logits.copy_(torch.tensor([0.0, 5.0, 0.0]))
    torch.save(content, file)
    run = read_run(tmp_path)
    assert run.times == [0, 3, 6]
    assert layers_of(run, 3)[0].mean['ln'] < 0.5
    assert 'iter_3.pth' in run.notes[0]


@pytest.mark.parametrize('damage', ['truncated', 'no norms', 'not finite'])
def test_a_damaged_checkpoint_does_not_block_the_report(tmp_path, damage):
    training(tmp_path, times=(100, 200, 300))
    file = tmp_path / 'iter_300.pth'
    if damage == 'truncated':
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == 'no norms':
        torch.save({'conv.weight': torch.ones(3)}, file)
    else:
        state = network(DETECTOR)
        state['backbone.bn1.mean_weight'][0] = float('nan')
        save(file, state, iter=300)
    run = read_run(tmp_path)
    assert run.times == [100, 200]
    (note,) = run.notes
    assert note.startswith('Left out, for it cannot be read: iter_300.pth')
    for other in (100, 200):
        (tmp_path / f'iter_{other}.pth').unlink()
    with pytest.raises(CheckpointError, match=r'iter_300\.pth'):
        read_run(tmp_path)


def test_statistics_that_only_the_history_names(tmp_path):
    train(tmp_path, 3)
    file = tmp_path / 'iter_3.pth'
    state = torch.load(file, weights_only=False)['state_dict']
    two = {
        key: value[:2] if key.endswith('_weight') else value
        for key, value in state.items()
    }
    save(file, two, iter=3)
    text = (tmp_path / FILE_NAME).read_text()
    text = text.replace('["in","ln","bn"]', '["ln","bn"]')
    rows = text.splitlines()[:1]
    (tmp_path / FILE_NAME).write_text('\n'.join(rows) + '\n')
    run = read_run(tmp_path)
    assert run.layers[0].stats == ('ln', 'bn')
    assert run.notes == []
