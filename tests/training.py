"""A training of seconds: mmengine's runner on a network of some norms."""

import copy
from itertools import count

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import Dataset

from whiten_plugins.integration import safe_globals

NUM_IMAGES = 12
_NUMBERS = count()  # mmengine warns of experiments of one name


def read_training(path):
    """What a training saved; OneDL's loader may have taken back what its log
    needs."""
    with safe_globals.allowed():
        return torch.load(path, weights_only=True)


class Images(Dataset):
    """Random images, each the same whenever it is read."""

    def __len__(self):
        return NUM_IMAGES

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.randn(3, 8, 8, generator=generator)
        return {'inputs': image * (1 + index / 4)}


def image_loader(batch_size=4, sampler='DefaultSampler'):
    """InfiniteSampler for trainings by iteration: mmengine sleeps for two
    seconds between the epochs of another."""
    return dict(
        batch_size=batch_size,
        num_workers=0,
        dataset=Images(),
        sampler=dict(type=sampler, shuffle=True),
        collate_fn=dict(type='default_collate'),
    )


@MODELS.register_module(force=True)
class NormNetwork(BaseModel):
    """Convolutions and the norms that it is given."""

    def __init__(self, *norms):
        super().__init__()
        self.backbone = nn.Sequential()
        channels = 3
        for norm in norms:
            self.backbone.append(nn.Conv2d(channels, 8, 3, padding=1))
            self.backbone.append(norm)
            channels = 8

    def forward(self, inputs, data_samples=None, mode='tensor'):
        y = self.backbone(inputs)
        if mode == 'loss':
            return dict(loss=(y - inputs.mean(1, keepdim=True)).abs().mean())
        return [y]


def runner(model, work_dir, hooks=(), **settings):
    """A runner of 3 epochs of 3 iterations; settings as those of Runner."""
    for visualizer in (Visualizer, *Visualizer.__subclasses__()):
        visualizer._instance_dict.clear()  # as in a process of its own
    settings = {
        'train_dataloader': image_loader(),
        'train_cfg': dict(by_epoch=True, max_epochs=3),
        'default_hooks': dict(
            checkpoint=dict(type='CheckpointHook', interval=1)
        ),
        'custom_hooks': list(hooks),
        'randomness': dict(seed=0),
        'log_level': 'WARNING',
        'cfg': Config({}),
        'experiment_name': f'test {next(_NUMBERS)}',
    } | settings
    return Runner(
        model=model,
        work_dir=str(work_dir),
        optim_wrapper=dict(
            type='OptimWrapper', optimizer=dict(type='SGD', lr=0.5)
        ),
        **copy.copy(settings),
    )
