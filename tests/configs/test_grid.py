"""The grid and the papers' rows: each config builds what the table intends."""

import re
from collections import Counter
from types import SimpleNamespace

import pytest
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from whiten_plugins.analysis import list_norms, norm_warnings

from .grid import CONFIGS, INTENT, QUIET, build, load

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

pytestmark = QUIET
FAMILIES = ('sn', 'sw', 'gw', 'bw', 'dg')
PARTS = {
    'backbone.': 'backbone',
    'neck.': 'neck',
    'roi_head.shared_head.': 'shared_head',
    'roi_head.bbox_head.': 'bbox_head',
    'roi_head.mask_head.': 'mask_head',
    'decode_head.': 'decode_head',
    'auxiliary_head.': 'auxiliary_head',
}
MILESTONES = {
    '12 epochs': [8, 11],
    '24 epochs': [16, 22],
    '120000 iterations': [80000],
}


# Built by `make test-all` alone: they differ from others in their checkpoint,
# their data or the type of norm at the same places.
ALIKE = re.compile(r'sn8x(4|32)|gta5|-sw7b|-syncsw(7|14)[ab]_8xb2')


@pytest.fixture(
    scope='module',
    params=[
        pytest.param(
            name, marks=[pytest.mark.slow] if ALIKE.search(name) else []
        )
        for name in INTENT
    ],
)
def built(request):
    """A config of the table, its row, and its whole model without data."""
    name, cfg = request.param, load(request.param)
    return SimpleNamespace(
        name=name, cfg=cfg, model=build(cfg), intent=INTENT[name]
    )


def _count(cell):
    """``'11 SN† + 42 SN'`` as a Counter."""
    terms = (term.split() for term in cell.split(' + ') if term)
    return Counter({kind: int(count) for count, kind in terms})


def _part(name):
    return next((p for key, p in PARTS.items() if name.startswith(key)), name)


def _kind(row):
    """The type of a norm as the table writes it."""
    sw_type = len(row.statistics) if row.type.endswith('SW') else ''
    frozen = '' if row.trainable else '†'
    placement = row.source.partition('whiten_at=')[2]
    at = f'@{placement}' if placement else ''
    return f'{row.type}{sw_type}{_groups(row)}{frozen}{at}'


def _groups(row):
    """What the table appends for other groups than the default ones."""
    if row.type == 'GW' and row.groups[0] != min(64, row.channels):
        return f'/{row.groups[0]}'
    if row.type.endswith(('SW', 'ItN')) and row.groups[1] != 16:
        return f'/{row.groups[1]}'
    return ''


def test_every_config_is_in_the_table():
    files = {
        str(path.relative_to(CONFIGS).with_suffix(''))
        for family in FAMILIES
        for path in CONFIGS.glob(f'{family}/*.py')
    }
    assert files == set(INTENT)


def test_every_row_of_the_papers_tables_has_its_configs():
    """Rows of the tables, times two data sets and the types in the SW
    supplement's; that one gives a number for several configs."""
    tables = Counter(row['table'] for row in INTENT.values())
    assert {
        k: n for k, n in tables.items() if k[:2] in ('SN', 'SW', 'GW')
    } == {
        'SN Table 4': 7,
        'SN Table 5': 5,
        'SN Table 6': 6,
        'SN Table 7': 8,
        'SN Table 7, test set': 8,
        'SN Table 8': 8,
        'SW supplement C': 2 * 2 * 4,
        'GW Table 4': 6,
        'GW Table 5': 3,
        'GW section 5.2': 4,
    }
    for name, row in INTENT.items():
        reported = any(row[key] for key in ('box_AP', 'mIoU'))
        assert reported == (row['table'][:2] in ('SN', 'GW')), name


def test_the_norms_are_those_of_the_table(built):
    rows = list_norms(built.model, built.cfg)
    found = {part: Counter() for part in PARTS.values()}
    for row in rows:
        found.setdefault(_part(row.name), Counter())[_kind(row)] += 1
    intent = built.intent
    assert found == {part: _count(intent.get(part, '')) for part in found}
    for row in rows:
        assert row.source != 'built in', row
        if row.type.removeprefix('Sync') in ('SN', 'SW', 'ItN', 'BN'):
            assert row.evaluating != row.trainable, row
        if row.type.endswith('SN'):
            assert row.statistics == ('in', 'ln', 'bn'), row


def test_no_norm_is_warned_of(built):
    assert norm_warnings(built.model, built.cfg) == []


