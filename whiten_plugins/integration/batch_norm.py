"""Functions of torch and the toolkits that look for BatchNorm by its class.

A norm of this package is no instance of BatchNorm, so such a function passes
it over without a word. :func:`install` sees to it that each works or speaks
(:mod:`~whiten_plugins.integration.norm_eval` and
:mod:`~whiten_plugins.integration.optimizer` do so for two more):

========================================= ==================================
function                                  with these norms
========================================= ==================================
``torch.optim.swa_utils.update_bn``       works
mmdet's ``SyncNormHook``                  works
mmengine's ``has_batch_norm``,            true
``is_norm``
``convert_sync_batchnorm``, torch's and   warns of norms that stay local
mmengine's
``torch.func``'s                          warns of norms that keep running
``replace_all_batch_norm_modules_``       statistics
``torch.nn.utils``' ``fuse_conv_bn_eval`` raises an error: from SN it took
and ``fuse_linear_bn_eval``               the wrong statistics
========================================= ==================================
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from mmengine.utils.dl_utils import misc
from torch import nn
from torch._functorch import batch_norm_replacement
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.utils import fusion
from torch.optim import swa_utils

from ..norms.base import SyncStatistics, WhiteningNorm
from .on_import import on_import
from .registries import add_location


def counts_as(instance: object, classes: Any) -> bool:
    """Do as ``isinstance``, but take norms of this package for torch's.

    Those with batch statistics are BatchNorms, the others GroupNorms.

    Args:
        instance: any object.
        classes: a class or a tuple of classes.
    """
    if isinstance(instance, classes):
        return True
    if not isinstance(instance, WhiteningNorm):
        return False
    asked = classes if isinstance(classes, tuple) else (classes,)
    like = {_BatchNorm, _NormBase} if _uses_batch(instance) else {nn.GroupNorm}
    return not like.isdisjoint(asked)


def _uses_batch(module: object) -> bool:
    return isinstance(module, WhiteningNorm) and module.spec.uses_batch


def teach(module: ModuleType) -> None:
    """Let the code of a module know the norms wherever it asks for theirs.

    A name is looked up in a module's globals before the built-ins, so its
    functions call :func:`counts_as`, also those that others imported before.
    """
    vars(module)['isinstance'] = counts_as


def _replace(function: Callable, replacement: Callable) -> None:
    """Replace a function where it is defined and where it was imported."""
    name = function.__name__
    for module in list(sys.modules.values()):
        namespace = getattr(module, '__dict__', {})
        if namespace.get(name) is function:
            namespace[name] = replacement


def _refuse_to_fuse(fuse: Callable) -> Callable:
    @functools.wraps(fuse)
    def checked(layer: nn.Module, bn: nn.Module, *args: Any, **kwargs: Any):
        if isinstance(bn, WhiteningNorm):
            raise TypeError(
                f'{fuse.__name__} cannot fuse {type(bn).__name__}, which is '
                'not BatchNorm; whiten_plugins.deploy.fold_norms folds the '
                'norms of a network that are a fixed linear map'
            )
        return fuse(layer, bn, *args, **kwargs)

    return checked


def _warn_of_local(convert: Callable) -> Callable:
    @functools.wraps(convert)
    def checked(*args: Any, **kwargs: Any) -> nn.Module:
        for module in (*args, *kwargs.values()):
            if _uses_batch(module) and not _shares(module):
                name = type(module).__name__
                warnings.warn(
                    f'{convert.__name__} leaves {name} as it is, with the '
                    f'statistics of each process; to share them, set '
                    f"norm_cfg=dict(type='Sync{name}')",
                    stacklevel=2,
                )
        return convert(*args, **kwargs)

    return checked


def _shares(module: nn.Module) -> bool:
    return isinstance(module, SyncStatistics)


def _warn_of_running(remove: Callable) -> Callable:
    @functools.wraps(remove)
    def checked(module: nn.Module) -> None:
        if _uses_batch(module):
            warnings.warn(
                'replace_all_batch_norm_modules_ leaves '
                f'{type(module).__name__} as it is, with its running '
                'statistics; norms without any are GW, IW and '
                "SN(stats=('in', 'ln'))",
                stacklevel=2,
            )
        remove(module)

    return checked


def install() -> None:
    """Let the functions above know the norms."""
    teach(swa_utils)
    teach(misc)
    hook = f'{__package__}.sync_norm_hook'
    add_location('mmdet', 'HOOKS', hook)
    for fuse in (fusion.fuse_conv_bn_eval, fusion.fuse_linear_bn_eval):
        _replace(fuse, _refuse_to_fuse(fuse))
    on_import('mmengine.model', _teach_mmengine)
    remove = batch_norm_replacement.batch_norm_without_running_stats
    _replace(remove, _warn_of_running(remove))
    method = vars(nn.SyncBatchNorm)['convert_sync_batchnorm']
    known = classmethod(_warn_of_local(method.__func__))
    setattr(nn.SyncBatchNorm, method.__func__.__name__, known)


def _teach_mmengine() -> None:
    from mmengine.model import utils

    convert = utils.convert_sync_batchnorm
    _replace(convert, _warn_of_local(convert))
