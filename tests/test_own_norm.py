"""A norm that users define in their own project works through every tool."""

import copy
import csv
import io

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from tests.checkpoints.conversion.conftest import Conversions, tiny
from tests.checkpoints.conversion.published import Network
from tests.deploy.networks import as_trained, relative_difference
from tests.training import NormNetwork, image_loader, runner
from whiten_plugins.calibration import batch_average
from whiten_plugins.checkpoints import CheckpointError, load_checkpoint
from whiten_plugins.checkpoints.conversion import ConversionError
from whiten_plugins.checkpoints.hardening import harden_checkpoint
from whiten_plugins.checkpoints.norm_layers import read_norm_layers
from whiten_plugins.deploy import fold_norms
from whiten_plugins.norms.base import SyncStatistics, WhiteningNorm
from whiten_plugins.norms.description import METADATA_KEY
from whiten_plugins.ops import NormSpec
from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.history import FILE_NAME
from whiten_plugins.ratios.report import write_report

STATS = ('ln', 'bw')


@MODELS.register_module(force=True)
class LayerOrBatch(WhiteningNorm):
    """Has the tensors of an SW, but other statistics."""

    has_ratios = True

    def __init__(self, num_features, eps=1e-5, momentum=0.1, hard=False):
        spec = NormSpec(STATS, num_rows=4, eps=eps, hard=hard)
        super().__init__(num_features, spec, momentum)


@MODELS.register_module(force=True)
class SyncLayerOrBatch(SyncStatistics, LayerOrBatch):
    """The same over all processes."""


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A work directory with checkpoints, averaged weights and a history."""
    folder = tmp_path_factory.mktemp('trained')
    torch.manual_seed(0)
    model = NormNetwork(LayerOrBatch(8), SyncLayerOrBatch(8))
    runner(
        model,
        folder,
        [dict(type='RatioHook', interval=2)],
        train_cfg=dict(by_epoch=False, max_iters=6),
        train_dataloader=image_loader(sampler='InfiniteSampler'),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=3, by_epoch=False)
        ),
    ).train()
    return folder


def test_repr_names_its_statistics():
    assert f'stats={STATS}' in repr(LayerOrBatch(8))
    assert 'sw_type' not in repr(LayerOrBatch(8))


def test_report_of_a_work_directory(trained):
    run = read_run(trained)
    found = [(layer.type, layer.stats) for layer in run.layers]
    assert found == [('LayerOrBatch', STATS)] * 2
    assert run.times == [0, 2, 3, 4, 6]
    assert run.notes == []


def test_report_of_the_history_alone(trained, tmp_path):
    text = (trained / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(text)
    write_report([tmp_path], tmp_path / 'ratios')
    table = (tmp_path / 'ratios' / 'ratios.csv').read_text()
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {row['type'] for row in rows} == {'LayerOrBatch'}
    assert float(rows[0]['mean_ln']) == pytest.approx(0.5)


def test_hardening(trained, tmp_path):
    done = harden_checkpoint(trained / 'iter_6.pth', tmp_path / 'hard.pth')
    assert [layer.type for layer in done.layers] == ['LayerOrBatch'] * 2
    for layer in done.layers:
        assert layer.hard
        assert sorted(layer.mean.values()) == [0, 1]


def test_batch_average():
    model = NormNetwork(LayerOrBatch(8))
    images = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    done = batch_average(model, images, forward=model)
    assert done.averaged == ['backbone.1']
    x = torch.cat([model.backbone[0](image) for image in images])
    mean = x.mean((0, 2, 3))
    torch.testing.assert_close(model.backbone[1].running_mean, mean)


@pytest.mark.parametrize('hard', [True, False])
def test_folding(trained, tmp_path, hard):
    """A hardened checkpoint folds whatever the config says of hard."""
    torch.manual_seed(0)
    state = load_checkpoint(trained / 'iter_6.pth').state_dict
    for key, value in state.items():
        if key.endswith('_weight'):
            value.copy_(torch.tensor([0.0, 1.0]))  # bw
    torch.save(state, tmp_path / 'bw.pth')
    harden_checkpoint(tmp_path / 'bw.pth', tmp_path / 'hard.pth')
    model = NormNetwork(LayerOrBatch(8, hard=hard), LayerOrBatch(8, hard=hard))
    as_trained(model)
    model.load_state_dict(load_checkpoint(tmp_path / 'hard.pth').state_dict)
    model.eval()
    x = torch.randn(2, 3, 8, 8)
    folded = fold_norms(model, example_inputs=(x,))
    assert not folded.fold_report.kept
    assert relative_difference(folded(x)[0], model(x)[0]) < 1e-5


@pytest.fixture
def conversions(tmp_path):
    pytest.importorskip('mmdet')
    return Conversions(tmp_path)


def own_backbone(kind='LayerOrBatch'):
    return tiny(type='mmdet.ResNet', norm_cfg=dict(type=kind))


def test_conversion_to_it_and_on(conversions):
    _, _, report = conversions.convert(
        Network('torchvision'), own_backbone(), init_ratios='bn'
    )
    change = report['layers']['converted']['bn1']
    assert (change['from'], change['to']) == ('BN', 'LayerOrBatch')
    assert change['started']['mean_weight'] == '0.999 bw'
    source = conversions.folder / 'converted.pth'
    again = source.rename(conversions.folder / 'again.pth')
    _, _, report = conversions.convert(again, own_backbone('SyncLayerOrBatch'))
    assert 'bn1' in report['layers']['carried over']
    shares = report['ratios']['layers']['bn1']
    assert shares['type'] == 'LayerOrBatch'
    assert shares['mean'] == pytest.approx({'ln': 0.001, 'bw': 0.999})
    with pytest.raises(ConversionError, match='bn1 is LayerOrBatch'):
        conversions.back('sw')


def test_statistics_keep_their_logits_in_another_order(conversions):
    conversions.convert(
        Network('torchvision'), own_backbone(), init_ratios='bn'
    )
    source = conversions.folder / 'converted.pth'
    again = source.rename(conversions.folder / 'again.pth')
    sw = dict(type='SW', num_pergroup=4, stats=('bw', 'ln'))
    backbone = tiny(type='mmdet.ResNet', norm_cfg=sw)
    _, model, _ = conversions.convert(again, backbone)
    assert model.bn1.ratios()['mean']['bw'] == pytest.approx(0.999)
    with pytest.raises(ConversionError, match='mixes bw, ln'):
        conversions.back('sw')


# -------------------------------------------------- how it says what it is
def described(state_dict):
    """Types and statistics that a state dict's metadata name."""
    found = {}
    for name, entries in state_dict._metadata.items():
        if METADATA_KEY in entries:
            entry = entries[METADATA_KEY]
            found[name] = (entry['type'], tuple(entry['stats']))
    return found


