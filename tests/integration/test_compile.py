"""Networks of the toolkits are compiled whole, as mmengine compiles them."""

import pytest
import torch

from whiten_plugins.ops import operators

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not operators.AVAILABLE, reason='no custom operators in this torch'
    ),
]


@pytest.mark.parametrize('toolkit', ['mmdet', 'mmseg'])
@pytest.mark.parametrize('type', ['SN', 'SW', 'GW', 'BW', 'ItN', 'IBN'])
def test_backbone_compiles_whole(type, toolkit):
    registry = pytest.importorskip(f'{toolkit}.registry')
    pytest.importorskip(f'{toolkit}.models')
    torch.manual_seed(0)
    backbone = registry.MODELS.build(
        dict(
            type=f'{toolkit}.ResNet',
            depth=18,
            norm_cfg=dict(type=type),
            norm_eval=False,
        )
    )
    backbone.train()
    images = torch.randn(2, 3, 64, 64)
    torch._dynamo.reset()
    whole = torch.compile(backbone, backend='eager', fullgraph=True)
    for actual, expected in zip(whole(images), backbone(images)):
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)
