"""A kernel that cannot be compiled is PyTorch's work, not a training's end.

A compiler for the host may be missing, or libcuda, or the cache may be full;
a kernel may ask for more of the chip than it has.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

from ..backend import KernelError
from ..settings import VARIABLE, choice
from ..torch import BACKEND as PYTORCH


def or_pytorch(
    function: Callable, reference: Callable | None = None
) -> Callable:
    """Call PyTorch's ``reference`` instead once a kernel has failed.

    Args:
        function: what launches the kernel.
        reference: what does the same, by default the step of this name.

    Raises:
        KernelError: where the environment variable forces the kernels.
    """
    reference = reference or getattr(PYTORCH, function.__name__)
    failed: list[KernelError] = []

    @functools.wraps(function)
    def guarded(*args):
        if failed and choice() != 'triton':
            return reference(*args)
        try:
            return function(*args)
        except KernelError as error:
            if choice() == 'triton':
                raise
            failed.append(error)
            warnings.warn(
                f'PyTorch takes over {function.__name__} for the rest of '
                f'this process: {error}. Please report this; '
                f'{VARIABLE}=torch makes this choice without a warning',
                stacklevel=2,
            )
            return reference(*args)

    return guarded
