"""What the papers say of their networks and images, beyond the table."""

import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS, DefaultScope
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .grid import QUIET, build, load

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

pytestmark = QUIET


@pytest.mark.parametrize(
    'config, convolutions',
    [
        ('sw/deeplab_r50b-d8-sw14a_8xb2-100k_ade20k-450x450', range(0, 40, 3)),
        ('sw/deeplab_r50b-d8-sw7a_8xb2-100k_ade20k-450x450', range(0, 37, 6)),
        ('gw/faster-rcnn_r50-gw-s1b2_fpn_1x_coco', range(0, 50, 3)),
    ],
)
def test_placed_norms_follow_the_convolutions_that_the_papers_number(
    config, convolutions
):
    """SW supplement B: {1, 3, 6, …, 39} and {1, 6, 12, …, 36} of those of the
    stem and the blocks; GW section 5.1.1: the 2nd of all blocks, {1, 3, …, 48}
    in these numbers. Ranges begin with 0 for 1, the stem."""
    model = build(load(config))
    numbered = ['bn1'] + [
        f'layer{stage}.{block}.bn{norm}'
        for stage, blocks in enumerate((3, 4, 6, 3), start=1)
        for block in range(blocks)
        for norm in (1, 2, 3)
    ]
    expected = [numbered[max(number, 1) - 1] for number in convolutions]
    assert model.backbone.placed_norms == expected


@pytest.mark.parametrize(
    'config, parameters',
    [
        ('gw/faster-rcnn_r50-gw-s1b2_fpn_1x_coco', 25_557_032),
        (
            'gw/mask-rcnn_x101-32x8d-gw-s1b2_fpn_gw-head_8xb1-1x_coco',
            88_791_336,
        ),
    ],
)
def test_backbones_are_as_large_as_torchvisions(config, parameters):
    """The latter's classifier, of 1000 classes, is not in a backbone."""
    backbone = build(load(config)).backbone
    found = sum(p.numel() for p in backbone.parameters())
    assert found + 1000 * (2048 + 1) == parameters


def test_deeplab_is_the_network_of_sw_table_2():
    """274.73 G multiply-adds at 713×713 with BN; convolutions have all but
    half a percent of them."""
    cfg = load('sw/deeplab_r50b-d8-sw14a_8xb2-400e_cityscapes-713x713')
    backbone = cfg.model.backbone
    backbone.type = 'ResNet'
    del backbone.whiten_cfg, backbone.whiten_at
    model = build(cfg)
    model.apply(lambda module: setattr(module, 'training', False))
    image = torch.zeros(1, 3, 713, 713, device='meta')
    with FlopCounterMode(display=False) as counter:
        model.decode_head(model.backbone(image))
    assert counter.get_total_flops() / 2e9 == pytest.approx(274.73, rel=5e-3)


def _run_pipeline(pipeline, shape):
    """What a pipeline of mmseg makes of an image of ``shape``."""
    results = dict(
        img=np.zeros((*shape, 3), np.uint8), img_shape=shape, ori_shape=shape,
        gt_seg_map=np.zeros(shape, np.uint8), seg_fields=['gt_seg_map'],
        img_path='none.png', reduce_zero_label=False,
    )  # fmt: skip
    with DefaultScope.overwrite_default_scope('mmseg'):
        for step in pipeline:
            if not step['type'].startswith('Load'):
                results = TRANSFORMS.build(step)(results)
    return results['inputs']


def _without_loading(pipeline):
    """A test-time augmentation whose annotations are not read from a file."""
    (augmentation,) = (s for s in pipeline if s['type'] == 'TestTimeAug')
    kept = [
        alternatives
        for alternatives in augmentation['transforms']
        if alternatives[0]['type'] != 'LoadAnnotations'
    ]
    return [dict(augmentation, transforms=kept)]


@pytest.mark.parametrize(
    'recipe, shape, trained, tested',
    [
        ('100k_ade20k-450x450', (150, 200), (450, 450), (450, 600)),
        ('100k_ade20k-450x450', (150, 600), (450, 450), (250, 1000)),
        ('400e_cityscapes-713x713', (1024, 2048), (713, 713), (1024, 2048)),
    ],
)
def test_image_sizes_are_those_of_the_papers(recipe, shape, trained, tested):
    cfg = load(f'sn/deeplab_r50b-d8-sn8x2_sn-all_8xb2-{recipe}')
    train = [
        step
        for step in cfg.train_dataloader.dataset.pipeline
        if step.type != 'RandomResize'  # may leave less than a crop
    ]
    test = cfg.test_dataloader.dataset.pipeline
    assert cfg.val_dataloader.dataset.pipeline == test
    assert tuple(_run_pipeline(train, shape).shape[1:]) == trained
    height, width = _run_pipeline(test, shape).shape[1:]
    assert (height, width) == pytest.approx(tested, abs=1)


@pytest.mark.parametrize(
    'recipe, heights',
    [
        ('100k_ade20k-450x450', [300, 400, 500, 600]),
        ('400e_cityscapes-713x713', [200, 250, 300, 350]),
    ],
)
def test_multi_scale_testing_has_the_papers_scales(recipe, heights):
    cfg = load(f'sn/deeplab_r50b-d8-sn8x2_sn-all_8xb2-{recipe}')
    inputs = _run_pipeline(_without_loading(cfg.tta_pipeline), (200, 300))
    assert [image.shape[1] for image in inputs] == heights
    assert cfg.tta_model.type == 'SegTTAModel'


def test_c4_resizes_as_setting_1():
    cfg = load('sn/faster-rcnn_r50-sn8x2-c4_sn-all_4xb3-120k_coco')
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        (resize,) = (
            step for step in loader.dataset.pipeline if step.type == 'Resize'
        )
        assert min(resize.scale) == 600
    assert cfg.model.roi_head.shared_head.style == 'pytorch'


@pytest.mark.parametrize(
    'config, dropout',
    [
        ('sn/deeplab_r50b-d8-sn8x2_sn-all_8xb2-100k_ade20k-450x450', (0, 0)),
        (
            'sn/pspnet_r50b-d8-sn8x2_sn-all_8xb2-400e_cityscapes-713x713',
            (0.1, 0.1),
        ),
    ],
)
def test_segmentation_heads_are_those_of_the_code_that_sn_names(
    config, dropout
):
    """c1_bilinear_deepsup and ppm_bilinear_deepsup, fc_dim=2048."""
    model = load(config).model
    heads = (model.decode_head, model.auxiliary_head)
    assert tuple(head.dropout_ratio for head in heads) == dropout
    assert tuple(head.channels for head in heads) == (512, 512)


def test_sw_keeps_as_much_of_running_statistics_as_the_published_code():
    model = build(load('sw/deeplab_r50b-d8-sw7b_8xb2-100k_ade20k-450x450'))
    placed = [
        model.backbone.get_submodule(name)
        for name in model.backbone.placed_norms
    ]
    assert [norm.momentum for norm in placed] == [pytest.approx(0.01)] * 7


@pytest.mark.parametrize(
    'config',
    [
        'sn/deeplab_r50b-d8-gn_gn-all_8xb2-100k_ade20k-450x450',
        'gw/faster-rcnn_r50-gn_fpn_gn-head_1x_coco',
    ],
)
def test_group_norms_have_the_32_groups_of_the_published_models(config):
    groups = {
        module.num_groups
        for module in build(load(config)).modules()
        if isinstance(module, nn.GroupNorm)
    }
    assert groups == {32}
