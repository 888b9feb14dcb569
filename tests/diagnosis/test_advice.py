"""A planted fault each: found, named, with the right remedy; and silence."""

import pytest
import torch
from torch import nn

from whiten_plugins import norms
from whiten_plugins.analysis.limits import LIMITS
from whiten_plugins.diagnosis import diagnose
from whiten_plugins.diagnosis.advice import _RULES, SUGGESTIONS

pytest.importorskip('mmcv.cnn')  # with it BatchNorm2d is BN in configs


def network(norm, channels=32):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1, stride=2),
        norm,
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.BatchNorm2d(channels, momentum=None),
    )


def images(samples=16, side=32, count=4):
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randn(samples, 3, side, side, generator=generator)
        for _ in range(count)
    ]


def trained(model, batches):
    """With running statistics of these batches."""
    with torch.no_grad():
        for batch in batches:
            model.train()(batch)
    return model


def faults(model, batches, **settings):
    """Advice by problem, without suggestions."""
    found = diagnose(model, batches, **settings).advice
    return {a.problem: a for a in found if a.problem not in SUGGESTIONS}


@pytest.mark.parametrize(
    'norm',
    [
        nn.BatchNorm2d(32, momentum=None),
        nn.GroupNorm(8, 32),
        nn.InstanceNorm2d(32),
        norms.SN(32, momentum=None),
        norms.SW(32, momentum=None),
        norms.GW(32, num_groups=8),
        norms.BW(32, momentum=None),
        norms.ItN(32, momentum=None),
        norms.IW(32),
        norms.IBN(32, momentum=None),
    ],
    ids=lambda norm: type(norm).__name__,
)
def test_a_healthy_network_gets_no_advice(norm):
    batches = images()
    assert faults(trained(network(norm), batches), batches) == {}


def test_an_untrained_network_gets_none_for_being_so():
    assert faults(network(nn.BatchNorm2d(32)), images()) == {}


def test_dead_channels_are_counted_and_named():
    model = network(nn.BatchNorm2d(32))
    with torch.no_grad():
        model[0].weight[[3, 17]] = 0
    (advice,) = faults(model, images()).values()
    assert advice.problem == 'dead channels' and advice.norms == ('1',)
    assert advice.number == 2
    assert '2 of 32 channels do not vary (3, 17)' in advice.sentence
    assert 'prune' in advice.sentence


def test_a_tiny_batch_is_noisy_and_its_running_statistics_are_off():
    """Two images of 2×2 positions before the last norm."""
    batches = images(samples=2, side=4, count=8)
    found = faults(trained(network(nn.GroupNorm(8, 32)), batches), batches)
    advice = found['batch noise']
    assert advice.norms == ('4',)
    assert advice.number > LIMITS['batch noise'].value
    assert 'batch statistics over 8 values a channel' in advice.sentence
    assert f'{advice.number:.2f} deviations' in advice.sentence
    assert advice.sentence.endswith('SN, GW or a Sync norm.')


def test_running_statistics_of_other_data():
    batches = images()
    model = trained(network(nn.BatchNorm2d(32, momentum=None)), batches)
    brighter = [1.5 * batch for batch in batches]
    advice = faults(model, brighter)['running statistics']
    assert '1' in advice.norms
    assert 'the running variance is' in advice.sentence
    assert 'BatchAverageHook' in advice.sentence


class Frozen(nn.Sequential):
    """A network whose first norm is frozen, as by ``frozen_stages``."""

    def train(self, mode=True):
        super().train(mode)
        self[1].eval().requires_grad_(False)
        return self


def test_a_frozen_norm_that_was_never_filled():
    model = Frozen(*network(nn.BatchNorm2d(32)))
    (advice,) = faults(model, images()).values()
    assert advice.problem == 'never filled' and advice.norms == ('1',)
    assert 'norm_eval=False' in advice.sentence


def test_a_mixture_that_is_frozen_at_its_start():
    """Statistics and weights of a BatchNorm, ratios that nothing trained."""
    batches = [
        batch * torch.linspace(0.3, 2, 16).view(-1, 1, 1, 1)
        for batch in images()
    ]
    trained_bn = trained(network(nn.BatchNorm2d(32, momentum=None)), batches)
    model = Frozen(*network(norms.SN(32)))
    model.load_state_dict(trained_bn.state_dict(), strict=False)
    advice = faults(model, batches)['frozen start']
    assert advice.norms == ('1',)
    assert f'{advice.number:.2f} deviations' in advice.sentence
    assert 'frozen_stages=-1' in advice.sentence
    bn_like = Frozen(*network(norms.BW(32)))
    bn_like.load_state_dict(trained_bn.state_dict(), strict=False)
    assert 'frozen start' not in faults(bn_like, batches)


