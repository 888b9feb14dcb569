"""What a training or a test needs, looked at before anything is built."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint
from torch import nn

from ..config.errors import ConfigError
from ..utils.files import check_folder
from ..utils.model_wrappers import unwrap_model
from .reading import CheckpointError, load_checkpoint

_NEEDED = {
    'train': ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper'),
    'test': ('model', 'test_dataloader', 'test_cfg', 'test_evaluator'),
}


def check_run(cfg: Config, task: str) -> None:
    """Check that a run has all it needs.

    Args:
        cfg: the whole config. Where it resumes from the latest checkpoint,
            ``load_from`` becomes that one.
        task: 'train' or 'test'.

    Raises:
        ConfigError: if the config lacks something, or the checkpoint of an
            earlier run is gone.
        CheckpointError: if the checkpoint to start from cannot be used.
        OSError: if the work directory cannot be written.
    """
    for key in _NEEDED[task]:
        # An empty one is all defaults.
        if cfg.get(key) is None:
            raise ConfigError(
                f'{cfg.filename}: has no {key}, which whiten {task} needs'
            )
    check_folder(Path(cfg.work_dir))
    if cfg.get('resume') and not cfg.get('load_from'):
        cfg.load_from = latest_checkpoint(cfg.work_dir)
    source = cfg.get('load_from')
    if source is None or '://' in source:
        return
    if not Path(source).exists():
        raise ConfigError(f'no such checkpoint: {source}')
    checkpoint = load_checkpoint(source)
    # Weights alone, as the tools that change weights write them.
    is_training = 'message_hub' in checkpoint.contents
    if cfg.get('resume') and not is_training:
        raise CheckpointError(
            f'{source}: holds weights, not the state of a training, so that '
            'it cannot be resumed; to start from them use '
            f'--cfg-options load_from={source}'
        )


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """Return the last checkpoint that a training saved in a work directory.

    mmengine notes where it was written; in a directory that was moved it is
    still the one of that name.

    Raises:
        ConfigError: if it is gone.
    """
    noted = find_latest_checkpoint(str(work_dir))
    if noted is None or Path(noted).exists():
        return noted
    moved = Path(work_dir) / Path(noted).name
    if moved.exists():
        return str(moved)
    raise ConfigError(
        f'{Path(work_dir) / "last_checkpoint"}: names {noted}, which is '
        f'neither there nor in {work_dir}; name a checkpoint after --resume'
    )


def check_fits(model: nn.Module, checkpoint: str) -> None:
    """Check that a checkpoint has something for a model.

    mmengine loads what fits and logs the rest: what is of another network
    would be tested with random weights.

    Args:
        model: the model of the run.
        checkpoint: a file, or the address of one, which is not looked at.

    Raises:
        CheckpointError: if nothing fits.
    """
    if '://' in checkpoint:
        return
    model = unwrap_model(model)
    model = getattr(model, 'module', model)  # of test-time augmentation
    wanted = model.state_dict()
    found = load_checkpoint(checkpoint).state_dict
    if not any(
        key in wanted and wanted[key].shape == value.shape
        for key, value in found.items()
    ):
        raise CheckpointError(
            f'{checkpoint}: none of its {len(found)} tensors, '
            f'{next(iter(found))} among them, is one of the model in the '
            f'config, as {next(iter(wanted), "nothing")} is'
        )