def test_only_what_the_table_says_is_decayed(built):
    cfg, intent = built.cfg, built.intent
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        groups = build_optim_wrapper(built.model, cfg.optim_wrapper)
    settings = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in groups.param_groups
        for parameter in group['params']
    }
    norms = {row.name for row in list_norms(built.model)}
    lr, decay = float(intent['lr']), float(intent['weight_decay'])
    spared = intent['not_decayed'].split(' and ')
    for name, parameter in built.model.named_parameters():
        expected = (lr, decay)
        if 'norms' in spared and name.rpartition('.')[0] in norms:
            expected = (lr, 0.0)
        elif 'biases' in spared and name.endswith('bias'):
            expected = (float(intent['bias_lr']) * lr, 0.0)
        if parameter.requires_grad:
            assert settings[id(parameter)] == expected, name
    assert groups.optimizer.defaults['momentum'] == 0.9


def test_the_training_settings_are_those_of_the_table(built):
    cfg, intent = built.cfg, built.intent
    number, unit = intent['length'].split()
    key = {'epochs': 'max_epochs', 'iterations': 'max_iters'}[unit]
    assert cfg.train_cfg[key] == int(number)
    assert cfg.param_scheduler[-1].end == int(number)
    assert cfg.param_scheduler[-1].by_epoch == (unit == 'epochs')
    assert cfg.train_dataloader.batch_size == int(intent['images_per_gpu'])
    backbone = cfg.model.backbone
    pretrained = (backbone.get('init_cfg') or {}).get('checkpoint')
    assert (cfg.model.get('pretrained') or pretrained or '') == (
        intent['pretrained']
    )
    assert 'whiten_plugins' in cfg.custom_imports.imports


def test_the_box_head_is_that_of_the_table(built):
    head = built.cfg.model.get('roi_head', {}).get('bbox_head', {})
    names = {
        'Shared2FCBBoxHead': '2fc',
        'Shared4Conv1FCBBoxHead': '4conv1fc',
        'BBoxHead': 'conv5',
    }
    assert names.get(head.get('type'), '') == built.intent['box_head']


def test_the_rows_with_sn_evaluate_with_batch_averages(built):
    """SN section 3.2; the papers of the other rows do not say so."""
    hooks = [
        hook
        for hook in built.cfg.get('custom_hooks', [])
        if hook['type'] == 'BatchAverageHook'
    ]
    row = built.intent['table'].startswith('SN Table')
    norms = ' '.join(built.intent[part] for part in PARTS.values())
    assert len(hooks) == (row and bool(re.search(r'SN\b', norms)))
    assert all(hook['every_val'] for hook in hooks)


def test_the_configs_of_domain_generalization_have_test_sets(built):
    assert ('test_sets' in built.cfg) == built.name.startswith('dg/')


def test_the_learning_rate_falls_by_steps_or_the_poly_policy(built):
    fall, length = built.cfg.param_scheduler[-1], built.intent['length']
    if 'auxiliary_head' in built.cfg.model:
        assert (fall.type, fall.power) == ('PolyLR', 0.9)
    else:
        assert (fall.milestones, fall.gamma) == (MILESTONES[length], 0.1)


def test_the_auxiliary_loss_weighs_four_tenths(built):
    head = built.cfg.model.get('auxiliary_head')
    assert head is None or head.loss_decode.loss_weight == 0.4


def test_images_are_normalized_as_the_backbone_was_trained(built):
    """Detectron's model takes BGR in 0 to 255, all others torchvision's."""
    images = built.cfg.model.data_preprocessor
    detectron = 'detectron' in built.intent['pretrained']
    std = [1.0] * 3 if detectron else [58.395, 57.12, 57.375]
    assert (images.std, images.bgr_to_rgb) == (std, not detectron)


def test_the_name_says_batch_schedule_and_size(built):
    name, cfg = built.name, built.cfg
    batch = re.search(r'_(\d)xb(\d)-', name)
    gpus, images = map(int, batch.groups()) if batch else (8, 2)
    assert cfg.train_dataloader.batch_size == images
    if 'auto_scale_lr' in cfg:
        assert cfg.auto_scale_lr.base_batch_size == gpus * images
    times, length = re.search(r'[-_](\d+)([xke])_', name).groups()
    if length == 'x':
        assert cfg.train_cfg.max_epochs == 12 * int(times)
    elif length == 'k':
        assert cfg.train_cfg.max_iters == 1000 * int(times)
    else:
        epochs = cfg.train_cfg.max_iters * gpus * images / 2975
        assert round(epochs) == int(times)
    crop = re.search(r'(\d+)x(\d+)$', name)
    if crop:
        size = tuple(map(int, crop.groups()))
        assert tuple(cfg.model.data_preprocessor.size) == size
