"""Which training images a batch average is taken over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized

import torch
from mmengine.dist import get_dist_info
from torch.utils.data import BatchSampler, DataLoader, Sampler


class RandomSubset(Sampler):
    """Choose images at random, each once, split between the processes.

    Args:
        dataset: what to choose from.
        num_images: how many, over all processes.
        seed: of the choice, the same in every process.

    Raises:
        ValueError: if the data set has fewer, or the processes cannot have
            equally many: with Sync norms they work in step.
    """

    def __init__(self, dataset: Sized, num_images: int, seed: int) -> None:
        rank, processes = get_dist_info()
        check_num_images(num_images, len(dataset), processes)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(dataset), generator=generator).tolist()
        self.dataset = dataset
        self.indices: Sequence[int] = order[rank:num_images:processes]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


def check_num_images(num_images: int, available: int, processes: int) -> None:
    """Check that so many images can be chosen and split evenly.

    Raises:
        ValueError: if not, with the numbers that can.
    """
    if not 1 <= num_images <= available:
        raise ValueError(
            f'num_images={num_images}: the training set has {available} '
            'images, of which at least 1 and at most all can be used'
        )
    if num_images % processes:
        lower = num_images - num_images % processes
        nearest = [n for n in (lower, lower + processes) if 0 < n <= available]
        raise ValueError(
            f'num_images={num_images} cannot be split evenly between '
            f'{processes} processes; the nearest that work: '
            f'{" or ".join(map(str, nearest))}'
        )


def sample_loader(
    dataloader: DataLoader,
    num_images: int,
    batch_size: int | None = None,
    seed: int = 0,
) -> DataLoader:
    """Make a loader of random training images like the training's.

    Data set, augmentation, collation, workers and the kind of batch sampler
    (mmdet's groups images by aspect ratio) are those of ``dataloader``, which
    is left alone. No image is dropped: the last batch may be smaller.

    Args:
        dataloader: the training's.
        num_images: how many images, over all processes.
        batch_size: images a mini-batch of one process. Default: as in
            training.
        seed: of the choice of images and of their augmentation.

    Raises:
        ValueError: as :class:`RandomSubset`, for a ``batch_size`` below 1
            and for a data set whose images cannot be chosen by number.
    """
    dataset, trained = dataloader.dataset, dataloader.batch_sampler
    if not (isinstance(trained, BatchSampler) and isinstance(dataset, Sized)):
        raise ValueError(
            f'{type(dataset).__name__} in batches of '
            f'{type(trained).__name__}: a random choice of images needs a '
            'data set of known length and a BatchSampler'
        )
    batch_size = trained.batch_size if batch_size is None else batch_size
    if batch_size < 1:
        raise ValueError(f'batch_size must be at least 1, got {batch_size}')
    sampler = RandomSubset(dataset, num_images, seed)
    return DataLoader(
        dataset,
        batch_sampler=type(trained)(sampler, batch_size, drop_last=False),
        num_workers=dataloader.num_workers,
        collate_fn=dataloader.collate_fn,
        pin_memory=dataloader.pin_memory,
        worker_init_fn=dataloader.worker_init_fn,
        generator=torch.Generator().manual_seed(seed),
    )
