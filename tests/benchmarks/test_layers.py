import pytest
import torch

from benchmarks.layers import builder, run
from whiten_plugins.norms import SW

CPU = torch.device('cpu')


def test_settings_reach_the_norm():
    norm = builder('SW:num_pergroup=8,sw_type=3,whitening="zca"', {})(32)
    assert isinstance(norm, SW)
    assert norm.spec.num_rows == 8
    assert norm.stats == ('bw', 'iw', 'ln')
    assert norm.spec.whitening == 'zca'


def test_unknown_norm_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match="'XY'.*BN, GN.*SW"):
        builder('XY', {})


def test_every_shape_and_norm_is_measured_against_bn():
    found = run(
        [(2, 32, 8, 8), (1, 32, 4, 4)],
        ['SN', 'SW:num_pergroup=8'],
        {},
        CPU,
        torch.float32,
        repeats=2,
    )
    assert list(found['results']) == ['2x32x8x8', '1x32x4x4']
    for by_norm in found['results'].values():
        assert list(by_norm) == ['BN', 'SN', 'SW:num_pergroup=8']
        assert by_norm['BN']['ratio'] == 1
        assert by_norm['SN']['milliseconds'] > 0
        assert by_norm['SN']['saved'] >= 1
    assert found['summaries']['all']['BN'] == 1
    assert found['machine']['torch'] == torch.__version__
