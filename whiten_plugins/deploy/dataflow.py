"""Which layer's output goes into which norm, found by running or tracing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


@dataclass
class Dataflow:
    """Edges of a network around its layers and norms.

    Attributes:
        sources: for each norm that is called, the layers that its input
            comes from directly; None stands for anything else.
        users: for each layer that is called, the norms that its output goes
            to directly, likewise.
    """

    sources: dict[nn.Module, set[nn.Module | None]] = field(
        default_factory=lambda: defaultdict(set)
    )
    users: dict[nn.Module, set[nn.Module | None]] = field(
        default_factory=lambda: defaultdict(set)
    )


def symbolic_dataflow(
    model: nn.Module, layers: set[nn.Module], norms: set[nn.Module]
) -> Dataflow:
    """Follow a network by :mod:`torch.fx`, without an input.

    Args:
        model: the network.
        layers: modules that produce.
        norms: modules that consume.

    Raises:
        Exception: what the network raises where it cannot be traced, as
            when it decides by values or sizes.
    """
    graph = _Tracer(layers | norms).trace(model)
    modules = dict(model.named_modules(remove_duplicate=False))
    called = {
        node: modules[node.target]
        for node in graph.nodes
        if node.op == 'call_module'
    }
    flow = Dataflow()
    for node, module in called.items():
        if module in norms:
            source = called.get(node.args[0]) if node.args else None
            flow.sources[module].add(source if source in layers else None)
        if module in layers:
            for user in node.users:
                norm = called.get(user)
                flow.users[module].add(norm if norm in norms else None)
    return flow


class _Tracer(fx.Tracer):
    """Enters everything but the leaves; nn.Identity too, and so vanishes."""

    def __init__(self, leaves: set[nn.Module]) -> None:
        super().__init__()
        self.leaves = leaves

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        if isinstance(module, nn.Identity):
            return False
        return module in self.leaves or super().is_leaf_module(module, name)


def observed_dataflow(
    run: Callable[[], Any],
    layers: set[nn.Module],
    norms: set[nn.Module],
) -> Dataflow:
    """Follow the tensors of a real run.

    Tensors are told apart as objects: a norm is fed by a layer if its input
    is the very tensor that the layer returned.

    Args:
        run: runs the network once and returns its output.
        layers: modules that produce.
        norms: modules that consume.
    """
    observer = _Observer()
    with ExitStack() as hooks, torch.no_grad():
        for layer in layers:
            handle = layer.register_forward_hook(observer.after_layer)
            hooks.callback(handle.remove)
        for norm in norms:
            for handle in (
                norm.register_forward_pre_hook(observer.before_norm),
                norm.register_forward_hook(observer.after_norm),
            ):
                hooks.callback(handle.remove)
        with observer:
            output = run()
    observer.use(output)
    return observer.flow


class _Observer(TorchDispatchMode):
    """Sees every operator, and by its hooks every layer and norm."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = Dataflow()
        self.norm: nn.Module | None = None
        # The tensors are kept, so that no other takes over an id.
        self.outputs: dict[int, tuple[Tensor, nn.Module]] = {}

    def after_layer(self, layer: nn.Module, args: tuple, out: Tensor) -> None:
        if isinstance(layer, nn.Linear) and out.dim() != 2:
            return  # its channels are last, where a norm has them second
        self.outputs[id(out)] = out, layer

    def before_norm(self, norm: nn.Module, args: tuple) -> None:
        source = args[0] if args else None
        _, layer = self.outputs.get(id(source), (None, None))
        self.flow.sources[norm].add(layer)
        self.norm = norm
        self.use(args)

    def after_norm(self, norm: nn.Module, args: tuple, out: Tensor) -> None:
        self.norm = None

    def use(self, values: Any) -> None:
        """Notes that the running norm, or something else, reads values."""
        for value in tree_flatten(values)[0]:
            if id(value) in self.outputs:
                _, layer = self.outputs[id(value)]
                self.flow.users[layer].add(self.norm)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.use((args, kwargs))
        return func(*args, **(kwargs or {}))
