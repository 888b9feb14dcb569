"""Which training images are chosen, and how they are loaded."""

import pytest
import torch
from mmengine.runner import Runner
from torch.utils.data import BatchSampler

from tests.training import NUM_IMAGES, Images, image_loader
from whiten_plugins.calibration import data
from whiten_plugins.calibration.data import RandomSubset, sample_loader


@pytest.fixture
def trained():
    return Runner.build_dataloader(image_loader(batch_size=4))


def chosen(loader):
    """Which images the batches of a loader hold, and their sizes."""
    dataset = [image['inputs'] for image in (Images()[i] for i in range(12))]
    batches = [batch['inputs'] for batch in loader]
    found = [
        next(i for i, image in enumerate(dataset) if torch.equal(image, one))
        for batch in batches
        for one in batch
    ]
    return found, [len(batch) for batch in batches]


def test_random_images_each_once(trained):
    found, sizes = chosen(sample_loader(trained, 10))
    assert sizes == [4, 4, 2]
    assert len(set(found)) == 10
    assert found != sorted(found)
    assert chosen(sample_loader(trained, 10))[0] == found
    assert chosen(sample_loader(trained, 10, seed=1))[0] != found


def test_all_images_and_other_batches(trained):
    found, sizes = chosen(sample_loader(trained, 12, batch_size=5))
    assert sizes == [5, 5, 2]
    assert set(found) == set(range(12))


def test_processes_share_the_images(monkeypatch):
    parts = []
    for rank in range(3):
        monkeypatch.setattr(data, 'get_dist_info', lambda rank=rank: (rank, 3))
        parts.append(list(RandomSubset(Images(), 9, seed=0)))
    assert [len(part) for part in parts] == [3, 3, 3]
    assert len({index for part in parts for index in part}) == 9
    monkeypatch.setattr(data, 'get_dist_info', lambda: (0, 1))
    assert {*sum(parts, [])} == {*RandomSubset(Images(), 9, seed=0)}


def test_the_loader_of_the_training_is_left_alone(trained):
    state = torch.get_rng_state()
    loader = sample_loader(trained, 8)
    list(loader)
    assert torch.equal(torch.get_rng_state(), state)
    assert loader.dataset is trained.dataset
    assert len(trained) == 3


def test_kind_of_the_batch_sampler_is_that_of_the_training():
    class Reversed(BatchSampler):
        def __iter__(self):
            return (batch[::-1] for batch in super().__iter__())

    cfg = image_loader(batch_size=4)
    trained = Runner.build_dataloader(
        cfg | dict(batch_sampler=dict(type=Reversed, drop_last=True))
    )
    loader = sample_loader(trained, 6)
    indices = list(loader.batch_sampler.sampler)
    assert list(loader.batch_sampler) == [indices[3::-1], indices[:3:-1]]


@pytest.mark.parametrize(
    ('num_images', 'processes', 'message'),
    [
        (0, 1, 'num_images=0: the training set has 12 images'),
        (13, 1, 'num_images=13: the training set has 12 images'),
        (8, 3, '8 cannot be split evenly between 3 .* work: 6 or 9'),
        (1, 2, 'between 2 processes; the nearest that work: 2'),
        (11, 3, 'the nearest that work: 9 or 12'),
    ],
)
def test_impossible_numbers_name_those_that_work(
    num_images, processes, message
):
    with pytest.raises(ValueError, match=message):
        data.check_num_images(num_images, NUM_IMAGES, processes)


def test_batches_of_no_image_are_refused(trained):
    with pytest.raises(ValueError, match='batch_size must be at least 1'):
        sample_loader(trained, 4, batch_size=0)


def test_images_that_cannot_be_chosen_by_number_are_an_error():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(Images())

    loader = torch.utils.data.DataLoader(Stream(), batch_size=4)
    with pytest.raises(ValueError, match='Stream in batches of .*length'):
        sample_loader(loader, 4)
