"""The example of first contact, on a few images."""

import sys
from functools import partial

import pytest

from whiten_plugins.demo_data import make_mini_dataset


@pytest.mark.slow
def test_picture_and_report_are_left(tmp_path, monkeypatch):
    pytest.importorskip('mmseg')
    from examples import segment_digits

    few = partial(make_mini_dataset, num_train=16, num_val=5)
    monkeypatch.setattr(segment_digits, 'make_mini_dataset', few)
    work_dir = tmp_path / 'results'
    arguments = ['--iterations', '2', '--data', str(tmp_path / 'digits')]
    arguments += ['--work-dir', str(work_dir)]
    monkeypatch.setattr(sys, 'argv', ['segment_digits.py', *arguments])
    segment_digits.main()
    assert (work_dir / 'predictions.png').stat().st_size > 10_000
    assert (work_dir / 'ratios' / 'report.html').exists()
