"""Find which layer's output goes into which norm, and what else sees them.

The network is run or traced.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules import module as torch_module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from ..utils.module_state import copy_model
from .alterations import has_hooks

METADATA = {'device', 'dtype', 'layout', 'ndim', 'requires_grad', 'shape'}
METADATA_METHODS = {'dim', 'numel', 'size'}


@dataclass
class Dataflow:
    """Edges of a network around its layers and norms.

    Attributes:
        sources: for each norm that is called, the layers that its input
            comes from directly; None stands for anything else.
        users: for each layer that is called, the norms that its output goes
            to directly, likewise.
        read: the layers and norms whose weights or buffers something else
            reads or replaces.
        seen: the layers whose output a hook sees or an attribute keeps.
    """

    sources: dict[nn.Module, set[nn.Module | None]] = field(
        default_factory=lambda: defaultdict(set)
    )
    users: dict[nn.Module, set[nn.Module | None]] = field(
        default_factory=lambda: defaultdict(set)
    )
    read: set[nn.Module] = field(default_factory=set)
    seen: set[nn.Module] = field(default_factory=set)


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
    traced = copy_model(model)  # tracing may leave things in attributes
    modules = dict(model.named_modules(remove_duplicate=False))
    originals = {
        twin: modules[name]
        for name, twin in traced.named_modules(remove_duplicate=False)
    }
    leaves = {
        m for m, original in originals.items() if original in layers | norms
    }
    tracer, reads = _Tracer(leaves), _Reads(leaves)
    with reads:
        graph = tracer.trace(traced)
    if any(isinstance(value, fx.Proxy) for value in _attributes(traced)):
        raise RuntimeError('the network keeps tensors in its attributes')
    for node in graph.nodes:
        if node.op == 'get_attr' and not all(map(_is_metadata, node.users)):
            reads.note(_get_attribute(traced, node.target))
    called = {
        node: modules[node.target]
        for node in graph.nodes
        if node.op == 'call_module'
    }
    flow = Dataflow(
        read={originals[module] for module in reads.read},
        seen={
            module
            for node, module in called.items()
            if node in tracer.seen_by_hooks and module in layers
        },
    )
    for node, module in called.items():
        if module in norms:
            source = called.get(node.args[0]) if node.args else None
            flow.sources[module].add(source if source in layers else None)
        if module in layers:
            for user in node.users:
                norm = called.get(user)
                flow.users[module].add(norm if norm in norms else None)
    return flow


def _is_metadata(node: fx.Node) -> bool:
    if node.op == 'call_function' and node.target is getattr:
        return node.args[1] in METADATA
    return node.op == 'call_method' and node.target in METADATA_METHODS


def _get_attribute(module: nn.Module, target: str) -> Any:
    *path, name = target.split('.')
    return getattr(module.get_submodule('.'.join(path)), name)


def _attributes(model: nn.Module) -> Iterator[Any]:
    """Yield what the attributes of all modules hold, apart from modules."""
    for module in model.modules():
        for name, value in vars(module).items():
            if name != '_modules':
                yield from tree_leaves(value)


class _Tracer(fx.Tracer):
    """Enters everything but the leaves; nn.Identity too, and so vanishes."""

    def __init__(self, leaves: set[nn.Module]) -> None:
        super().__init__()
        self.leaves = leaves
        self.seen_by_hooks: set[fx.Node] = set()

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        if isinstance(module, nn.Identity):
            return False
        return module in self.leaves or super().is_leaf_module(module, name)

    def call_module(
        self,
        module: nn.Module,
        forward: Callable[..., Any],
        args: tuple,
        kwargs: dict[str, Any],
    ) -> Any:
        out = super().call_module(module, forward, args, kwargs)
        if has_hooks(module):
            self.seen_by_hooks |= {
                value.node
                for value in tree_leaves((args, kwargs, out))
                if isinstance(value, fx.Proxy)
            }
        return out


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
    observer = _Observer(layers, norms)
    with ExitStack() as hooks, torch.no_grad():
        for handle in (
            torch_module.register_module_forward_pre_hook(observer.enter),
            torch_module.register_module_forward_hook(observer.leave),
        ):
            hooks.callback(handle.remove)
        with observer:
            output = run()
    observer.use(output)
    del output
    return observer.finish()


class _Reads(TorchDispatchMode):
    """Record the modules whose weights are read outside of their forward.

    It sees every operator.

    Args:
        modules: whose parameters and buffers to watch.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self.read: set[nn.Module] = set()
        self.running: list[nn.Module] = []
        self.owners: dict[int, set[nn.Module]] = defaultdict(set)
        # Kept, so that no other storage takes over an id.
        self.storages = []
        for module in modules:
            for tensor in own_tensors(module):
                self.owners[storage_of(tensor)].add(module)
                self.storages.append(tensor.untyped_storage())

    def note(self, values: Any) -> None:
        """Note that something reads these values."""
        for value in tree_leaves(values):
            if isinstance(value, Tensor):
                owners = self.owners.get(storage_of(value), set())
                self.read |= owners.difference(self.running)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.note((args, kwargs))
        return func(*args, **(kwargs or {}))


