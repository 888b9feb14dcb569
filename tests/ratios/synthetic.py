"""Checkpoints and trainings with chosen or random ratio logits."""

import json

import torch

C = 4
BUFFERS = {
    'SN': {'running_mean': (C,), 'running_var': (C,)},
    'SW': {'running_mean': (C,), 'running_cov': (1, C, C)},
    'SN without bn': {},
}
DETECTOR = (
    'backbone.bn1',
    'backbone.layer1.0.bn1',
    'backbone.layer1.0.bn2',
    'backbone.layer1.0.bn3',
    'backbone.layer1.0.downsample.1',
    'backbone.layer2.0.bn1',
    'neck.lateral_convs.0.bn',
    'neck.fpn_convs.0.bn',
    'rpn_head.rpn_conv.bn',
    'roi_head.bbox_head.shared_convs.0.bn',
    'roi_head.mask_head.convs.0.bn',
)


def layer(name, mean, var=None, kind='SN'):
    """State dict of one layer from its logits; without `var`, it is tied."""
    state = {'weight': torch.ones(C), 'bias': torch.zeros(C)}
    state['mean_weight'] = torch.as_tensor(mean)
    if var is not None:
        state['var_weight'] = torch.as_tensor(var)
    for buffer, shape in BUFFERS[kind].items():
        state[buffer] = torch.zeros(shape)
    return {f'{name}.{key}': value for key, value in state.items()}


def convolution(name, size):
    """State dict of a square convolution."""
    return {f'{name}.weight': torch.zeros(C, C, size, size)}


def network(names=DETECTOR, num_stats=3, kind='SN', seed=0):
    """State dict of many layers with random logits."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name in names:
        mean, var = torch.randn(2, num_stats, generator=generator)
        state.update(layer(name, mean, var, kind))
    return state


def save(path, *states, config=None, **meta):
    """Write state dicts as one mmengine checkpoint; returns its path."""
    merged = {k: v for state in states for k, v in state.items()}
    meta = {'cfg': config, **meta}
    torch.save({'meta': meta, 'state_dict': merged}, path)
    return path


def save_history(folder, names, snapshots, stats=('in', 'ln', 'bn')):
    """Write a ratio history; `snapshots` are (iter, epoch, mean, var)."""
    layers = [dict(name=name, type='SN', stats=stats) for name in names]
    header = dict(
        format='whiten_plugins.ratio_history', version=1, layers=layers
    )
    rows = [
        dict(zip(('iter', 'epoch', 'mean', 'var'), snapshot))
        for snapshot in snapshots
    ]
    text = ''.join(json.dumps(row) + '\n' for row in (header, *rows))
    (folder / 'ratio_history.jsonl').write_text(text)
    return folder


def training(
    folder, times=(100, 200, 400), names=DETECTOR, seed_offset=0, **kwargs
):
    """A work directory with a checkpoint at each iteration."""
    folder.mkdir(parents=True, exist_ok=True)
    for time in times:
        state = network(names, seed=time + seed_offset, **kwargs)
        save(folder / f'iter_{time}.pth', state, iter=time, epoch=0)
    return folder