EXPECTED = {'backbone.1': ('LayerOrBatch', STATS)}


def test_keys_of_the_state_dict_stay():
    norm = LayerOrBatch(8)
    tensors = {name for name, _ in norm.named_parameters()}
    tensors |= {name for name, _ in norm.named_buffers()}
    assert norm.state_dict().keys() == tensors


def test_averaged_weights_say_it_too(tmp_path):
    runner(
        NormNetwork(LayerOrBatch(8)),
        tmp_path,
        [dict(type='EMAHook')],
        train_cfg=dict(by_epoch=True, max_epochs=1),
    ).train()
    content = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    assert described(content['state_dict']) == EXPECTED
    loaded = load_checkpoint(tmp_path / 'epoch_1.pth')
    (layer,) = read_norm_layers(loaded)
    assert (layer.type, layer.stats) == EXPECTED['backbone.1']


@pytest.mark.parametrize(
    'prefix', ['module.', '_orig_mod.', 'module._orig_mod.', 'backbone.']
)
def test_wrapped_models_say_it_too(tmp_path, prefix):
    model = NormNetwork(LayerOrBatch(8))
    for name in reversed(prefix.rstrip('.').split('.')):
        if name != 'backbone':
            model = nn.ModuleDict({name: model})
    if prefix == 'backbone.':  # a part that is compiled
        parts = nn.ModuleDict({'_orig_mod': model.backbone})
        model = nn.ModuleDict({'backbone': parts})
    torch.save(model.state_dict(), tmp_path / 'a.pth')
    (layer,) = read_norm_layers(load_checkpoint(tmp_path / 'a.pth'))
    assert layer.name == 'backbone.1'
    assert (layer.type, layer.stats) == EXPECTED['backbone.1']


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (dict(type='rm -rf'), "has type='rm -rf'"),
        (dict(type='\033[2J'), 'has type='),
        (dict(stats=('ln', 'ln')), 'has stats='),
        (dict(stats=('ln', 'xx')), 'has stats='),
        (dict(stats='ln'), 'has stats='),
        (dict(stats=[['ln']]), 'has stats='),
        (dict(stats=('ln', 'bw', 'in')), '2 ratios, but it is described'),
        (dict(has_ratios=False), '2 ratios, but it is described'),
        (dict(num_rows=0), 'has num_rows=0'),
        (dict(T=True), 'has T=True'),
        (dict(eps=float('nan')), 'has eps=nan'),
        (dict(hard='yes'), "has hard='yes'"),
        (dict(whitening=['itn']), 'has whitening='),
        (None, 'is None, not a dict'),
        ({}, "has no 'type'"),
    ],
)
def test_a_description_that_no_norm_writes_is_refused(
    tmp_path, entry, message
):
    state = NormNetwork(LayerOrBatch(8)).state_dict()
    own = state._metadata['backbone.1']
    good = copy.deepcopy(own[METADATA_KEY])
    own[METADATA_KEY] = {**good, **entry} if entry else entry
    torch.save(state, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError) as caught:
        read_run(tmp_path / 'a.pth')
    assert 'backbone.1: ' in str(caught.value)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_other_metadata_does_not_matter(tmp_path):
    state = NormNetwork(LayerOrBatch(8)).state_dict()
    for damaged in (None, 3, {'backbone.1': 4, 5: {6: 7}}):
        state._metadata = damaged
        torch.save(state, tmp_path / 'a.pth')
        (layer,) = read_norm_layers(load_checkpoint(tmp_path / 'a.pth'))
        assert layer.type == 'SW'  # told from the tensors, as ever
