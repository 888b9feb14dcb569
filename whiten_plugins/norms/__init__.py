"""The norms as modules, registered in every OpenMMLab scope."""

from mmengine.registry import MODELS

from .ibn import IBN, SyncIBN
from .switchable import SN, SW, SyncSN, SyncSW
from .whitening import BW, GW, IW, ItN, SyncBW, SyncItN

NORMS = (
    SN,
    SyncSN,
    SW,
    SyncSW,
    GW,
    BW,
    SyncBW,
    ItN,
    SyncItN,
    IW,
    IBN,
    SyncIBN,
)

for norm in NORMS:
    MODELS.register_module(module=norm)

__all__ = [norm.__name__ for norm in NORMS]
