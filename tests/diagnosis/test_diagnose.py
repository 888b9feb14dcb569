"""What is measured of a norm, against NumPy on Gaussian data."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from whiten_plugins import norms
from whiten_plugins.diagnosis import diagnose

C = 32
RNG = np.random.default_rng(0)
MIX = torch.from_numpy(
    RNG.standard_normal((C, C)) * np.geomspace(1, 10, C)
).float()
SHIFT = torch.from_numpy(RNG.standard_normal(C)).float() * 3


def gaussian(samples=8, side=6, seed=0):
    """Maps of C correlated channels, covariance MIX^T MIX, mean SHIFT."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(samples, side, side, C, generator=generator)
    return (white @ MIX + SHIFT).permute(0, 3, 1, 2).contiguous()


BATCHES = [gaussian(seed=seed) for seed in range(5)]


def vectors(batch):
    """(elements, C) in float64."""
    return batch.double().permute(0, 2, 3, 1).reshape(-1, C).numpy()


def only(norm, batches=BATCHES, **settings):
    """The diagnosis of a network that is one norm."""
    (found,) = diagnose(nn.Sequential(norm), batches, **settings).norms
    return found


def numpy_condition(data, place):
    values = np.linalg.eigvalsh(np.cov(data.T, bias=True))[::-1]
    return values[0] / values[place - 1]


def numpy_sqrt_inverse(cov, eps=1e-5):
    values, axes = np.linalg.eigh(cov + eps * np.eye(len(cov)))
    return (axes / np.sqrt(values)) @ axes.T


def test_condition_before_and_after_batch_norm():
    found = only(nn.BatchNorm2d(C))
    data = np.concatenate([vectors(b) for b in BATCHES])
    normal = np.concatenate(
        [
            (v - v.mean(0)) / np.sqrt(v.var(0) + 1e-5)
            for v in map(vectors, BATCHES)
        ]
    )
    assert found.before.elements == len(data)
    for side, expected in ((found.before, data), (found.after, normal)):
        for kappa, place in (('k100', 32), ('k90', 29)):
            assert getattr(side.condition, kappa) == pytest.approx(
                numpy_condition(expected, place), rel=1e-4
            )
    after = np.corrcoef(normal.T) - np.eye(C)
    assert found.after.largest_correlation == pytest.approx(
        abs(after).max(), rel=1e-4
    )
    deviations = data.std(0)
    assert found.before.scale_spread == pytest.approx(
        deviations.max() / deviations.min(), rel=1e-4
    )
    assert found.deviation == pytest.approx(1, abs=1e-4)


def test_zca_whitens_its_groups_and_itn_stops_short():
    """BW's own groups are identities; ItN's reach what NumPy reaches."""
    bw = only(norms.BW(C, num_pergroup=16))
    assert bw.after.groups.worst.k100 == pytest.approx(1, abs=1e-3)
    assert bw.deviation == pytest.approx(1, abs=1e-4)
    assert bw.after.condition.k100 > 1.5  # between the groups
    kappas = [
        numpy_condition(v[:, s], 16)
        for v in map(vectors, BATCHES)
        for s in (slice(16), slice(16, 32))
    ]
    assert bw.before.groups.worst.k100 == pytest.approx(max(kappas), rel=1e-3)
    assert bw.before.groups.rank == 16

    itn = only(norms.ItN(C, num_pergroup=16, T=3))
    deviations = []
    for v in map(vectors, BATCHES):
        for s in (slice(16), slice(16, 32)):
            cov = np.cov(v[:, s].T, bias=True) + 1e-5 * np.eye(16)
            P = np.eye(16)
            for _ in range(3):
                P = 1.5 * P - 0.5 * P @ P @ P @ cov / np.trace(cov)
            out = (v[:, s] - v[:, s].mean(0)) @ P / np.sqrt(np.trace(cov))
            deviations.append(out.std(0))
    assert itn.deviation == pytest.approx(np.mean(deviations), rel=1e-3)
    assert itn.smallest_deviation == pytest.approx(
        np.min(deviations), rel=1e-3
    )
    assert itn.deviation < 0.9


@pytest.mark.parametrize('kind', ['BN', 'BW'])
def test_stochastic_normalization_disturbance(kind):
    """ItN section 4.1, computed for all elements of the first batch."""
    size = 1 if kind == 'BN' else 16
    norm = nn.BatchNorm2d(C) if kind == 'BN' else norms.BW(C)
    found = only(norm, [gaussian(samples=2, seed=s) for s in range(6)])
    x = vectors(gaussian(samples=2, seed=0))
    outputs = []
    for seed in range(6):
        batch = vectors(gaussian(samples=2, seed=seed))
        y = np.empty_like(x)
        for start in range(0, C, size):
            s = slice(start, start + size)
            cov = np.cov(batch[:, s].T, bias=True).reshape(size, size)
            y[:, s] = (x - batch.mean(0))[:, s] @ numpy_sqrt_inverse(cov)
        outputs.append(y)
    y = np.stack(outputs)
    snd = np.linalg.norm(y - y.mean(0), axis=-1).mean()
    assert found.noise.snd == pytest.approx(snd, rel=1e-3)
    assert found.noise.per_channel == pytest.approx(snd / C**0.5, rel=1e-3)


