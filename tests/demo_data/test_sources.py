"""The scans and photographs: offline, and split without overlap."""

import socket
import sys
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from whiten_plugins.demo_data.sources import PHOTOS, load_sources


def test_every_scan_is_in_exactly_one_split():
    ids = [load_sources(split).scan_ids for split in ('train', 'val')]
    assert sorted(np.concatenate(ids)) == list(range(1797))


def test_both_splits_have_every_digit():
    for split in ('train', 'val'):
        assert np.bincount(load_sources(split).labels).min() > 20


def test_ink_is_a_share():
    scans = load_sources('val').scans
    assert scans.shape[1:] == (8, 8)
    assert (scans.min(), scans.max()) == (0, 1)


def test_splits_share_no_pixel_of_a_photograph():
    train, val = load_sources('train').photos, load_sources('val').photos
    for name, ours, theirs in zip(PHOTOS, train, val):
        whole = Image.open(files('skimage') / 'data' / name).convert('RGB')
        axis = int(ours.shape[0] == theirs.shape[0])
        both = np.concatenate([ours, theirs], axis)
        assert np.array_equal(both, np.asarray(whole))
        assert theirs.shape[axis] < ours.shape[axis]


def test_sources_need_no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError('asked for the network')

    monkeypatch.setattr(socket, 'socket', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
    assert len(load_sources('train').photos) == len(PHOTOS)


@pytest.mark.parametrize('package', ['sklearn.datasets', 'skimage'])
def test_missing_package_is_named_with_the_remedy(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match='pip install scikit-learn'):
        load_sources('train')
