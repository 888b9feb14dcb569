"""Tools that trace, transform and script networks work with the norms."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.models.feature_extraction import (
    create_feature_extractor,
    get_graph_node_names,
)

from whiten_plugins.norms import NORMS, SN, SW
from whiten_plugins.placement import place_norms

every_norm = pytest.mark.parametrize(
    'norm', NORMS, ids=lambda norm: norm.__name__
)


def _network(norm):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), norm(8), nn.ReLU(inplace=True), norm(8)
    )


def _images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@every_norm
@pytest.mark.parametrize('training', [True, False])
def test_fx_takes_a_norm_for_one_node(norm, training):
    model = _network(norm).train(training)
    expected = copy.deepcopy(model)
    traced = torch.fx.symbolic_trace(model)
    calls = [n.target for n in traced.graph.nodes if n.op == 'call_module']
    assert calls == ['0', '1', '2', '3']
    torch.testing.assert_close(traced(_images()), expected(_images()))
    assert traced.state_dict().keys() == model.state_dict().keys()
    for name, buffer in expected.named_buffers():
        torch.testing.assert_close(traced.get_buffer(name), buffer)


def test_fx_passes_on_the_layout_that_a_call_asks_for():
    class Told(nn.Module):
        def __init__(self):
            super().__init__()
            self.norms = nn.Sequential(nn.LayerNorm(8))
            place_norms(self.norms, dict(type='SN'), 'all')

        def forward(self, x):
            last = self.norms[0](x.movedim(1, -1)).movedim(-1, 1)
            return self.norms[0](last, data_format='channel_first')

    model = Told()
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), model(x))


def test_fx_cannot_trace_a_norm_alone():
    with pytest.raises(TypeError, match=r'SN alone.*nn\.Sequential'):
        torch.fx.symbolic_trace(SN(8))


def test_torchvision_extracts_features_of_a_network_with_norms():
    model = resnet18()
    names = place_norms(model, dict(type='SW'), 'sw14')
    model.eval()
    _, nodes = get_graph_node_names(model)
    assert set(names) <= set(nodes)
    features = {}
    hook = model.layer1[0].bn1.register_forward_hook(
        lambda module, inputs, output: features.update(bn=output.clone())
    )
    images = torch.randn(2, 3, 32, 32)
    model(images)
    hook.remove()
    extractor = create_feature_extractor(model, {'layer1.0.bn1': 'bn'})
    torch.testing.assert_close(
        extractor(images)['bn'].relu(), features['bn'].relu()
    )


@pytest.mark.parametrize('build', [lambda: SW(8), lambda: _network(SW)])
def test_script_says_what_works_instead(build):
    with pytest.raises(TypeError, match=r'compile SW: use torch\.jit\.trace'):
        torch.jit.script(build().eval())
