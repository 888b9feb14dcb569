"""Each norm in each architecture: a training step and a prediction."""

from itertools import product

import pytest
import torch

from whiten_plugins.analysis import list_norms

from .models import (
    ARCHITECTURES,
    NORM_CFGS,
    SEGMENTORS,
    SIZE,
    assert_finite,
    build,
    images,
    small_config,
)

pytestmark = [
    pytest.mark.filterwarnings('ignore:``build_loss``'),
    pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``'),
]
# By default each norm once, each architecture twice or thrice.
PAIRS = [
    pytest.param(
        architecture,
        norm,
        marks=() if i % len(ARCHITECTURES) == j else pytest.mark.slow,
    )
    for (i, norm), (j, architecture) in product(
        enumerate(NORM_CFGS), enumerate(ARCHITECTURES)
    )
]


def _config(architecture, norm, data):
    # The image pooling of these heads leaves nothing to an IW.
    changes = {}
    if norm == 'IW' and architecture in SEGMENTORS:
        sn = dict(type='SN', _delete_=True)
        changes = dict(decode_head=dict(norm_cfg=sn))
    return small_config(architecture, NORM_CFGS[norm], data, **changes)


@pytest.mark.parametrize(('architecture', 'norm'), PAIRS)
def test_a_training_step_and_a_prediction(architecture, norm, data):
    cfg = _config(architecture, norm, data)
    model, optim_wrapper = build(cfg)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    losses = model.train_step(images(cfg, 'train', (0, 1)), optim_wrapper)
    assert_finite(losses)
    assert_finite(model.state_dict())
    after = model.state_dict()
    rows = list_norms(model, cfg)
    assert norm in {row.type for row in rows} <= {norm, 'SN'}
    for row in rows:
        changed = f'{row.name}.bias'
        assert not torch.equal(before[changed], after[changed]), changed

    model.eval()
    (result,) = model.test_step(images(cfg, 'test', (0,)))
    if architecture in SEGMENTORS:
        _check_labels(result)
    else:
        _check_boxes(result, masks=architecture == 'mask-rcnn')


def _check_labels(result):
    assert result.seg_logits.data.isfinite().all()
    assert result.pred_sem_seg.data.shape == (1, *SIZE)


def _check_boxes(result, masks):
    found = result.pred_instances
    assert len(found) > 0
    assert found.scores.isfinite().all()
    assert found.bboxes.isfinite().all()
    assert found.bboxes.min() >= 0 and found.bboxes.max() <= max(SIZE)
    assert ('masks' in found) == masks
    if masks:
        assert found.masks.shape == (len(found), *SIZE)
