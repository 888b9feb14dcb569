"""Every norm can be traced, saved and run on other sizes."""

import io

import pytest
import torch

from tests.deploy.networks import (
    KINDS_AND_SLOW_CASES,
    as_trained,
    relative_difference,
)
from whiten_plugins.norms import GW

pytestmark = pytest.mark.filterwarnings(
    'ignore::torch.jit.TracerWarning',
    'ignore:.*torch.jit.*deprecated:DeprecationWarning',
)


@pytest.mark.parametrize('case', KINDS_AND_SLOW_CASES, ids=str)
def test_traced_norm(case):
    norm = as_trained(case.norm())
    traced = torch.jit.trace(norm, torch.randn(2, 8, 6, 7))
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    loaded = torch.jit.load(file)
    for shape in ((1, 8, 9, 5), (3, 8, 6, 20)):
        x = torch.randn(shape)
        assert relative_difference(loaded(x), norm(x)) < 1e-5


def test_norms_of_samples_can_be_traced_in_training():
    norm = GW(8, num_groups=4).train()
    traced = torch.jit.trace(norm, torch.randn(2, 8, 6, 7))
    x = torch.randn(3, 8, 5, 5)
    assert relative_difference(traced(x), norm(x)) < 1e-5
