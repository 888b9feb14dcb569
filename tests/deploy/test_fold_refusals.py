"""Norms stay where folding would change what the network computes."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from tests.deploy.networks import as_trained
from whiten_plugins.norms import BW, GW, IW, SN, SW

from .test_fold import C, assert_folded, choosing


def computed_weight():
    return nn.utils.parametrizations.weight_norm(nn.Conv2d(3, C, 1))


def weight_by_hook():
    conv = nn.Conv2d(3, C, 1)
    weight = nn.Parameter(conv.weight.detach())
    del conv.weight
    conv.own, conv.weight = weight, 2 * weight.detach()
    return conv


class Standardized(nn.Conv2d):
    """As ConvWS2d: a subclass that computes with another weight."""

    def forward(self, x):
        return self._conv_forward(x, self.weight.tanh(), self.bias)


@pytest.mark.parametrize(
    ('layer', 'norm', 'reason'),
    [
        (nn.Conv2d, SN(C), 'takes in, ln statistics from each sample'),
        (nn.Conv2d, SW(C), 'takes iw statistics from each sample'),
        (
            nn.Conv2d,
            choosing(SN(C, hard=True), 'bn', 'ln'),
            'takes ln statistics from each sample',
        ),
        (nn.Conv2d, GW(C), 'takes iw statistics from each sample'),
        (nn.Conv2d, IW(C), 'takes iw statistics from each sample'),
        (nn.Conv2d, nn.GroupNorm(2, C), 'takes its statistics from each'),
        (
            nn.Conv2d,
            nn.BatchNorm2d(C, track_running_stats=False),
            'keeps no running statistics',
        ),
        (Standardized, BW(C), 'does not directly follow a plain conv'),
        (
            lambda *_: computed_weight(),
            BW(C),
            'does not directly follow a plain conv',
        ),
        (
            lambda *_: weight_by_hook(),
            BW(C),
            'follows a layer whose weight is computed',
        ),
    ],
)
def test_reasons(layer, norm, reason):
    model = as_trained(nn.Sequential(layer(3, C, 1), norm))
    folded = assert_folded(model, (3, 4, 5), kept=['1'])
    assert folded.fold_report.kept['1'].startswith(reason)


def pruned(where):
    def alter(model):
        prune.l1_unstructured(model[where], 'bias', 3)

    return alter


def doubled(module, args, out):
    return 2 * out


def own_forward(where):
    def alter(model):
        forward = model[where].forward
        model[where].forward = lambda x: 2 * forward(x)

    return alter


def parametrized_norm(model):
    parametrize = torch.nn.utils.parametrize
    parametrize.register_parametrization(model[1], 'weight', nn.Tanh())


def norm_in_a_list(model):
    model.hidden = [model[1]]


class Scaled(nn.BatchNorm2d):
    def forward(self, x):
        return 2 * super().forward(x)


def subclass_of_a_norm(model):
    model[1] = as_trained(Scaled(C))


class Tap(nn.Identity):
    """A module that hands on the layer's output, and has a hook."""


def hook_between(model):
    tap = Tap()
    tap.seen = []
    tap.register_forward_hook(lambda m, args, out: m.seen.append(0))
    model.insert(1, tap)


@pytest.mark.parametrize('example', [None, (torch.randn(2, 3, 5, 5),)])
@pytest.mark.parametrize(
    ('alter', 'reason'),
    [
        (pruned(0), 'follows a layer that has hooks'),
        (pruned(1), 'has hooks'),
        (
            lambda model: model[0].register_forward_hook(doubled),
            ('follows a layer that has hooks', 'does not directly follow'),
        ),
        (
            lambda model: model[0].register_forward_pre_hook(
                lambda m, args: m.weight.data.abs_()
            ),
            'follows a layer that has hooks',
        ),
        (lambda model: model[1].register_forward_hook(doubled), 'has hooks'),
        (own_forward(0), 'follows a layer that has a forward of its own'),
        (own_forward(1), 'has a forward of its own'),
        (parametrized_norm, 'has parametrized weights'),
        (norm_in_a_list, 'is also in an attribute'),
        (subclass_of_a_norm, 'is a Scaled, with its own forward'),
        (hook_between, 'follows a layer whose output a hook sees'),
    ],
)
def test_layers_and_norms_that_were_altered(alter, reason, example):
    model = as_trained(nn.Sequential(nn.Conv2d(3, C, 1), nn.BatchNorm2d(C)))
    alter(model)
    norm = str([isinstance(m, nn.BatchNorm2d) for m in model].index(True))
    folded = assert_folded(
        model, (3, 4, 5), kept=[norm], example_inputs=example
    )
    assert folded.fold_report.kept[norm].startswith(reason)


class Reads(nn.Module):
    """Uses the layer or the norm otherwise than by calling it."""

    def __init__(self, read):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, C, 1), nn.BatchNorm2d(C)
        self.read = read

    def forward(self, x):
        return self.read(self, x, self.norm(self.conv(x)))


def keeps_output(model, x, y):
    model.kept = model.conv(x)
    return model.norm(model.kept)


def sets_weight(model, x, y):
    model.conv.weight.data = torch.ones_like(x[0, :, :1, :1]).expand(
        C, 3, 1, 1
    )
    return model.norm(model.conv(x))


READS = {
    'functional': lambda m, x, y: (
        y + nn.functional.conv2d(x, m.conv.weight, m.conv.bias)
    ),
    'regularizer': lambda m, x, y: y * m.conv.weight.norm(),
    'by the list': lambda m, x, y: y * [*m.conv.parameters()][1].sum(),
    'forward called': lambda m, x, y: y + m.norm(m.conv.forward(x)),
    'detached': lambda m, x, y: (
        y + m.conv._parameters['weight'].detach().sum()
    ),
    'norm weight': lambda m, x, y: y * m.norm.weight.view(-1, 1, 1),
    'running mean': lambda m, x, y: y + m.norm.running_mean.view(-1, 1, 1),
    'kept': keeps_output,
    'in place': lambda m, x, y: m.norm(m.conv(x).mul_(2)),
}


@pytest.mark.parametrize('example', [None, (torch.randn(2, 3, 5, 5),)])
@pytest.mark.parametrize('read', READS)
def test_layers_and_norms_that_the_network_reads(read, example):
    model = as_trained(Reads(READS[read]))
    assert_folded(model, (3, 4, 5), kept=['norm'], example_inputs=example)


def test_a_weight_that_forward_sets():
    model = as_trained(Reads(sets_weight))
    example = (torch.randn(2, 3, 5, 5),)
    assert_folded(model, (3, 4, 5), kept=['norm'], example_inputs=example)


def test_shapes_and_types_of_weights_may_be_read():
    def read(model, x, y):
        return y.to(model.conv.weight.dtype).flatten(
            model.conv.weight.ndim - 2
        )

    assert_folded(as_trained(Reads(read)), (3, 4, 5))
