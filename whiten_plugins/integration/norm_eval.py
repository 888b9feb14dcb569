"""``norm_eval`` and ``frozen_stages`` of the toolkits' backbones.

**norm_eval=True** (the default of mmdet's ResNets, which are pre-trained and
see small batches) keeps the running statistics of a backbone's BatchNorms:
they are used, not updated, while everything is trained. The backbones do so
in ``train()``, for instances of torch's BatchNorm, which the norms of this
package are not. :func:`install` makes it hold for them too, in every
backbone that has the argument, of mmdet, mmseg or one's own, whichever is
imported first:

============================ ==============================================
norm                         in a backbone with ``norm_eval=True``
============================ ==============================================
BW, ItN, SyncBW, SyncItN     whiten with the running statistics: a fixed
                             linear map before ``weight`` and ``bias``
SN, SW, SyncSN, SyncSW       ``bn`` and ``bw`` are the running statistics;
                             ``in``, ``ln`` and ``iw`` are still the
                             sample's
GW, IW                       no running statistics, so no difference
============================ ==============================================

``weight``, ``bias`` and the ratio logits are trained as ever. As with BN, the
running statistics have to come from somewhere: norms that a checkpoint did
not fill stay at mean 0, variance 1, so a backbone that is trained from
scratch needs ``norm_eval=False``. The ``Whiten*`` backbones of
:mod:`whiten_plugins.placement.backbones` exempt the norms that they place.

**frozen_stages=k** needs no help: the ResNets put the stem (a deep stem too)
and the first k stages into evaluation mode and train no parameter of them,
whatever their norms; so the ratios there stay as they are.

How: the ``train()`` of every such backbone begins with that of its base
class, mmengine's :class:`~mmengine.model.BaseModule`, which has none of its
own. It gets one that obeys ``norm_eval``. A backbone that is not a
``BaseModule`` calls :func:`eval_norms` in its own ``train()``.
"""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import nn

from ..norms.base import WhiteningNorm


def eval_norms(module: nn.Module) -> None:
    """Put the norms of this package in ``module`` into evaluation mode.

    Running statistics are used then, and kept.
    """
    for child in module.modules():
        if isinstance(child, WhiteningNorm):
            child.eval()


def train(self: BaseModule, mode: bool = True) -> BaseModule:
    """Set the mode of a module and its children.

    Where the module has ``norm_eval=True``, its norms stay in evaluation
    mode.

    Args:
        self: the module.
        mode: training (True) or evaluation.
    """
    super(BaseModule, self).train(mode)
    if mode and getattr(self, 'norm_eval', False):
        eval_norms(self)
    return self


def install() -> None:
    """Give mmengine's base class of all backbones the ``train`` above."""
    BaseModule.train = train
