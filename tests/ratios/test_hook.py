"""RatioHook in a training: what it shows and stores, when, and how cheaply."""

import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.dist import utils as dist_utils
from mmengine.logging import MMLogger
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training import NormNetwork, image_loader, runner
from whiten_plugins.norms import BW, SN, SW, SyncSN
from whiten_plugins.ratios.history import FILE_NAME, read_history
from whiten_plugins.ratios.hook import RatioHook, ratio_norms, read_norms


def norms():
    return (
        SN(8),
        BW(8),
        SW(8, num_pergroup=4, sw_type=3, tie_weight=True),
        SyncSN(8, ratio_groups=2, stats=('bn', 'in')),
        SN(8, hard=True),
    )


def scalars(work_dir):
    """What the visualizer stored of the ratios, by iteration."""
    file = next(work_dir.glob('20*/vis_data/scalars.json'))
    rows = map(json.loads, file.read_text().splitlines())
    return {
        row.pop('step'): row for row in rows if any('ratios' in k for k in row)
    }


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A training with the hook at interval 4; the model and the folder."""
    work_dir = tmp_path_factory.mktemp('trained')
    torch.manual_seed(0)
    model = NormNetwork(*norms())
    hook = dict(type='RatioHook', interval=4, per_layer=True)
    backends = [dict(type='LocalVisBackend')]
    backends.append(dict(type='TensorboardVisBackend'))
    runner(
        model,
        work_dir,
        [hook],
        visualizer=dict(type='Visualizer', vis_backends=backends),
    ).train()
    return model, work_dir


def test_snapshots_at_the_start_the_interval_and_the_end(trained):
    history = read_history(trained[1] / FILE_NAME)
    assert history.iterations == [0, 4, 8, 9]
    assert history.epochs == [0, 2, 3, 3]


def test_layers_of_the_history(trained):
    layers = read_history(trained[1] / FILE_NAME).layers
    found = [(layer.name, layer.type, layer.stats) for layer in layers]
    assert found == [
        ('backbone.1', 'SN', ('in', 'ln', 'bn')),
        ('backbone.5', 'SW', ('bw', 'iw', 'ln')),
        ('backbone.7', 'SN', ('bn', 'in')),
        ('backbone.9', 'SN', ('in', 'ln', 'bn')),
    ]


def test_ratios_are_the_softmax_of_the_logits(trained):
    model, work_dir = trained
    history = read_history(work_dir / FILE_NAME)
    state = model.state_dict()
    for layer, mean, var in zip(
        history.layers, history.mean[-1], history.var[-1]
    ):
        for name, row in (('mean_weight', mean), ('var_weight', var)):
            tied = state[f'{layer.name}.mean_weight']
            logits = state.get(f'{layer.name}.{name}', tied).double()
            expected = logits.softmax(-1).view(-1, len(row)).mean(0)
            if layer.name == 'backbone.9':  # hard
                expected = torch.eye(3)[logits.argmax()]
            assert row == pytest.approx(expected.tolist(), abs=1e-5)
    assert history.mean[0][0] == [0.33333] * 3
    assert history.mean[-1][0] != history.mean[0][0]


def test_visualizer_gets_parts_and_layers(trained):
    history = read_history(trained[1] / FILE_NAME)
    rows = scalars(trained[1])
    assert list(rows) == history.iterations
    last = rows[9]
    for moment, layers in (
        ('mean', history.mean[-1]),
        ('var', history.var[-1]),
    ):
        for stat in ('in', 'ln', 'bn', 'bw', 'iw'):
            shares = [
                dict(zip(layer.stats, ratios)).get(stat, 0)
                for layer, ratios in zip(history.layers, layers)
            ]
            expected = pytest.approx(sum(shares) / len(shares), abs=1e-5)
            assert last[f'ratios_{moment}/backbone/{stat}'] == expected
            assert last[f'ratios_{moment}/all/{stat}'] == expected
        for layer, ratios in zip(history.layers, layers):
            for stat, ratio in zip(layer.stats, ratios):
                key = f'ratios_{moment}_layers/{layer.name}/{stat}'
                assert last[key] == pytest.approx(ratio, abs=1e-5)


def test_tensorboard_shows_the_same(trained):
    event_accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator'
    )
    folder = next(trained[1].glob('20*/vis_data'))
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    for iteration, row in scalars(trained[1]).items():
        for tag, ratio in row.items():
            curve = {e.step: e.value for e in events.Scalars(tag)}
            assert curve[iteration] == pytest.approx(ratio, abs=1e-6)


def test_layers_only_if_asked(tmp_path):
    runner(NormNetwork(SN(8)), tmp_path, [dict(type='RatioHook')]).train()
    for row in scalars(tmp_path).values():
        parts = {tag.split('/')[0] for tag in row}
        assert parts == {'ratios_mean', 'ratios_var'}


@pytest.mark.parametrize('by_epoch', [True, False])
def test_resuming_goes_on_with_the_file(tmp_path, by_epoch):
    unit = 'epochs' if by_epoch else 'iters'
    length = 1 if by_epoch else 3
    sampler = 'DefaultSampler' if by_epoch else 'InfiniteSampler'

    def train(times, **settings):
        limit = {f'max_{unit}': times * length}
        checkpoint = dict(
            type='CheckpointHook', interval=length, by_epoch=by_epoch
        )
        runner(
            NormNetwork(SN(8)),
            tmp_path,
            [dict(type='RatioHook', interval=2)],
            train_cfg=dict(by_epoch=by_epoch, **limit),
            train_dataloader=image_loader(sampler=sampler),
            default_hooks=dict(checkpoint=checkpoint),
            **settings,
        ).train()
        return read_history(tmp_path / FILE_NAME)

    first = train(2)
    assert first.iterations == [0, 2, 4, 6]
    prefix = 'epoch_1' if by_epoch else 'iter_3'
    resumed = train(3, load_from=str(tmp_path / f'{prefix}.pth'), resume=True)
    assert resumed.iterations == [0, 2, 4, 6, 8, 9]
    assert resumed.mean[:2] == first.mean[:2]
    assert list(tmp_path.glob('ratio_history*')) == [tmp_path / FILE_NAME]


def test_a_new_training_in_the_folder_keeps_the_old_history(tmp_path):
    for _ in range(2):
        runner(NormNetwork(SN(8)), tmp_path, [dict(type='RatioHook')]).train()
    kept = read_history(tmp_path / 'ratio_history.1.jsonl')
    assert kept.iterations == [0, 9]
    assert read_history(tmp_path / FILE_NAME).iterations == [0, 9]


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    run = runner(NormNetwork(SN(8)), tmp_path)
    run._train_loop = run.build_train_loop(run._train_loop)
    hook = RatioHook(interval=1)
    monkeypatch.setattr(dist_utils, 'get_rank', lambda group=None: 1)
    hook.before_train(run)
    hook.after_train_iter(run, 0)
    assert not (tmp_path / FILE_NAME).exists()
    monkeypatch.setattr(dist_utils, 'get_rank', lambda group=None: 0)
    hook.before_train(run)
    assert (tmp_path / FILE_NAME).exists()


def test_a_wrapped_model_has_the_names_of_the_model(tmp_path):
    hook = RatioHook()
    hook.before_train(
        SimpleNamespace(
            model=nn.DataParallel(NormNetwork(SN(8))),
            work_dir=tmp_path,
            iter=1,
        )
    )
    layers = read_history(tmp_path / FILE_NAME).layers
    assert [layer.name for layer in layers] == ['backbone.1']


def test_a_network_without_ratios_gets_a_warning_and_no_file(tmp_path):
    run = runner(NormNetwork(BW(8)), tmp_path, [dict(type='RatioHook')])
    messages = []
    logger = MMLogger.get_current_instance()
    logger.addFilter(lambda r: messages.append(r.getMessage()) or True)
    run.train()
    logger.filters.clear()
    assert 'RatioHook: no layer of the model learns ratios' in messages
    assert not (tmp_path / FILE_NAME).exists()


def test_interval_below_one_is_refused():
    with pytest.raises(ValueError, match='at least 1, got 0'):
        RatioHook(interval=0)


class Reads(TorchDispatchMode):
    """Names of the operations that read some tensors, views left out."""

    def __init__(self, tensors):
        super().__init__()
        self.memory = {t.untyped_storage().data_ptr() for t in tensors}
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        flat = torch.utils._pytree.tree_leaves((args, kwargs))
        tensors = [a for a in flat if isinstance(a, torch.Tensor)]
        ours = any(
            t.untyped_storage().data_ptr() in self.memory for t in tensors
        )
        is_view = any(r.alias_info for r in func._schema.returns)
        if ours and not is_view:
            self.names.append(func._schema.name)
        return result


def test_all_logits_are_read_at_once():
    """So there is one copy from the GPU, whatever the number of layers."""
    model = NormNetwork(*norms())
    found = ratio_norms(model)
    with Reads(model.parameters()) as reads:
        mean, var = read_norms(found.values())
    assert reads.names == ['aten::cat']
    for norm, mean_row, var_row in zip(found.values(), mean, var):
        ratios = norm.ratios()
        assert mean_row == pytest.approx(list(ratios['mean'].values()))
        assert var_row == pytest.approx(list(ratios['var'].values()))
