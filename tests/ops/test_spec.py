"""What norms and their buffers are."""

import pytest
import torch

from whiten_plugins.ops import NormSpec, Running


def test_moments_are_views_of_the_buffers():
    running = Running(torch.zeros(6), torch.zeros(2, 3, 3))
    mean, cov = running.moments(3, torch.float32)
    assert mean.shape == (1, 2, 3) and cov.shape == (1, 2, 3, 3)
    mean += 1
    cov += 2
    assert (running.mean == 1).all() and (running.cov == 2).all()


@pytest.mark.parametrize('kwargs', [dict(T=0), dict(eps=-1.0)], ids=str)
def test_settings_that_mean_nothing(kwargs):
    (name,) = kwargs
    with pytest.raises(ValueError, match=f'{name} must.*{kwargs[name]}'):
        NormSpec(('iw',), num_rows=2, **kwargs)
