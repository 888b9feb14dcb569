"""The converted checkpoint and its report: both complete, or neither."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ...utils.files import write_files
from ..writing import save_torch


def write_converted(
    checkpoint: dict[str, Any], report: str, files: tuple[Path, Path]
) -> None:
    """Write a checkpoint and its report.

    Args:
        checkpoint: what `torch.save` is to write.
        report: the text of the report.
        files: where checkpoint and report go; folders are made.

    Raises:
        OSError: if they cannot be written; nothing is left behind.
    """
    # The checkpoint last: where it stands, its report does too.
    write_files(
        {
            files[1]: lambda path: path.write_text(report),
            files[0]: partial(save_torch, checkpoint),
        }
    )
