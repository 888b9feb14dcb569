"""Statistics, their merging and their mixture."""

import pytest
import torch

from whiten_plugins.ops.backends.torch import activations as blocks
from whiten_plugins.ops.backends.torch.mixture import importance_ratios, mix
from whiten_plugins.ops.backends.torch.statistics import merge_samples
from whiten_plugins.ops.layout import statistics_view
from whiten_plugins.ops.spec import NormSpec
from whiten_plugins.ops.stage import Parameters, StageInputs

NAMES = ('in', 'ln', 'bn')
LOGITS = torch.tensor([1.0, 2.0, 3.0])


def moments_of(x, spec):
    sample = blocks.moments(statistics_view(x, spec))
    parameters = Parameters(None, None, None, None)
    return StageInputs(sample, merge_samples(sample), parameters)


def test_ratios_are_the_softmax():
    ratios = importance_ratios(LOGITS, NAMES, NAMES, hard=False)
    torch.testing.assert_close(ratios, LOGITS.softmax(0))


def test_ratios_of_what_is_left_sum_to_one():
    ratios = importance_ratios(LOGITS, NAMES, ('ln', 'bn'), hard=False)
    torch.testing.assert_close(ratios, LOGITS[1:].softmax(0))


def test_hard_ratios_are_one_hot_in_every_group():
    logits = torch.stack([LOGITS, LOGITS.flip(0)])
    ratios = importance_ratios(logits, NAMES, NAMES, hard=True)
    assert ratios.tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize('rows', [1, 2])
@pytest.mark.parametrize('name', ['in', 'bn', 'ln', 'iw', 'bw'])
def test_each_statistic_is_its_definition(name, rows):
    x = torch.randn(3, 4, 9, dtype=torch.float64) + torch.randn(4, 1)
    spec = NormSpec((name,), num_rows=rows, eps=0.0)
    mean, cov = mix(spec, (name,), moments_of(x, spec))
    over = {'i': 2, 'b': (0, 2), 'l': (1, 2)}[name[0]]
    expected = x.mean(over, keepdim=True).expand(3, 4, 1)
    centred = (x - expected).view(3, 4 // rows, rows, 9)
    if name[0] == 'b':
        centred = centred.permute(1, 2, 0, 3).flatten(2).unsqueeze(0)
    full = centred @ centred.mT / centred.shape[-1]
    diagonal = full.diagonal(dim1=-2, dim2=-1)
    if name == 'ln':
        diagonal = diagonal.mean((1, 2), keepdim=True).expand_as(diagonal)
    wanted = full if name.endswith('w') else torch.diag_embed(diagonal)
    torch.testing.assert_close(
        mean.expand(3, -1, -1).reshape(3, 4, 1), expected
    )
    torch.testing.assert_close(cov.expand_as(wanted), wanted)
