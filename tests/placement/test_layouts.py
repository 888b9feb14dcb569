"""Norms in the place of LayerNorms, with channels first and last."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models.convnext import LayerNorm2d

from whiten_plugins.norms import GW, SN
from whiten_plugins.placement import place_norms
from whiten_plugins.placement.layouts import layout_of

CFGS = [
    dict(type='GW', num_groups=4),
    dict(type='SN'),
    dict(type='SW', num_pergroup=4),
]
IDS = ['GW', 'SN', 'SW']


class ToldLayout(nn.LayerNorm):
    """As mmpretrain's LayerNorm2d, with the layout in each call."""

    def __init__(self, channels):
        super().__init__(channels)
        self.num_channels = channels

    def forward(self, x, data_format='channel_first'):
        assert x.dim() == 4
        if data_format == 'channel_last':
            return super().forward(x)
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TimmLike(nn.LayerNorm):
    """Channels last, in a class of its own."""


def replaced(norm, cfg):
    """A copy of a LayerNorm, replaced, and the plain norm it should be."""
    torch.manual_seed(0)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    model = nn.Sequential(copy.deepcopy(norm))
    assert place_norms(model, cfg, ['0']) == ['0']
    plain = nn.Sequential(nn.BatchNorm1d(norm.normalized_shape[0]))
    plain.load_state_dict(nn.Sequential(norm).state_dict(), strict=False)
    place_norms(plain, cfg, ['0'])
    return model[0], plain[0]


@pytest.mark.parametrize('cfg', CFGS, ids=IDS)
@pytest.mark.parametrize('shape', [(2, 15, 8), (2, 3, 5, 8)])
def test_channels_last_are_the_norm_of_the_transposed_input(cfg, shape):
    norm, plain = replaced(nn.LayerNorm(8), cfg)
    x = torch.randn(shape, requires_grad=True)
    y = norm(x)
    expected = plain(x.movedim(-1, 1)).movedim(1, -1)
    torch.testing.assert_close(y, expected)
    weights = torch.randn(shape)
    (ours,) = torch.autograd.grad((y * weights).sum(), x, retain_graph=True)
    (theirs,) = torch.autograd.grad((expected * weights).sum(), x)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('cfg', CFGS, ids=IDS)
def test_channels_first_are_the_norm_itself(cfg):
    norm, plain = replaced(LayerNorm2d(8), cfg)
    x = torch.randn(2, 8, 3, 5)
    torch.testing.assert_close(norm(x), plain(x))


def test_a_call_can_say_the_layout():
    norm, plain = replaced(ToldLayout(8), dict(type='SN'))
    x = torch.randn(2, 8, 3, 5)
    last = x.movedim(1, -1)
    torch.testing.assert_close(norm(x), plain(x))
    torch.testing.assert_close(
        norm(last, data_format='channel_last'), plain(x).movedim(1, -1)
    )
    torch.testing.assert_close(norm(x, data_format='channel_first'), plain(x))


def test_gw_of_one_group_is_layer_norm_over_the_image():
    norm, _ = replaced(nn.LayerNorm(8), dict(type='GW', num_groups=1, T=20))
    x = torch.randn(2, 15, 8)
    expected = functional.layer_norm(x, (15, 8)) * norm.weight + norm.bias
    torch.testing.assert_close(norm(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('norm', 'layout'),
    [
        (nn.LayerNorm(8), 'channel_last'),
        (TimmLike(8), 'channel_last'),
        (nn.LayerNorm(1), 'channel_last'),
        (LayerNorm2d(8), 'channel_first'),
        (LayerNorm2d(8, elementwise_affine=False), 'channel_first'),
        (LayerNorm2d(8).half(), 'channel_first'),
        (LayerNorm2d(8, device='meta'), 'channel_first'),
        (ToldLayout(8), 'channel_first'),
    ],
)
def test_the_layout_is_found_by_trying(norm, layout):
    assert layout_of(norm) == layout


def test_the_norm_stays_what_it_is():
    norm, plain = replaced(nn.LayerNorm(8), dict(type='SN'))
    assert isinstance(norm, SN) and type(norm).__name__ == 'SN'
    assert repr(norm) == repr(plain)
    assert norm.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize(
    'again', [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_and_pickles_keep_the_layout(again):
    norm, _ = replaced(nn.LayerNorm(8), dict(type='GW', num_groups=4))
    other = again(norm)
    assert isinstance(other, GW)
    x = torch.randn(2, 15, 8)
    torch.testing.assert_close(other(x), norm(x))
    other.weight.data.zero_()
    assert norm.weight.abs().sum() > 0


def test_an_in_place_relu_can_follow():
    norm, plain = replaced(nn.LayerNorm(8), dict(type='SN'))
    x = torch.randn(2, 15, 8, requires_grad=True)
    nn.ReLU(inplace=True)(norm(x)).sum().backward()
    ours, x.grad = x.grad, None
    functional.relu(plain(x.movedim(-1, 1))).sum().backward()
    torch.testing.assert_close(ours, x.grad)


@pytest.mark.parametrize(
    'cfg', [dict(type='BN'), dict(type='GN', num_groups=2)]
)
def test_torch_norms_can_take_the_place(cfg):
    pytest.importorskip('mmcv.cnn')
    norm, plain = replaced(nn.LayerNorm(8), cfg)
    x = torch.randn(2, 15, 8)
    expected = plain(x.movedim(-1, 1)[..., None])[..., 0].movedim(1, -1)
    torch.testing.assert_close(norm(x), expected)


def test_a_layer_norm_over_more_than_channels_is_left_alone():
    model = nn.Sequential(nn.LayerNorm((3, 8)), nn.LayerNorm(8))
    assert place_norms(model, dict(type='SN'), 'all') == ['1']
