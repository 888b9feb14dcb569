"""A folded network as a type in configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmengine.registry import MODELS
from torch import nn

from .fold import remove_norms


@MODELS.register_module(name='FoldedModel', force=True)
def build_folded_model(
    folded_type: str, folded_norms: Mapping[str, Sequence[str]], **cfg
) -> nn.Module:
    """Build a model as :func:`~whiten_plugins.deploy.fold_norms` leaves it.

    ``model=dict(type='FoldedModel', folded_type='mmdet.MaskRCNN',
    folded_norms={'backbone.bn1': ['backbone.conv1']}, ...)``, where the rest
    is the config of the model that was folded. What is built is a MaskRCNN,
    no wrapper, so that the toolkits treat it as one.

    Args:
        folded_type: type of the model, with its scope.
        folded_norms: names of the norms that are gone, and of the layers
            that took in each.
        cfg: the model's other arguments.
    """
    model = MODELS.build(dict(type=folded_type, **cfg))
    remove_norms(model, folded_norms)
    return model
