"""Learned normalization and whitening for MMDetection and MMSegmentation.

Importing this package makes every norm, hook and backbone known to
mmengine's registries, so that ``norm_cfg=dict(type='SW')`` works in any
config; :mod:`whiten_plugins.integration` says what else it changes.

What stands here is loaded when it is first used::

    from whiten_plugins import SW, fold_norms, place_norms

The norms are those of :mod:`whiten_plugins.norms`; ``dir(whiten_plugins)``
lists everything.
"""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from .utils.process import is_command, refuse_subinterpreter
from .utils.requirements import require

if TYPE_CHECKING:  # the names below, as type checkers and editors see them
    from .analysis.complexity import count_flops as count_flops
    from .analysis.environment import collect_env as collect_env
    from .analysis.norm_table import print_norms as print_norms
    from .analysis.norms import list_norms as list_norms
    from .calibration import BatchAverageHook as BatchAverageHook
    from .calibration import batch_average as batch_average
    from .checkpoints import CheckpointError as CheckpointError
    from .checkpoints import load_checkpoint as load_checkpoint
    from .checkpoints.conversion import (
        convert_checkpoint as convert_checkpoint,
    )
    from .checkpoints.hardening import harden_checkpoint as harden_checkpoint
    from .config import ConfigError as ConfigError
    from .config import build_model as build_model
    from .config import load_config as load_config
    from .deploy import export_onnx as export_onnx
    from .deploy import fold_norms as fold_norms
    from .diagnosis import diagnose as diagnose
    from .diagnosis import diagnose_config as diagnose_config
    from .integration.optimizer import (
        NormAwareOptimWrapperConstructor as NormAwareOptimWrapperConstructor,
    )
    from .norms import *  # noqa: F403
    from .placement import PRESETS as PRESETS
    from .placement import PlacementError as PlacementError
    from .placement import place_norms as place_norms
    from .ratios import RatioHook as RatioHook
    from .ratios import read_run as read_run
    from .ratios.report import write_report as write_report
    from .runner.random_state import RandomStateHook as RandomStateHook

__version__ = '0.2.0'

_FOLDER = [str(Path(__file__).parent)]

# The module of each public name, but for the norms.
_PUBLIC = {
    'BatchAverageHook': 'calibration',
    'CheckpointError': 'checkpoints',
    'ConfigError': 'config',
    'NormAwareOptimWrapperConstructor': 'integration.optimizer',
    'PRESETS': 'placement',
    'PlacementError': 'placement',
    'RandomStateHook': 'runner.random_state',
    'RatioHook': 'ratios',
    'batch_average': 'calibration',
    'build_model': 'config',
    'collect_env': 'analysis.environment',
    'convert_checkpoint': 'checkpoints.conversion',
    'count_flops': 'analysis.complexity',
    'diagnose': 'diagnosis',
    'diagnose_config': 'diagnosis',
    'export_onnx': 'deploy',
    'fold_norms': 'deploy',
    'harden_checkpoint': 'checkpoints.hardening',
    'list_norms': 'analysis.norms',
    'load_checkpoint': 'checkpoints',
    'load_config': 'config',
    'place_norms': 'placement',
    'print_norms': 'analysis.norm_table',
    'read_run': 'ratios',
    'write_report': 'ratios.report',
}


def __getattr__(name: str) -> Any:
    if not name.startswith('_'):
        if name in _PUBLIC:
            module = import_module(f'{__name__}.{_PUBLIC[name]}')
            return getattr(module, name)
        if name in _rooms():
            return import_module(f'{__name__}.{name}')
        norms = import_module(f'{__name__}.norms')
        if name in norms.__all__:
            return getattr(norms, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    norms = import_module(f'{__name__}.norms')
    return sorted({*globals(), *_PUBLIC, *_rooms(), *norms.__all__})


def _rooms() -> set[str]:
    return {module.name for module in iter_modules(_FOLDER)}


refuse_subinterpreter(__name__)
require('torch')
require('mmengine')
import_module(f'{__name__}.integration').start()
# With it the norms are registered. A command has yet to say how threads wait,
# which is too late once torch is there.
if not is_command(__name__):
    import_module('mmengine')
