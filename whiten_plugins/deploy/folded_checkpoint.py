"""A folded checkpoint, and the config that loads it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

from mmengine.config import Config
from rich.console import Console

from ..analysis.example_inputs import example_shapes
from ..checkpoints.loading import load_model
from ..checkpoints.writing import save_torch
from ..utils.files import check_free, write_files
from ..utils.terminal import add_row, fold_nothing_in_files, make_table
from .fold import FoldReport, fold_norms


def fold_checkpoint(
    cfg: Config,
    checkpoint: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    image_size: Sequence[int] | None = None,
    console: Console | None = None,
) -> list[Path]:
    """Fold the norms of a checkpoint; say which, and which not and why.

    Args:
        cfg: the config of the checkpoint.
        checkpoint: file with its weights.
        out: the folded checkpoint, a ``.pth`` file; its config gets the same
            name and ``.py``.
        overwrite: replace these files if they exist; never the checkpoint.
        image_size: (H, W) of the image that shows the way through the
            network. Default: a small one, else one that the config names.
        console: where to say it. Default: the terminal.

    Returns:
        list[Path]: The two files. mmengine builds and loads them as any
        other: ``tools/test.py out.py out.pth``.

    Raises:
        ConfigError: if the model cannot be built.
        CheckpointError: if the checkpoint cannot be loaded into it.
        ValueError: if ``out`` is no ``.pth`` file, or its config is the
            given one, or no norm can be folded.
        FileExistsError: if a file exists and is not to be overwritten.
    """
    out = Path(out)
    if out.suffix != '.pth':
        raise ValueError(f'--out is a .pth file, got {out}')
    files = [out, out.with_suffix('.py')]
    check_free(files, overwrite, Path(checkpoint), file_name='--out')
    if cfg.filename and files[1].resolve() == Path(cfg.filename).resolve():
        raise ValueError(f'--out {out}: its config would replace {files[1]}')
    model, meta = load_model(cfg, checkpoint)
    shapes = example_shapes(cfg, image_size)
    model = fold_norms(model, inplace=True, input_shapes=shapes)
    report = cast(FoldReport, model.fold_report)
    _say(report, console or Console())
    if not report.folded:
        raise ValueError(f'{checkpoint}: no norm can be folded')
    meta['cfg'] = folded_config(cfg, report, str(out.absolute())).pretty_text
    content = dict(meta=meta, state_dict=model.state_dict())
    # Where the config is, whatever folder a tool is started in.
    beside = folded_config(cfg, report, f'{{{{ fileDirname }}}}/{out.name}')
    write_files(
        {files[0]: partial(save_torch, content), files[1]: beside.dump}
    )
    return files


def folded_config(cfg: Config, report: FoldReport, load_from: str) -> Config:
    """Build the config of a folded model, with strings for classes.

    Args:
        cfg: the config of the model that was folded, of either style.
        report: what was folded.
        load_from: the folded checkpoint.
    """
    folded = Config(copy.deepcopy(cfg).to_dict(), filename=cfg.filename)
    kind, scope = folded.model.type, folded.get('default_scope')
    if scope and '.' not in kind:
        kind = f'{scope}.{kind}'
    folded.model.update(
        type='FoldedModel', folded_type=kind, folded_norms=report.folded
    )
    custom = folded.get('custom_imports') or dict(allow_failed_imports=False)
    imports = dict.fromkeys([*custom.get('imports', []), 'whiten_plugins'])
    folded.custom_imports = dict(custom, imports=list(imports))
    folded.load_from, folded.resume = load_from, False
    folded.pop('work_dir', None)  # named after the file, unless it says one
    return folded


def _say(report: FoldReport, console: Console) -> None:
    fold_nothing_in_files(console)
    kept = make_table('norm', 'stays, because it')
    for name, reason in report.kept.items():
        add_row(kept, name, reason)
    if report.kept:
        console.print(kept)
    console.print(
        f'{len(report.folded)} norms folded, {len(report.kept)} stay'
    )