@pytest.mark.parametrize(
    'norm', [nn.GroupNorm(4, C), norms.GW(C), norms.IW(C)]
)
def test_a_norm_of_single_samples_has_no_noise(norm):
    found = only(norm)
    assert (found.noise.snd, found.noise.gap) == (0, 0)
    assert found.updated is None


def test_running_statistics_against_the_batches():
    """Means 1 deviation off, variances twice too large."""
    norm = nn.BatchNorm2d(C)
    data = np.stack([vectors(b) for b in BATCHES])
    variance = data.var(1, ddof=1).mean(0)
    with torch.no_grad():
        norm.running_var.copy_(torch.from_numpy(2 * variance))
        biased = data.var(1).mean(0)
        mean = data.mean((0, 1)) + np.sqrt(biased)
        norm.running_mean.copy_(torch.from_numpy(mean))
    found = only(norm)
    assert found.updated
    assert found.noise.mean_off == pytest.approx(1, rel=1e-3)
    assert found.noise.second_off == pytest.approx(1, rel=1e-3)
    x = vectors(BATCHES[0])
    evaluated = (x - mean) / np.sqrt(2 * variance)
    trained = np.stack(
        [(x - d.mean(0)) / np.sqrt(d.var(0) + 1e-5) for d in data]
    )
    gap = np.sqrt(((trained - evaluated) ** 2).mean())
    assert found.noise.gap == pytest.approx(gap, rel=0.05)  # of 256 elements


def test_running_covariances_and_matrices():
    for running in ('cov', 'matrix'):
        norm = norms.BW(C, running=running, momentum=None)
        for batch in BATCHES:
            norm.train()(batch)
        found = only(norm)
        assert found.noise.second_off == pytest.approx(0, abs=1e-4)
        with torch.no_grad():
            getattr(norm, norm.covariance_buffer).mul_(1.5)
        assert only(norm).noise.second_off == pytest.approx(0.5, rel=1e-3)


def test_weight_and_bias_do_not_count_and_are_applied():
    norm = nn.BatchNorm2d(C)
    nn.init.zeros_(norm.weight)
    nn.init.constant_(norm.bias, 3.0)
    seen = []
    model = nn.Sequential(norm, nn.ReLU(inplace=True))
    model[1].register_forward_hook(lambda m, x, y: seen.append(y.clone()))
    (found,) = diagnose(model, BATCHES).norms
    assert found.deviation == pytest.approx(1, abs=1e-4)
    assert all((y == 3).all() for y in seen)


class Network(nn.Module):
    """Norms of all kinds, not in the order in which they run."""

    def __init__(self):
        super().__init__()
        self.last = norms.SN(8)
        self.unused = nn.BatchNorm2d(8)
        self.first = nn.BatchNorm2d(8)
        self.tokens = nn.LayerNorm(8)
        self.shared = norms.SW(8, num_pergroup=4)
        self.conv = nn.Conv2d(3, 8, 3)
        self.dropout = nn.Dropout()
        self.frozen = nn.BatchNorm2d(8).requires_grad_(False)

    def train(self, mode=True):
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, x):
        x = torch.relu_(self.frozen(self.first(self.conv(x))))
        x = self.dropout(x)
        x = self.tokens(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = self.shared(x) + self.shared(x[..., ::2, ::2]).mean()
        return self.last(x)


def images(count=3):
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(2, 3, 10, 12, generator=generator) for _ in range(count)
    ]


def test_norms_stand_in_forward_order_with_what_they_saw():
    found = diagnose(Network(), images())
    assert [norm.name for norm in found.norms] == [
        *('first', 'frozen', 'tokens', 'shared', 'last')
    ]
    assert found.not_run == ['unused']
    shared = found.norms[3]
    assert (shared.passes, shared.samples) == (6, 2)
    assert (shared.smallest_map, shared.largest_map) == ((4, 5), (8, 10))
    assert shared.sizes['bw'].values == 40
    assert found.norms[2].sizes['ln'].values == 8
    frozen = found.norms[1]
    assert frozen.info.evaluating and not frozen.sizes
    assert frozen.noise.snd == 0 and frozen.updated is False