class _Observer(_Reads):
    """Sees every operator, and by its hooks every module."""

    def __init__(self, layers: set[nn.Module], norms: set[nn.Module]) -> None:
        super().__init__(layers | norms)
        self.layers, self.norms = layers, norms
        self.flow = Dataflow()
        # Weak: what is left after the run, somebody keeps.
        self.outputs = WeakTensorKeyDictionary()

    def enter(self, module: nn.Module, args: tuple) -> None:
        self._show_to_hooks(module, args)
        if module in self.norms:
            source = args[0] if args and isinstance(args[0], Tensor) else None
            layer = None if source is None else self.outputs.get(source)
            self.flow.sources[module].add(layer)
        if module in self.norms or module in self.layers:
            self.running.append(module)
        if module in self.norms:
            self.use(args)

    def leave(self, module: Any, args: tuple, out: Any) -> None:
        if module in self.norms or module in self.layers:
            self.running.remove(module)
            if any(
                storage_of(t) not in self.owners for t in own_tensors(module)
            ):
                self.read.add(module)
        if module in self.layers and out.dim() == module.weight.dim():
            # Otherwise its channels are not where a norm has them.
            self.outputs[out] = module
        else:
            self._show_to_hooks(module, out)

    def _show_to_hooks(self, module: nn.Module, values: Any) -> None:
        if has_hooks(module):
            self.flow.seen |= set(self._layers_of(values))

    def _layers_of(self, values: Any) -> Iterator[nn.Module]:
        for value in tree_leaves(values):
            if isinstance(value, Tensor) and value in self.outputs:
                yield self.outputs[value]

    def use(self, values: Any) -> None:
        """Note that the running norm, or something else, reads values."""
        running = self.running[-1] if self.running else None
        for layer in self._layers_of(values):
            norm = running if running in self.norms else None
            self.flow.users[layer].add(norm)

    def finish(self) -> Dataflow:
        gc.collect()
        self.flow.seen |= set(self.outputs.values())
        self.flow.read = self.read
        return self.flow

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.use((args, kwargs))
        return super().__torch_dispatch__(func, types, args, kwargs)


def own_tensors(module: nn.Module) -> Iterator[Tensor]:
    """Yield the parameters and buffers of a module itself."""
    for tensor in (
        *module.parameters(recurse=False),
        *module.buffers(recurse=False),
    ):
        if tensor.layout is torch.strided:
            yield tensor


def storage_of(tensor: Tensor) -> int:
    """Return a number that tensors that share memory have in common."""
    if tensor.layout is not torch.strided:
        return 0
    return tensor.untyped_storage()._cdata