def test_one_image_a_batch():
    found = faults(network(norms.SN(32)), images(samples=1, count=8))
    advice = found['same statistics']
    assert 'with one image a batch bn equals in' in advice.sentence
    assert 'Sync' in advice.sentence
    assert 'same statistics' not in faults(network(norms.GW(32)), images(1))


def pooled(norm, channels):
    """A norm on 1×1 maps, as in PSP and ASPP."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, channels, 1), nn.AdaptiveAvgPool2d(1), norm
    )


def test_gw_on_pooled_maps_is_over_constrained():
    (advice,) = faults(pooled(norms.GW(512), 512), images()).values()
    assert advice.problem == 'constraints'
    assert '2,144 constraints on 512 values' in advice.sentence
    assert 'rank 7 of 64 measured' in advice.sentence
    assert 'num_groups=16 or fewer' in advice.sentence
    better = faults(pooled(norms.GW(512, num_groups=4), 512), images())
    assert 'constraints' not in better


def test_itn_on_eight_values():
    found = faults(pooled(norms.ItN(64), 64), images(samples=8))
    assert '152 constraints on 128 values' in found['constraints'].sentence
    assert 'num_pergroup=4 or less' in found['constraints'].sentence


def test_fewer_than_two_values_a_channel():
    found = faults(pooled(norms.BW(64), 64), images(samples=24))
    advice = found['few values']
    assert '24 values for groups of 16 channels' in advice.sentence
    assert 'num_pergroup=8 or less' in advice.sentence


def test_singular_groups():
    """Half of the channels are copies of the other half."""

    class Twice(nn.Module):
        def forward(self, x):
            return torch.cat([x[:, :8], x[:, :8], x[:, 16:]], 1)

    model = nn.Sequential(network(nn.BatchNorm2d(32)), Twice(), norms.BW(32))
    advice = faults(model, images())['singular groups']
    assert advice.norms == ('2',)
    assert 'groups of 16 have rank 8' in advice.sentence
    assert 'ItN' in advice.sentence


def test_newton_iterations_that_stop_short():
    mix = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    mix += 5 * torch.ones(32, 32)
    model = nn.Sequential(nn.Conv2d(32, 32, 1), norms.ItN(32, T=3))
    with torch.no_grad():
        model[0].weight.copy_(mix.view(32, 32, 1, 1))
    batches = [torch.randn(16, 32, 8, 8) for _ in range(2)]
    advice = faults(model, batches)['short of one']
    assert f'a deviation of {advice.number:.2f}' in advice.sentence
    assert 'a larger T' in advice.sentence
    model[1] = norms.ItN(32, T=12)
    assert 'short of one' not in faults(model, batches)


def test_pca_swaps_axes():
    batches = images()
    advice = faults(network(norms.BW(32, whitening='pca')), batches)
    assert 'change places' in advice['axis swaps'].sentence
    assert 'zca' in advice['axis swaps'].sentence
    assert 'axis swaps' not in faults(network(norms.BW(32)), batches)


def test_nothing_finite():
    batches = images()
    batches[1][0, 0, 0, 0] = torch.nan
    advice = faults(network(nn.BatchNorm2d(32)), batches)['not finite']
    assert 'NaN or infinite' in advice.sentence


def test_norms_of_a_stage_share_a_sentence_with_the_worst_number():
    model = nn.ModuleDict()

    class Stage(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer4 = nn.Sequential(
                *(network(nn.BatchNorm2d(32)) for _ in range(1))
            )
            self.layer4.append(nn.Conv2d(32, 32, 1))
            self.layer4.append(nn.BatchNorm2d(32))

        def forward(self, x):
            return self.layer4(x)

    model = nn.Sequential()
    model.add_module('backbone', Stage())
    with torch.no_grad():
        model.backbone.layer4[0][0].weight[:3] = 0
        model.backbone.layer4[1].weight[:5] = 0
        model.backbone.layer4[1].bias[:5] = 0
    (advice,) = faults(model, images()).values()
    assert advice.number == 5
    assert advice.sentence.startswith('backbone.layer4 (2 BN)')
    assert 'worst in backbone.layer4.2' in advice.sentence


def test_ill_conditioned_outputs_get_a_suggestion():
    mix = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    mix += 5 * torch.ones(32, 32)
    model = nn.Sequential(nn.Conv2d(32, 32, 1), nn.BatchNorm2d(32))
    with torch.no_grad():
        model[0].weight.copy_(mix.view(32, 32, 1, 1))
    batches = [torch.randn(16, 32, 8, 8) for _ in range(2)]
    found = diagnose(model, batches)
    (advice,) = found.advice
    assert advice.problem == 'correlated'
    kappa = found.norms[0].after.condition.k90
    assert f'{kappa:,.0f} after the norm' in advice.sentence
    assert 'would reach' in advice.sentence


def test_every_rule_has_a_limit_with_a_source():
    assert set(_RULES) <= set(LIMITS)
    assert all(limit.source and limit.remedy for limit in LIMITS.values())
