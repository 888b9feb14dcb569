import pytest
import torch
from torch import nn
from torch.autograd import Function

from benchmarks.measure import compared, interleaved, peak_bytes, saved_bytes
from whiten_plugins.norms import BW, GW, IW, SN, SW, ItN

CPU = torch.device('cpu')


def input_like(*shape: int) -> torch.Tensor:
    return torch.randn(shape, requires_grad=True)


@pytest.mark.parametrize('norm', [SN, SW, GW, BW, ItN, IW])
@pytest.mark.parametrize('shape', [(2, 64, 50, 84), (8, 256, 28, 28)])
def test_norms_keep_one_activation(norm, shape):
    x = input_like(*shape)
    size = x.numel() * x.element_size()
    assert size <= saved_bytes(norm(shape[1]), x) <= 1.05 * size


def test_every_activation_of_plain_autograd_counts():
    x = input_like(4, 8)
    model = nn.Sequential(nn.Sigmoid(), nn.Sigmoid())
    assert saved_bytes(model, x) == 2 * x.numel() * x.element_size()


def test_what_a_function_hides_on_its_context_counts():
    class Hiding(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.hidden = x.exp()
            return ctx.hidden + 1

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.hidden

    class Module(nn.Module):
        def forward(self, x):
            return Hiding.apply(x)

    x = input_like(4, 8)
    assert saved_bytes(Module(), x) == x.numel() * x.element_size()


def test_parameters_do_not_count_as_saved():
    x = input_like(4, 8)
    linear = nn.Linear(8, 8)
    assert saved_bytes(linear, x) == x.numel() * x.element_size()


def test_peak_is_the_highest_point_not_the_sum():
    def run():
        for _ in range(3):
            torch.empty(1 << 20, dtype=torch.uint8).fill_(1)

    assert 1 << 20 <= peak_bytes(run, CPU) < 2 << 20


def test_runs_take_turns_after_the_warm_up():
    order = []
    runs = {name: lambda name=name: order.append(name) for name in 'ab'}
    seconds = interleaved(runs, repeats=3, device=CPU, warm_up=1)
    assert order == list('ab' * 4)
    assert [len(taken) for taken in seconds.values()] == [3, 3]


def test_ratios_are_taken_round_by_round():
    found = compared({'BN': [1.0, 2.0, 4.0], 'SN': [2.0, 4.0, 8.0]}, 'BN')
    assert found['SN']['ratio'] == 2
    assert found['SN']['quartiles'] == [2, 2]
    assert found['SN']['milliseconds'] == 4000


def test_one_round_is_its_own_median_and_quartiles():
    found = compared({'BN': [2.0], 'SN': [3.0]}, 'BN')
    assert found['SN']['ratio'] == 1.5
    assert found['SN']['quartiles'] == [1.5, 1.5]
