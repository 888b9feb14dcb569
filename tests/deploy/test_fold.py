"""Folding changes which modules compute, not what they compute."""

import pytest
import torch
from torch import nn

from tests.deploy.networks import as_trained, relative_difference
from whiten_plugins.deploy import fold_norms
from whiten_plugins.norms import BW, SN, SW, ItN, SyncBW

C = 8
INPUTS = {
    nn.Linear: (5,),
    nn.Conv1d: (5, 9),
    nn.Conv2d: (5, 9, 8),
    nn.Conv3d: (5, 4, 5, 6),
}


def choosing(norm, *names):
    """A hard norm whose largest ratios are those of mean and covariance."""
    for logits, name in zip((norm.mean_weight, norm.var_weight), names):
        logits.data.zero_()
        logits.data[..., norm.stats.index(name)] = 1
    return norm


def norms():
    return {
        'BN': nn.BatchNorm2d(C),
        'BN without affine': nn.BatchNorm2d(C, affine=False),
        'SyncBN': nn.SyncBatchNorm(C),
        'IN with running statistics': nn.InstanceNorm2d(
            C, track_running_stats=True
        ),
        'BW': BW(C, num_pergroup=4),
        'BW of covariance': BW(C, running='cov'),
        'BW by pca': BW(C, whitening='pca', running='cov'),
        'BW without affine': BW(C, affine=False),
        'SyncBW': SyncBW(C, num_pergroup=2),
        'ItN': ItN(C),
        'SN of bn alone': SN(C, stats=('bn',)),
        'hard SN': choosing(SN(C, hard=True), 'bn', 'bn'),
        'hard SN in groups': choosing(
            SN(C, hard=True, ratio_groups=2), 'bn', 'bn'
        ),
        'hard tied SN': choosing(SN(C, hard=True, tie_weight=True), 'bn'),
        'hard SW': choosing(
            SW(C, num_pergroup=4, sw_type=5, hard=True), 'bn', 'bw'
        ),
    }


def assert_folded(model, *shapes, kept=(), **kwargs):
    """All norms but ``kept`` are gone, and the output stays."""
    folded = fold_norms(model, **kwargs)
    assert set(folded.fold_report.kept) == set(kept)
    for shape in shapes:
        x = torch.randn(2, *shape)
        with torch.no_grad():
            difference = relative_difference(folded(x), model(x))
        assert difference < 1e-5
    return folded


@pytest.mark.parametrize('name', norms())
def test_norms_that_are_fixed(name):
    model = as_trained(nn.Sequential(nn.Conv2d(5, C, 3), norms()[name]))
    folded = assert_folded(model, INPUTS[nn.Conv2d])
    assert isinstance(folded[1], nn.Identity)
    assert folded.fold_report.folded == {'1': ['0']}


@pytest.mark.parametrize(
    'layer',
    [
        nn.Linear(5, C),
        nn.Linear(5, C, bias=False),
        nn.Conv1d(5, C, 3, padding=1),
        nn.Conv2d(5, C, 3, stride=2, padding=1, padding_mode='reflect'),
        nn.Conv3d(5, C, 3, bias=False),
        nn.ConvTranspose1d(5, C, 3),
        nn.ConvTranspose2d(5, C, 3, stride=2, output_padding=1, bias=False),
        nn.ConvTranspose3d(5, C, 2),
    ],
    ids=str,
)
@pytest.mark.parametrize('norm', [BW(C, num_pergroup=4), SN(C, stats=('bn',))])
def test_layers(layer, norm):
    shape = {1: (5,), 3: (5, 6), 4: (5, 6, 7), 5: (5, 4, 5, 6)}
    dims = layer.weight.dim() if layer.weight.dim() > 2 else 1
    assert_folded(as_trained(nn.Sequential(layer, norm)), shape[dims])