@pytest.mark.parametrize('backward', [False, True])
def test_the_network_is_left_as_it_was(backward):
    torch.manual_seed(0)
    model = Network().eval()
    for index, parameter in enumerate(model.parameters()):
        if index % 2:
            parameter.grad = torch.ones_like(parameter)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    gradients = [p.grad for p in model.parameters()]
    random = torch.get_rng_state()

    def forward(batch):
        return model(batch).square().mean()

    diagnose(model, images(), forward, backward=backward)
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key
    assert all(
        a is b for a, b in zip(gradients, (p.grad for p in model.parameters()))
    )
    assert not model.training
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(m._forward_hooks for m in model.modules())


def test_an_error_leaves_weights_where_they_were():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(4, 4, 1))
    weight = model[0].weight
    with pytest.raises(RuntimeError):
        diagnose(model, images())
    with pytest.raises(RuntimeError):
        diagnose(nn.Sequential(model[0]), [torch.randn(2, 5, 4, 4)])
    assert model[0].weight is weight
    assert [name for name, _ in model[0].named_parameters()] == [
        *('weight', 'bias')
    ]


@pytest.mark.parametrize(
    'norm',
    [
        nn.BatchNorm2d(C),
        nn.GroupNorm(4, C),
        nn.InstanceNorm2d(C, affine=True),
        norms.SN(C),
        norms.SW(C),
        norms.GW(C, num_groups=8),
    ],
    ids=lambda norm: type(norm).__name__,
)
def test_outputs_and_gradients_are_those_of_the_network(norm):
    torch.manual_seed(0)
    for parameter in (norm.weight, norm.bias):
        nn.init.normal_(parameter)
    model = nn.Sequential(nn.Conv2d(C, C, 1), norm, nn.ReLU(inplace=True))
    expected, gradients = [], []
    for batch in BATCHES[:2]:
        loss = model(batch).square().mean()
        expected.append(float(loss.detach()))
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    losses, found = [], {}

    def forward(batch):
        loss = model(batch).square().mean()
        losses.append(float(loss.detach()))
        for number, parameter in enumerate(model.parameters()):
            parameter.register_hook(
                lambda g, number=number: found.__setitem__(number, g)
            )
        return loss

    diagnose(model, BATCHES[:1], forward, backward=True)
    assert losses == pytest.approx(expected[:1], rel=1e-5)
    for number, own in enumerate(gradients[0]):
        torch.testing.assert_close(found[number], own, rtol=1e-3, atol=1e-4)


def test_gradients_at_a_norm():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(C, C, 1), nn.BatchNorm2d(C))
    target = torch.randn(8, C, 6, 6)

    def forward(batch):
        return (model(batch) * target).sum()

    (found,) = diagnose(model, BATCHES[:1], forward, backward=True).norms
    data = vectors(target)
    assert found.gradient.at_output == pytest.approx(
        np.sqrt((data**2).mean()), rel=1e-5
    )
    assert found.gradient.condition.k100 == pytest.approx(
        numpy_condition(data, 32), rel=1e-4
    )
    assert 0 < found.gradient.at_input < math.inf


def test_json_has_no_nan_and_stays_stable():
    found = diagnose(Network(), images())
    text = json.dumps(found.to_dict(), allow_nan=False)
    content = json.loads(text)
    assert content['format'] == 'whiten_plugins diagnosis 1'
    assert list(content) == [
        *('format', 'about', 'batches', 'norms', 'not_run', 'advice')
    ]
    first = content['norms'][0]
    assert first['name'] == 'first' and first['statistics'] == ['bn']
    assert first['sizes'][0]['constraints'] == 16
    assert set(first['before']['condition']) == {'k100', 'k90'}
    again = diagnose(Network(), images())
    del content['about'], again.about
    assert found.norms[0].before.elements == again.norms[0].before.elements


def test_what_cannot_be_diagnosed_is_an_error():
    with pytest.raises(ValueError, match='Conv2d has no norm'):
        diagnose(nn.Conv2d(3, 3, 1), images())
    with pytest.raises(ValueError, match='no batches'):
        diagnose(nn.BatchNorm2d(3), [])
    with pytest.raises(ValueError, match='one number'):
        diagnose(Network(), images(), backward=True)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_in_float32(dtype):
    norm = norms.SW(C).to(torch.float32)
    half = [batch.to(dtype) for batch in BATCHES]
    found = only(norm, half)
    full = only(norm, [batch.float() for batch in half])
    assert found.before.condition == pytest.approx(full.before.condition)
    assert found.deviation == pytest.approx(full.deviation, rel=1e-2)


def test_one_value_and_nothing_finite_are_no_errors():
    norm = norms.SN(C)
    found = only(norm, [torch.randn(1, C, 1, 1)])
    assert set(found.sizes) == {'ln'}
    batch = torch.full((2, C, 4, 4), torch.nan)
    found = only(norm, [batch, gaussian()])
    assert found.skipped == 32
    json.dumps(
        diagnose(nn.Sequential(norm), [batch]).to_dict(), allow_nan=False
    )
