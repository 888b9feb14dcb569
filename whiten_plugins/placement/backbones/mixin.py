"""What the backbones of both toolkits share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from .. import place_norms


class WhitenMixin(nn.Module):
    """Put norms into a toolkit's backbone, where the papers have them.

    ``backbone=dict(type='WhitenResNet', whiten_cfg=dict(type='SW'),
    whiten_at='sw14')`` on top of an inherited config: the backbone keeps its
    other arguments, and the other norms keep its ``norm_cfg``. A BN
    checkpoint loads, since the names of the modules stay.

    The backbone's arguments reach the placed norms as follows:

    - ``norm_cfg``: not at all. With ``requires_grad=False`` there (frozen
      BN), placed norms are trained all the same; ``requires_grad=False`` in
      ``whiten_cfg`` freezes their parameters.
    - ``norm_eval=True``: not at all. It keeps running statistics that came
      with a checkpoint, and those of the placed norms are not in a BN
      checkpoint. So they train with batch statistics, as in the papers (SW
      fine-tuning; GW Table 4, where BN is frozen and GW is not).
    - ``frozen_stages``: as any module of these stages. They are in
      evaluation mode and their parameters are not trained.

    Args:
        whiten_cfg: config of the placed norms, as a ``norm_cfg``.
        whiten_at: a preset or a list of patterns on the backbone's module
            names, see :func:`~whiten_plugins.placement.place_norms`.
        others: as the toolkit's backbone.

    Attributes:
        placed_norms: names of the placed norms.

    Raises:
        PlacementError: if ``whiten_cfg`` or ``whiten_at`` cannot work.
    """

    def __init__(
        self,
        *args,
        whiten_cfg: Mapping,
        whiten_at: str | Sequence[str],
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.placed_norms = place_norms(self, whiten_cfg, whiten_at)
        self._freeze_again()

    def train(self, mode: bool = True) -> WhitenMixin:
        """Set the mode of the backbone.

        Placed norms of frozen stages stay in evaluation mode, others follow
        ``mode`` whatever ``norm_eval`` is.
        """
        super().train(mode)
        if mode:
            for name in self.placed_norms:
                self.get_submodule(name).train()
            self._freeze_again()
        return self

    def _freeze_again(self) -> None:
        """Freeze placed norms of frozen stages; HRNet has none."""
        freeze = getattr(self, '_freeze_stages', None)
        if freeze is not None:
            freeze()


def whitened(backbone: type[nn.Module], module: str) -> type[nn.Module]:
    """Derive a class with ``whiten_cfg`` and ``whiten_at`` from a backbone's.

    Args:
        backbone: a class of a toolkit.
        module: where the new one is defined, for pickling.

    Returns:
        type: Of the backbone's name with ``Whiten`` before it.
    """
    members = {
        '__module__': module,
        '__doc__': f'{backbone.__module__}.{backbone.__name__} with norms '
        'placed in it; takes ``whiten_cfg`` and ``whiten_at`` of '
        ':class:`WhitenMixin` besides its own arguments.',
    }
    return type(f'Whiten{backbone.__name__}', (WhitenMixin, backbone), members)
