"""A checkpoint made from another one: other weights, the same ``meta``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..utils.files import write_files
from .reading import module_metadata, with_metadata


def save_weights(
    weights: Mapping[str, Tensor], meta: Mapping[str, Any], out: Path
) -> None:
    """Write weights as mmengine does: the file is complete or not there.

    The metadata of a state dict's modules are kept. There is no optimizer in
    it, whose state belongs to the weights as they were: it is for evaluation
    and ``load_from``, not to be resumed.

    Raises:
        OSError: if it cannot be written.
    """
    state_dict = with_metadata(weights, module_metadata(weights))
    content = {'meta': dict(meta), 'state_dict': state_dict}
    write_files({out: partial(torch.save, content)})
