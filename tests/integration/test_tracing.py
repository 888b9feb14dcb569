"""Tools that trace, transform and script networks work with the norms."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.func import (
    functional_call,
    grad,
    jvp,
    stack_module_state,
    vmap,
)
from torchvision.models import resnet18
from torchvision.models.feature_extraction import (
    create_feature_extractor,
    get_graph_node_names,
)

from whiten_plugins.norms import BW, NORMS, SN, SW
from whiten_plugins.placement import place_norms

every_norm = pytest.mark.parametrize(
    'norm', NORMS, ids=lambda norm: norm.__name__
)


def _network(norm):
    torch.manual_seed(0)
    norms = [norm(8), norm(8)]
    for module in norms:  # equal ones have gradients that are nearly zero
        for parameter in module.parameters():
            nn.init.uniform_(parameter, 0.5, 1.5)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        norms[0],
        nn.ReLU(inplace=True),
        norms[1],
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


def _state(model):
    parameters = {k: v.detach() for k, v in model.named_parameters()}
    return parameters, {k: v.clone() for k, v in model.named_buffers()}


def _assert_gradients(found, model):
    for name, parameter in model.named_parameters():
        scale = parameter.grad.abs().max().item()
        torch.testing.assert_close(
            found[name], parameter.grad, rtol=1e-4, atol=1e-4 * scale + 1e-7
        )


@pytest.mark.parametrize(
    'build',
    [
        *NORMS,
        lambda channels: BW(channels, whitening='pca'),
        lambda channels: SW(channels, sw_type=5, hard=True),
    ],
)
@pytest.mark.parametrize('training', [True, False])
def test_func_grad_is_the_gradient_and_updates_the_buffers(build, training):
    model = _network(build).train(training)
    expected = copy.deepcopy(model)
    torch.manual_seed(1)
    grads = torch.randn(expected(_images()).shape)
    expected = copy.deepcopy(model)
    (expected(_images()) * grads).sum().backward()

    def loss(parameters, buffers):
        y = functional_call(model, (parameters, buffers), (_images(),))
        return (y * grads).sum(), buffers

    found, buffers = grad(loss, has_aux=True)(*_state(model))
    _assert_gradients(found, expected)
    for name, buffer in expected.named_buffers():
        torch.testing.assert_close(buffers[name], buffer)


@every_norm
def test_vmap_of_grad_gives_the_gradients_of_single_images(norm):
    model = _network(norm).eval()
    parameters, buffers = _state(model)

    def loss(parameters, image):
        y = functional_call(model, (parameters, buffers), (image[None],))
        return y.square().mean()

    found = vmap(grad(loss), in_dims=(None, 0))(parameters, _images())
    model(_images()[1:]).square().mean().backward()
    _assert_gradients({k: v[1] for k, v in found.items()}, model)


@every_norm
@pytest.mark.parametrize('training', [True, False])
def test_vmap_runs_an_ensemble(norm, training):
    models = [_network(norm).train(training) for _ in range(3)]
    for model in models[1:]:
        nn.init.normal_(model[0].weight)
    state = stack_module_state(models)
    template, images = copy.deepcopy(models[0]).to('meta'), _images()

    def run(parameters, buffers):
        return functional_call(template, (parameters, buffers), (images,))

    found = vmap(run)(*state)
    expected = torch.stack([model(_images()) for model in models])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for name, buffer in state[1].items():
        values = torch.stack([model.get_buffer(name) for model in models])
        torch.testing.assert_close(buffer, values, rtol=1e-4, atol=1e-5)


def test_jvp_is_the_derivative_along_a_direction():
    model = _network(SW).double().eval()
    x, direction = _images().double(), _images().double().flip(0)
    _, found = jvp(model, (x,), (direction,))
    step = 1e-6
    ahead, behind = model(x + step * direction), model(x - step * direction)
    torch.testing.assert_close(
        found, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    'build',
    [*NORMS, lambda c: SW(c, sw_type=5, num_pergroup=4)],
)
def test_torchs_older_onnx_export_at_opset_11(build):
    runtime = pytest.importorskip('onnxruntime')
    model = _network(build).eval()
    file = io.BytesIO()
    torch.onnx.export(
        model,
        (_images(),),
        file,
        opset_version=11,
        dynamo=False,
        input_names=['images'],
    )
    session = runtime.InferenceSession(
        file.getvalue(), providers=['CPUExecutionProvider']
    )
    (found,) = session.run(None, {'images': _images().numpy()})
    torch.testing.assert_close(
        torch.from_numpy(found), model(_images()), rtol=1e-4, atol=1e-5
    )
