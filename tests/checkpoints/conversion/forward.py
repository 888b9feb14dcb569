"""A ResNet's forward pass in evaluation, on published tensors as they are.

The papers' equations in float64; nothing is shared with the package.
"""

import torch
from torch.nn import functional as F

from tests.checkpoints.conversion.published import BLOCKS
from tests.reference import mean_and_covariance, newton, softmax_ratios

EPS = 1e-5
SW_STATS = {
    2: ('bw', 'iw'),
    3: ('bw', 'iw', 'ln'),
    5: ('bw', 'iw', 'bn', 'in', 'ln'),
}


def features(network, state, images):
    """Outputs of the four stages, in float64."""
    state = {key: value.double() for key, value in state.items()}

    def conv(x, key, stride=1, groups=1):
        weight = state[f'{key}.weight']
        padding = weight.shape[-1] // 2
        return F.conv2d(x, weight, None, stride, padding, groups=groups)

    def norm(x, place):
        key = network.norm_key(place)
        own = {
            name.removeprefix(f'{key}.'): value
            for name, value in state.items()
            if name.startswith(f'{key}.')
        }
        if network.norm_type(place) == 'IBN':
            return instance_batch_norm(x, own)
        y = NORMS[network.norm_type(place)](x, own)
        return y * own['weight'].view(1, -1, 1, 1) + own['bias'].view(
            1, -1, 1, 1
        )

    x = images.double()
    if network.deep_stem:
        x = norm(conv(x, 'conv1.0', 2), 'conv1.1').relu()
        x = norm(conv(x, 'conv1.3'), 'conv1.4').relu()
        x = norm(conv(x, 'conv1.6'), 'bn1').relu()
    else:
        x = norm(conv(x, 'conv1', 2), 'bn1').relu()
    x = F.max_pool2d(x, 3, 2, 1)
    outputs = []
    last = 3 if network.bottleneck else 2
    strided = 2 if network.bottleneck else 1
    for stage, count in enumerate(BLOCKS[network.depth], 1):
        for index in range(count):
            block = f'layer{stage}.{index}'
            stride = 2 if stage > 1 and index == 0 else 1
            y = x
            for k in range(1, last + 1):
                step = stride if k == strided else 1
                groups = network.groups if k == 2 else 1
                y = conv(y, f'{block}.conv{k}', step, groups)
                y = norm(y, f'{block}.bn{k}')
                y = y.relu() if k < last else y
            if f'{block}.downsample.0.weight' in state:
                x = conv(x, f'{block}.downsample.0', stride)
                x = norm(x, f'{block}.downsample.1')
            x = x + y
            if network.adds_norm(block):
                x = norm(x, f'{block}.IN')
            x = x.relu()
        outputs.append(x)
    return outputs


def batch_norm(x, own):
    mean = own['running_mean'].view(1, -1, 1, 1)
    var = own['running_var'].view(1, -1, 1, 1)
    return (x - mean) / (var + EPS).sqrt()


def instance_batch_norm(x, own):
    """IBN section 3.2, as two norms of torch beside each other."""
    split = len(own['IN.weight'])
    instance = F.instance_norm(
        x[:, :split], weight=own['IN.weight'], bias=own['IN.bias'], eps=EPS
    )
    names = ('running_mean', 'running_var', 'weight', 'bias')
    batch = [own[f'BN.{name}'] for name in names]
    return torch.cat(
        [instance, F.batch_norm(x[:, split:], *batch, eps=EPS)], 1
    )


def instance_norm(x, own):
    return F.instance_norm(x, eps=EPS)


def switchable_norm(x, own):
    """SN Eqs. 2, 3, 5; ratios in the order in, ln[, bn]."""
    means = [x.mean((2, 3), True), x.mean((1, 2, 3), True)]
    variances = [
        x.var((2, 3), False, True),
        x.var((1, 2, 3), False, True),
    ]
    if len(own['mean_weight']) == 3:
        means.append(own['running_mean'].view(1, -1, 1, 1))
        variances.append(own['running_var'].view(1, -1, 1, 1))
    mean = _mixed(own['mean_weight'], means)
    var = _mixed(own['var_weight'], variances)
    return (x - mean) / (var + EPS).sqrt()


def switchable_whitening(x, own):
    """SW algorithm 1, whitening by five Newton iterations."""
    groups, c, _ = own['running_mean'].shape
    X = x.reshape(len(x), groups, c, -1)
    eye = torch.eye(c).to(x)
    mean, cov = mean_and_covariance(X)
    everything = X.flatten(1)
    found = {
        'bw': (own['running_mean'], own['running_cov']),
        'iw': (mean, cov),
        'bn': (own['running_mean'], own['running_cov'] * eye),
        'in': (mean, cov * eye),
        'ln': (
            everything.mean(1)[:, None, None, None],
            everything.var(1, False)[:, None, None, None] * eye,
        ),
    }
    stats = SW_STATS[len(own['sw_mean_weight'])]
    mean = _mixed(own['sw_mean_weight'], [found[k][0] for k in stats])
    cov = _mixed(own['sw_var_weight'], [found[k][1] for k in stats])
    W = newton(cov + EPS * eye, 5)
    return (W @ (X - mean)).reshape(x.shape)


def group_whitening(x, own):
    """GW Eqs. 8-10 with 64 groups, by five Newton iterations."""
    X = x.reshape(len(x), min(64, x.shape[1]), -1)
    mean, cov = mean_and_covariance(X)
    W = newton(cov + EPS * torch.eye(X.shape[1]).to(x), 5)
    return (W @ (X - mean)).reshape(x.shape)


def iterative_normalization(x, own):
    """ItN's evaluation: the running mean and whitening matrix."""
    groups, c, _ = own['running_mean'].shape
    X = x.reshape(len(x), groups, c, -1)
    return (own['running_wm'] @ (X - own['running_mean'])).reshape(x.shape)


def _mixed(logits, terms):
    return sum(w * t for w, t in zip(softmax_ratios(logits, False), terms))


NORMS = {
    'BN': batch_norm,
    'IN': instance_norm,
    'SN': switchable_norm,
    'SW': switchable_whitening,
    'GW': group_whitening,
    'ItN': iterative_normalization,
}