@pytest.mark.parametrize('kind', [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize('groups', [2, 4, C])
def test_convolutions_in_groups(kind, groups):
    """Channels are whitened together within a group of the convolution, as
    otherwise its outputs would depend on other inputs."""
    model = as_trained(
        nn.Sequential(
            kind(C, C, 3, groups=groups), BW(C, num_pergroup=C // groups)
        )
    )
    assert_folded(model, (C, 6, 7))
    model[1] = as_trained(BW(C, num_pergroup=2 * C // groups))
    folded = assert_folded(model, (C, 6, 7), kept=['1'])
    reason = folded.fold_report.kept['1']
    assert reason.startswith(f'whitens {2 * C // groups} channels together')


class Block(nn.Module):
    """What surrounds a norm in a network."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, C, 3)
        self.norm = BW(C)
        self.relu = nn.ReLU(inplace=True)
        self.other = nn.Conv2d(C, C, 1, bias=False)
        self.other_norm = ItN(C)

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        return self.relu(x + self.other_norm(self.other(x)))


class Decides(Block):
    """What torch.fx cannot trace."""

    def forward(self, x):
        return super().forward(x) if x.sum() < 1e9 else x


@pytest.mark.parametrize('kind', [Block, Decides])
def test_in_place_activations_and_shortcuts(kind):
    assert_folded(as_trained(kind()), (3, 7, 8))


class Branches(nn.Module):
    """``first`` goes elsewhere too; ``second`` is normalized late."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, C, 1), nn.Conv2d(3, C, 1)
        self.norm, self.late, self.idle = BW(C), BW(C), BW(C)

    def forward(self, x):
        first = self.first(x)
        return first * self.norm(first) + self.late(self.second(x) + 0)


class UntraceableBranches(Branches):
    def forward(self, x):
        return super().forward(x) if x.sum() < 1e9 else x


class Returned(Branches):
    def forward(self, x):
        first = self.first(x)
        return first, self.norm(first)


@pytest.mark.parametrize('kind', [Branches, UntraceableBranches, Returned])
def test_norms_that_stay_where_the_network_needs_them(kind):
    model = as_trained(kind())
    image = (torch.randn(2, 3, 5, 5),)
    for example in (None, image):
        folded = fold_norms(model, example_inputs=example)
        reasons = folded.fold_report.kept
        assert reasons['norm'] == 'shares the output of the layer before it'
        assert reasons['idle'] == 'is not called in evaluation'
        assert not folded.fold_report.folded


class Levels(nn.Module):
    """A head for several levels: all share ``conv`` and ``norm``; ``shared``
    has a norm for each level; ``many`` goes after two convolutions."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, C, 1), BW(C)
        self.shared = nn.Conv2d(C, C, 1)
        self.norms = nn.ModuleList([BW(C), BW(C)])
        self.convs = nn.ModuleList([nn.Conv2d(C, C, 1), nn.Conv2d(C, C, 3)])
        self.many = BW(C)
        self.alias = self.many

    def forward(self, x):
        outputs = []
        for norm, conv, size in zip(self.norms, self.convs, (1, 2)):
            level = self.norm(self.conv(nn.functional.avg_pool2d(x, size)))
            level = norm(self.shared(level.relu())).relu()
            outputs.append(self.alias(conv(level)))
        return outputs


@pytest.mark.parametrize('example', [None, (torch.randn(1, 3, 12, 12),)])
def test_modules_that_are_called_several_times(example):
    model = as_trained(Levels())
    folded = assert_folded(
        model,
        (3, 12, 12),
        kept=['norms.0', 'norms.1'],
        example_inputs=example,
    )
    assert folded.fold_report.folded == {
        'norm': ['conv'],
        'many': ['convs.0', 'convs.1'],
    }
    assert isinstance(folded.alias, nn.Identity)


def test_one_norm_after_another():
    model = nn.Sequential(nn.Conv2d(3, C, 1), nn.BatchNorm2d(C), BW(C))
    folded = assert_folded(as_trained(model), (3, 4, 5))
    assert folded.fold_report.folded == {'1': ['0'], '2': ['0']}


def test_weights_that_would_overflow():
    """A running variance of 0 multiplies by 316, which float16 cannot hold
    for a weight of 1000."""
    model = as_trained(nn.Sequential(nn.Conv2d(C, C, 1), nn.BatchNorm2d(C)))
    model[0].weight.data.fill_(1000)
    model[1].running_var.zero_()
    folded = fold_norms(model.half())
    assert folded.fold_report.kept['1'].endswith('beyond torch.float16')


def test_tied_weights_are_left_alone():
    model = nn.Sequential(
        nn.Conv2d(C, C, 1), BW(C), nn.ReLU(), nn.Conv2d(C, C, 1)
    )
    model[3].weight = model[0].weight
    folded = assert_folded(as_trained(model), (C, 4, 4), kept=['1'])
    assert 'shares its parameters' in folded.fold_report.kept['1']


def test_parameters_that_share_their_memory():
    model = as_trained(
        nn.Sequential(nn.Conv2d(C, C, 1), BW(C), nn.Conv2d(C, C, 1))
    )
    model[2].weight.data = model[0].weight.data
    x = torch.randn(2, C, 4, 4)
    with torch.no_grad():
        expected = model(x)
        fold_norms(model, inplace=True)
        assert torch.equal(model(x), expected)
    assert 'shares its parameters' in model.fold_report.kept['1']


def test_a_norm_of_the_second_dimension_after_a_linear_layer_of_the_last():
    """(N, L, C) with as many positions as channels: the shapes fit."""
    model = as_trained(nn.Sequential(nn.Linear(3, C), BW(C)))
    example = (torch.randn(2, C, 3),)
    folded = fold_norms(model, example_inputs=example)
    assert list(folded.fold_report.kept) == ['1']


def test_the_model_itself_changes_only_in_place():
    model = as_trained(nn.Sequential(nn.Conv2d(3, C, 1, bias=False), BW(C)))
    x = torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        expected = model(x)
        fold_norms(model)
        assert torch.equal(model(x), expected)
        assert fold_norms(model, inplace=True) is model
        assert relative_difference(model(x), expected) < 1e-5
    assert isinstance(model[1], nn.Identity)
    assert model[0].bias.requires_grad


def test_half_precision():
    model = as_trained(nn.Sequential(nn.Conv2d(3, C, 1), BW(C))).bfloat16()
    x = torch.randn(2, 3, 9, 9).bfloat16()
    with torch.no_grad():
        expected, found = model(x).float(), fold_norms(model)(x).float()
    assert relative_difference(found, expected) < 0.05


def test_training_mode_is_refused():
    with pytest.raises(ValueError, match=r'call model.eval\(\)'):
        fold_norms(nn.Sequential(nn.Conv2d(3, C, 1), BW(C)))
    model = as_trained(nn.Sequential(nn.Conv2d(3, C, 1), BW(C)))
    model[1].train()
    assert fold_norms(model).fold_report.kept == {'1': 'is in training mode'}


def test_a_model_that_takes_no_image_needs_an_example():
    class Decides(nn.Sequential):
        def forward(self, x):
            return super().forward(x) if x.sum() < 1e9 else x

    model = as_trained(Decides(nn.Linear(3, C), nn.BatchNorm1d(C)))
    with pytest.raises(ValueError, match='pass example_inputs'):
        fold_norms(model)
    assert_folded(model, (3,), example_inputs=(torch.randn(2, 3),))
