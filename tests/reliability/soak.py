"""Thousands of steps of a small detector in two processes.

``python -m tests.reliability.soak SyncSW 3000 FOLDER`` trains a RetinaNet of
that norm in mmengine's runner and writes ``FOLDER/rank0.json`` and
``rank1.json``: bfloat16 autocast, batches of 0 to 3 images of changing
size, another number on each rank, gradients accumulated over two steps,
activation checkpointing, averaged weights (EMA), and the ratio hook.
"""

import argparse
import gc
import hashlib
import json
import os
import warnings
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import multiprocessing as mp
from torch.utils.data import DataLoader, Dataset

RANKS = 2
SIZES = (24, 32, 40)
SEED = 0
CLASSES = 2
WRAPPER = dict(
    type='MMDistributedDataParallel',
    device_ids=None,
    broadcast_buffers=False,
)


class Batches(Dataset):
    """Batches of bright boxes on noise, the same for a rank in every run."""

    def __init__(self, rank, steps):
        self.rank = rank
        self.steps = steps

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        return batch_of(index, self.rank)


def batch_of(index, rank):
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    generator = torch.Generator().manual_seed((SEED + index) * RANKS + rank)

    def integer(low, high):
        return int(torch.randint(low, high, (), generator=generator))

    height, width = (SIZES[integer(0, len(SIZES))] for _ in 'hw')
    images = torch.randn(integer(0, 4), 3, height, width, generator=generator)
    samples = []
    for image in images:
        boxes, labels = [], []
        for _ in range(integer(0, 3)):  # also images without an object
            left, top, side = integer(0, 12), integer(0, 12), integer(6, 12)
            label = integer(0, CLASSES)
            image[label, top : top + side, left : left + side] += 3
            boxes.append([left, top, left + side, top + side])
            labels.append(label)
        shape = (height, width)
        sample = DetDataSample(
            metainfo=dict.fromkeys(
                ('img_shape', 'pad_shape', 'batch_input_shape'), shape
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
            labels=torch.tensor(labels, dtype=torch.long),
        )
        samples.append(sample)
    return {'inputs': images, 'data_samples': samples}


def detector(norm):
    """Return the config of a RetinaNet with a norm after each convolution."""
    norm_cfg = dict(type=norm, requires_grad=True)
    if norm == 'SyncSW':
        norm_cfg['num_pergroup'] = 8
    return dict(
        type='SoakDetector',
        data_preprocessor=None,
        backbone=dict(
            type='ResNet',
            depth=18,
            base_channels=8,
            stem_channels=8,
            num_stages=2,
            strides=(1, 2),
            dilations=(1, 1),
            out_indices=(0, 1),
            norm_cfg=norm_cfg,
            norm_eval=False,
            with_cp=True,
        ),
        neck=dict(
            type='FPN',
            in_channels=[8, 16],
            out_channels=16,
            num_outs=2,
            norm_cfg=norm_cfg,
        ),
        bbox_head=dict(
            type='RetinaHead',
            num_classes=CLASSES,
            in_channels=16,
            feat_channels=16,
            stacked_convs=1,
            norm_cfg=norm_cfg,
            anchor_generator=dict(
                type='AnchorGenerator',
                octave_base_scale=2,
                scales_per_octave=1,
                ratios=[1.0],
                strides=[4, 8],
            ),
        ),
        train_cfg=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.4,
                min_pos_iou=0,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type='PseudoSampler'),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
    )


def register():
    """Register the detector; a rank without images takes part all the same."""
    from mmdet.models import RetinaNet
    from mmdet.registry import MODELS

    @MODELS.register_module(force=True)
    class SoakDetector(RetinaNet):
        def loss(self, batch_inputs, batch_data_samples):
            if len(batch_inputs):
                return super().loss(batch_inputs, batch_data_samples)
            outputs = self.bbox_head(self.extract_feat(batch_inputs))
            total = sum(map.sum() for maps in outputs for map in maps)
            return dict(loss_nothing=total * 0)


def watch(rows, every):
    """Return a hook that checks each loss and counts memory and objects."""
    from mmengine.hooks import Hook

    class Watch(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch, outputs):
            for name, value in outputs.items():
                if not torch.isfinite(torch.as_tensor(value)).all():
                    raise FloatingPointError(f'step {runner.iter}: {name}')
            if (runner.iter + 1) % every == 0:
                gc.collect()
                rows.append(
                    (runner.iter + 1, resident(), len(gc.get_objects()))
                )

    return Watch()


def resident():
    """Return this process's resident set in MiB."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def train(rank, norm, steps, folder):
    """Train, and write what this rank saw."""
    from mmengine.config import Config
    from mmengine.registry import DefaultScope
    from mmengine.runner import Runner

    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    os.environ['LOCAL_RANK'] = str(rank)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/group',
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=300),
    )
    DefaultScope.get_instance('soak', scope_name='mmdet')
    rows = []
    gc.freeze()  # what was imported: each collection would walk over it
    runner = Runner(
        model=detector(norm),
        work_dir=f'{folder}/work',
        train_dataloader=DataLoader(Batches(rank, steps), batch_size=None),
        train_cfg=dict(by_epoch=False, max_iters=steps),
        optim_wrapper=dict(
            type='CPUAmpOptimWrapper',
            optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
            clip_grad=dict(max_norm=10),
            accumulative_counts=2,
        ),
        default_hooks=dict(
            sampler_seed=None,
            logger=dict(type='LoggerHook', interval=steps),
            checkpoint=dict(
                type='CheckpointHook',
                by_epoch=False,
                interval=max(steps // 6, 1),
                max_keep_ckpts=2,
            ),
        ),
        custom_hooks=[
            dict(type='EMAHook', momentum=0.01),
            dict(type='RatioHook', interval=max(steps // 30, 1)),
            watch(rows, max(steps // 60, 10)),
        ],
        launcher='pytorch',
        log_level='ERROR',
        randomness=dict(seed=SEED),
        default_scope='mmdet',
        cfg=Config(dict(model_wrapper_cfg=WRAPPER)),
        experiment_name=f'soak {norm}',
    )
    runner.train()
    state = {
        **runner.model.module.state_dict(),
        **{
            f'average.{name}': value
            for hook in runner.hooks
            if hasattr(hook, 'ema_model')
            for name, value in hook.ema_model.state_dict().items()
        },
    }
    found = {
        'steps': runner.iter,
        'rows': rows,
        'finite': all(bool(v.isfinite().all()) for v in state.values()),
        'digests': {name: digest(value) for name, value in state.items()},
    }
    Path(folder, f'rank{rank}.json').write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


def digest(tensor):
    """Return a digest of a tensor's bytes."""
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('norm', choices=('SyncSW', 'SyncSN'))
    parser.add_argument('steps', type=int)
    parser.add_argument('folder', type=Path)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    # Imported once; the ranks are forks, before any thread has started.
    import whiten_plugins.runner  # noqa: F401

    register()
    arguments = (args.norm, args.steps, str(args.folder.resolve()))
    mp.start_processes(train, arguments, nprocs=RANKS, start_method='fork')


if __name__ == '__main__':
    main()
