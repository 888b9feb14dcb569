"""Arguments and inputs that mean nothing are named, with what would work."""

import re

import pytest
import torch

from whiten_plugins import norms

from .cases import (
    KINDS,
)


@pytest.mark.parametrize(
    'type, num_features, kwargs, nearest',
    [
        ('SW', 30, dict(num_pergroup=16), (15, 30)),
        ('SyncSW', 40, dict(num_pergroup=16), (10, 20)),
        ('BW', 24, dict(num_pergroup=16), (12, 24)),
        ('SyncBW', 36, dict(num_pergroup=10), (9, 12)),
        ('ItN', 30, dict(num_pergroup=4), (3, 5)),
        ('IW', 17, dict(num_pergroup=16), (1, 17)),
        ('GW', 96, dict(num_groups=64), (48, 96)),
        ('GW', 30, dict(num_groups=4), (3, 5)),
        ('SN', 30, dict(ratio_groups=4), (3, 5)),
    ],
)
def test_groups_that_do_not_divide(type, num_features, kwargs, nearest):
    """Named: the channels, the setting, the nearest values that work."""
    with pytest.raises(ValueError) as error:
        getattr(norms, type)(num_features, **kwargs)
    (setting,) = kwargs
    message = str(error.value)
    assert setting in message
    numbers = {int(digits) for digits in re.findall(r'\d+', message)}
    assert {num_features, *kwargs.values(), *nearest} <= numbers


@pytest.mark.parametrize(
    'type, kwargs, named',
    [
        ('SW', dict(sw_type=4), '4'),
        ('SW', dict(whitening='newton'), 'newton'),
        ('SW', dict(whitening='pca'), 'pca'),
        ('GW', dict(whitening='pca'), 'pca'),
        ('IW', dict(whitening='pca'), 'pca'),
        ('BW', dict(whitening='cholesky'), 'cholesky'),
        ('BW', dict(running='mean'), 'mean'),
        ('SN', dict(stats=('in', 'gn')), 'gn'),
        ('SN', dict(stats=()), 'stats'),
        ('SN', dict(stats=('in', 'in')), 'in'),
        ('SN', dict(ratio_groups=0), '0'),
        ('SW', dict(num_pergroup=0), '0'),
        ('GW', dict(num_groups=-1), '-1'),
        ('SW', dict(T=-1), '-1'),
    ],
)
def test_arguments_that_mean_nothing(type, kwargs, named):
    with pytest.raises(ValueError, match=named):
        getattr(norms, type)(16, **kwargs)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_input_of_another_width(case):
    with pytest.raises((ValueError, RuntimeError), match='8'):
        case.norm()(torch.randn(2, 16, 4, 5))


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_input_without_channels(case):
    with pytest.raises(ValueError):
        case.norm()(torch.randn(8))
