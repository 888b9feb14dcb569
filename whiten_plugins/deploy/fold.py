"""Merges norms that evaluation leaves fixed into the layers before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._pytree import tree_leaves

from ..analysis.example_inputs import (
    IMAGE_SIZE,
    ExampleError,
    ExampleRun,
    run_example,
)
from ..norms.base import WhiteningNorm
from ..placement.norm_types import num_channels
from ..utils.module_state import copy_model
from .dataflow import (
    Dataflow,
    observed_dataflow,
    own_tensors,
    storage_of,
    symbolic_dataflow,
)
from .fixed_map import FoldError, fixed_map
from .layers import add_bias, check_layer, fold_into, is_layer


@dataclass
class FoldReport:
    """What :func:`fold_norms` did.

    Attributes:
        folded: the layers that took in each norm, by its name.
        kept: why the others stay, by their names.
    """

    folded: dict[str, list[str]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)


def fold_norms(
    model: nn.Module,
    inplace: bool = False,
    example_inputs: Sequence[Any] | None = None,
    input_shapes: Sequence[Sequence[int]] = ((3, *IMAGE_SIZE),),
) -> nn.Module:
    r"""Merge norms into the convolutions and linear layers before them.

    A norm that is y = A x + b in evaluation, after a layer that computes
    W x + b', leaves one that computes A W x + (A b' + b): BatchNorm,
    BW and ItN (A is block-diagonal), SN and SW that chose the batch's
    statistics with ``hard=True``. An identity takes its place; whatever
    follows, such as an in-place ReLU, stays.

    Which layer is before a norm is found by tracing the network: the layer's
    output must go to the norm, and nowhere else, in every call. Norms and
    layers that are called several times or registered under several names
    are folded if that holds for all calls. A norm stays where anything else
    could see or change the layer: hooks (pruning), parametrizations, weights
    that are shared or read elsewhere, a ``forward`` of its own.

    Args:
        model: a network in evaluation mode, also a whole detector or
            segmentor.
        inplace: change ``model`` instead of a copy.
        example_inputs: positional arguments of ``model``, for a network that
            :mod:`torch.fx` cannot trace and that takes something else than
            an image.
        input_shapes: (C, H, W) of the image that shows the way through a
            network fx cannot trace; the next is taken where it fails.

    Returns:
        nn.Module: The folded network. Its attribute ``fold_report`` is a
        :class:`FoldReport`: what was folded, and why the rest was not.

    Raises:
        ValueError: if ``model`` is in training mode or cannot be traced.
    """
    if model.training:
        raise ValueError(
            'fold_norms needs a model in evaluation mode: call model.eval()'
        )
    model = model if inplace else copy_model(model)
    report = FoldReport()
    while True:  # a norm after a folded norm follows the layer then
        plan = _plan(model, example_inputs, input_shapes)
        report.kept = plan.kept
        if not plan.folded:
            break
        for name, layers in plan.folded.items():
            fixed = fixed_map(model.get_submodule(name))
            for layer in layers:
                fold_into(model.get_submodule(layer), fixed)
        remove_norms(model, plan.folded)
        report.folded |= plan.folded
    model.fold_report = report  # type: ignore[assignment]
    return model


def remove_norms(
    model: nn.Module, folded: Mapping[str, Sequence[str]]
) -> None:
    """Give a network the modules that it has after folding, in place.

    Args:
        model: the network.
        folded: names of norms, which become identities, and of the layers
            that took in each, which get a bias.
    """
    for layers in folded.values():
        for name in layers:
            add_bias(model.get_submodule(name))
    gone = {model.get_submodule(name) for name in folded}
    for parent in list(model.modules()):
        for key, child in list(parent._modules.items()):
            if child in gone:
                setattr(parent, key, nn.Identity().train(child.training))


def _plan(
    model: nn.Module,
    example: Sequence[Any] | None,
    shapes: Sequence[Sequence[int]],
) -> FoldReport:
    """Find what can be folded in the network as it stands."""
    names = {module: name for name, module in model.named_modules()}
    layers = {module for module in names if is_layer(module)}
    norms = [module for module in names if _is_norm(module)]
    flow = _dataflow(model, layers, set(norms), example, shapes)
    owners = Counter(
        storage_of(tensor)
        for module in names
        for tensor in own_tensors(module)
    )
    held = {
        leaf
        for module in names
        for key, value in vars(module).items()
        if key != '_modules'
        for leaf in tree_leaves(value)
        if isinstance(leaf, nn.Module)
    }
    plan = FoldReport()
    for norm in norms:
        try:
            if norm in held:
                raise FoldError(
                    'is also in an attribute that is no registered module'
                )
            found = _layers_before(norm, flow, owners)
        except FoldError as reason:
            plan.kept[names[norm]] = str(reason)
        else:
            plan.folded[names[norm]] = sorted(names[layer] for layer in found)
    return plan


def _is_norm(module: nn.Module) -> bool:
    kinds = (nn.LayerNorm, _NormBase, WhiteningNorm)
    return isinstance(module, kinds) or num_channels(module) is not None


def _dataflow(
    model: nn.Module,
    layers: set[nn.Module],
    norms: set[nn.Module],
    example: Sequence[Any] | None,
    shapes: Sequence[Sequence[int]],
) -> Dataflow:
    if example is not None:
        return observed_dataflow(lambda: model(*example), layers, norms)
    try:
        return symbolic_dataflow(model, layers, norms)
    except Exception:  # any line of a network may fail on what has no value
        pass

    def watch(run: ExampleRun) -> Dataflow:
        return observed_dataflow(run.forward, layers, norms)

    try:
        return run_example(model, shapes, watch)
    except ExampleError as error:
        raise ExampleError(
            f'{type(model).__name__} cannot be traced: torch.fx cannot follow '
            f'it, and {error}; pass example_inputs or input_shapes'
        ) from error


def _layers_before(
    norm: nn.Module, flow: Dataflow, owners: Counter
) -> set[nn.Module]:
    """Return the layers that can absorb a norm.

    Args:
        norm: the norm.
        flow: the edges of the network.
        owners: number of parameters and buffers in a storage.

    Raises:
        FoldError: if there are none.
    """
    fixed = fixed_map(norm)
    if norm in flow.read:
        raise FoldError('has weights that something else reads or sets')
    layers = flow.sources.get(norm)
    if not layers:
        raise FoldError('is not called in evaluation')
    found = {layer for layer in layers if layer is not None}
    if None in layers:
        raise FoldError(
            'does not directly follow a plain convolution or linear layer'
        )
    for layer in found:
        check_layer(layer, fixed)
        if flow.users[layer] != {norm}:
            raise FoldError('shares the output of the layer before it')
        if any(owners[storage_of(t)] > 1 for t in own_tensors(layer)):
            raise FoldError('follows a layer that shares its parameters')
        if layer in flow.read:
            raise FoldError(
                'follows a layer whose weights something else reads or sets'
            )
        if layer in flow.seen:
            raise FoldError(
                'follows a layer whose output a hook sees or an attribute '
                'keeps'
            )
    return found
