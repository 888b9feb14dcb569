"""What a training checkpoint of mmengine may hold besides weights.

Since torch 2.6 ``torch.load`` refuses every class that it was not told to
trust. The checkpoints that mmengine's own training writes hold their log as
:class:`~mmengine.logging.HistoryBuffer` and NumPy values, so that neither
``resume`` nor an evaluation could read them. :func:`install` allows those and
nothing else; before torch 2.6 there is nothing to do.
"""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

_STATISTICS = ('min', 'max', 'current', 'mean')
_NEEDED = digit_version(torch.__version__) >= digit_version('2.6')
_DTYPES = ('bool', 'int32', 'int64', 'float32', 'float64')


def history_statistic(owner: object, name: str) -> Callable:
    """Stand in for the one ``getattr`` needed to unpickle a log.

    A :class:`HistoryBuffer` pickles its statistics as
    ``getattr(HistoryBuffer, 'mean')``. Allowing the builtin would let a
    checkpoint reach any attribute of anything; this takes its place.

    Raises:
        pickle.UnpicklingError: if anything but a statistic of
            ``HistoryBuffer`` is asked for.
    """
    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(
        f'getattr({owner!r}, {name!r}) is not allowed in a checkpoint'
    )


def training_globals() -> list:
    """Return the classes and functions in mmengine's checkpoints.

    They are as :func:`torch.serialization.add_safe_globals` takes them.
    """
    rebuild_array = np.zeros(0).__reduce__()[0]
    rebuild_scalar = np.float64(0).__reduce__()[0]
    allowed = [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        *(type(np.dtype(name)) for name in _DTYPES),
        (history_statistic, 'builtins.getattr'),
    ]
    # NumPy 2 renamed the module; a checkpoint carries its writer's name.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed.append((rebuild_array, f'{module}._reconstruct'))
        allowed.append((rebuild_scalar, f'{module}.scalar'))
    return allowed


def install() -> None:
    """Have weights-only loading accept mmengine's training checkpoints."""
    if _NEEDED:
        torch.serialization.add_safe_globals(training_globals())


@contextmanager
def allowed() -> Iterator[None]:
    """Accept mmengine's training checkpoints for a load of one's own.

    What :func:`install` allowed may be gone: OneDL's mmengine allows the same
    classes for each of its loads, and no longer afterwards. On leaving, the
    list is as it was.
    """
    if not _NEEDED:
        yield
        return
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals(training_globals())
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
