"""A checkpoint made from another one: other weights, the same ``meta``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..utils.files import write_files


def save_derived(
    weights: Mapping[str, Tensor], meta: Mapping[str, Any], out: Path
) -> None:
    """Write weights as mmengine does: the file is complete or not there.

    There is no optimizer in it, whose state belongs to the weights as they
    were: it is for evaluation and ``load_from``, not to be resumed.

    Raises:
        OSError: if it cannot be written.
    """
    content = {'meta': dict(meta), 'state_dict': dict(weights)}
    write_files({out: partial(torch.save, content)})
