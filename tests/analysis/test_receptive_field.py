"""Receptive fields equal those that gradients reach."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from whiten_plugins.analysis.receptive_field import Field, FieldTracker, merge

SIZE = 97


class Upsample(nn.Module):
    def __init__(self, mode, factor):
        super().__init__()
        self.mode, self.factor = mode, factor

    def forward(self, x):
        return F.interpolate(x, scale_factor=self.factor, mode=self.mode)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv(3, stride=2), nn.ReLU(), conv(3))
        self.shortcut = conv(1, stride=2)

    def forward(self, x):
        out = self.body(x)
        out += self.shortcut(x)
        return F.relu(out, inplace=True)


def conv(size, **kwargs):
    return nn.Conv2d(1, 1, size, padding=size // 2, **kwargs)


def track(network, image):
    tracker = FieldTracker()
    tracker.assign(image, Field())
    with torch.no_grad(), tracker:
        return tracker.field(network(image))


def reached(network):
    """Height and width of what the middle of the output depends on: the
    largest of some neighbouring positions, which padding may cut."""
    image = torch.rand(1, 1, SIZE, SIZE, requires_grad=True)
    out = network(image)
    middle = out.shape[-1] // 2
    sizes = []
    for i in range(max(0, middle - 2), middle + 2):
        (grad,) = torch.autograd.grad(
            out[0, 0, i, i], image, retain_graph=True
        )
        rows, columns = grad[0, 0].nonzero(as_tuple=True)
        spans = [axis.max() - axis.min() + 1 for axis in (rows, columns)]
        sizes.append(tuple(int(span) for span in spans))
    return max(sizes)


@pytest.mark.parametrize(
    'network',
    [
        [conv(7, stride=2), nn.AvgPool2d(3, 2, 1), conv(3), conv(1)],
        [conv(3, dilation=4), conv(3, stride=2), conv(5, dilation=2)],
        [nn.Conv2d(1, 1, (1, 7)), nn.Conv2d(1, 1, (5, 1), stride=(2, 1))],
        [conv(3, stride=2), nn.AvgPool2d(2), conv(3)],
        [conv(3, stride=4), nn.ConvTranspose2d(1, 1, 4, 2, 1)],
        [conv(3, stride=4), nn.ConvTranspose2d(1, 1, 2, 2), conv(1)],
        [conv(3, stride=4), Upsample('nearest', 4)],
        [conv(3, stride=2), Upsample('bilinear', 2)],
        [Residual(), Residual(), conv(3)],
    ],
    ids=lambda modules: '-'.join(type(m).__name__ for m in modules),
)
def test_field_is_what_gradients_reach(network):
    network = nn.Sequential(*network)
    for parameter in network.parameters():  # no two paths cancel out
        nn.init.constant_(parameter, 0.1)
    found = track(network, torch.rand(1, 1, SIZE, SIZE))
    assert found.size == reached(network)
    assert found.extent == max(found.size)
    assert found.pooled == ''


def test_max_pooling_counts_as_a_convolution():
    image = torch.rand(1, 1, SIZE, SIZE)
    found = track(nn.Sequential(conv(7, stride=2), nn.MaxPool2d(3, 2)), image)
    assert (found.size, found.jump) == ((11, 11), (4, 4))


@pytest.mark.parametrize(
    'pool',
    [
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d(3),
        nn.AdaptiveMaxPool2d(2),
        lambda x: x.mean((2, 3), keepdim=True),
        lambda x: x.flatten(2) @ x.flatten(2).transpose(1, 2),
    ],
)
def test_pooling_a_whole_map_sees_the_image(pool):
    image = torch.rand(1, 1, SIZE, SIZE)
    assert track(lambda x: pool(F.relu(x)), image).extent == 'image'


def test_branches_that_meet_have_the_larger_field():
    image = torch.rand(1, 1, SIZE, SIZE)
    wide, narrow = conv(9), conv(3)
    found = track(lambda x: torch.cat([narrow(x), wide(x)], 1), image)
    assert found.extent == 9
    assert merge([]) is None
    assert merge([Field(pooled='RoI'), Field(pooled='image')]).pooled == 'RoI'


def test_weights_have_no_field():
    weight = nn.Parameter(torch.ones(3))
    assert track(lambda x: weight * 2, torch.rand(1, 1, 4, 4)) is None
