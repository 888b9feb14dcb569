r"""Multiply-adds and parameters of a network, those of its norms apart.

:class:`torch.utils.flop_counter.FlopCounterMode` counts the products of a
run, and what it leaves out here as mmengine's complexity analysis has it:
torch's norms, average pooling and resizing; no other sums and element-wise
operators. One multiply-add is 1. A norm of this package counts by formula,
whatever its backend executes. With G groups of c rows that have M elements
each (C H W = G c M),

============================ ============================================
step                         multiply-adds of one image
============================ ============================================
covariance (X-m)(X-m)^T      G c² M; for SN (c = 1) its variances
Newton iterations (``itn``)  3 (T - 1) G c³; the first is a sum
eigenvectors (``zca``)       5.5 G c³
coefficient b = beta - A m   G c²
output A X + b               G c² M
============================ ============================================

which is c multiply-adds an element for the statistics and c for the output.
BW and ItN, whose matrices are fixed, execute the last two rows alone. Which
statistics SW mixes makes no difference here, since all of them come from the
same moments. The covariance counts as the whole product that it is in
PyTorch and in the papers; the C++ kernels compute half of it, as it is
symmetric. BatchNorm counts 2 an element.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from ..config.building import build_model
from ..norms.base import WhiteningNorm
from ..utils.module_state import restored_afterwards
from ..utils.terminal import add_row, fold_nothing_in_files, make_table
from . import list_norms
from .example_inputs import ExampleRun, run_example


@dataclass(frozen=True)
class NormCost:
    """What all norms of one type cost.

    Attributes:
        type: as a ``norm_cfg`` names it.
        layers: number of norms.
        parameters: number of learned values.
        flops: multiply-adds of one image.
    """

    type: str
    layers: int
    parameters: int
    flops: int


@dataclass(frozen=True)
class Complexity:
    """The parameters and multiply-adds of a network, and its norms' share.

    Multiply-adds are those of one image; the share is by type of norm.
    """

    parameters: int
    flops: int
    norms: list[NormCost]


def count_flops(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the multiply-adds of one image in evaluation mode.

    Args:
        model: any network of images, also a whole detector or segmentor.
        input_shape: of the image, (C, H, W).

    Examples::

        >>> from torchvision.models import resnet50
        >>> count_flops(resnet50(), (3, 224, 224))
        4111512576
    """
    return analyze(model, input_shape).flops


def analyze(model: nn.Module, input_shape: Sequence[int]) -> Complexity:
    """Count multiply-adds and parameters of a network and of its norms.

    The network runs once, without post-processing where its toolkit knows
    how. The second stage of a detector counts for as many proposals as its
    weights make of a random image; Fast R-CNN, whose proposals come from
    elsewhere, for one.

    Args:
        model: any network of images, left as it is.
        input_shape: of the image, (C, H, W).

    Raises:
        ExampleError: if the network does not run on such an image.
    """
    with restored_afterwards(model):
        rows = list_norms(model)
        model.train(False)
        names = [row.name for row in rows]
        total, flops = run_example(
            model, [input_shape], partial(_count, model, names)
        )
    norms: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        parameters = _num_parameters(model.get_submodule(row.name))
        norms.setdefault(row.type, []).append((parameters, flops[row.name]))
    return Complexity(
        _num_parameters(model),
        total,
        [
            NormCost(kind, len(costs), *map(sum, zip(*costs)))
            for kind, costs in norms.items()
        ],
    )


def print_complexity(
    cfg: Config, image_size: tuple[int, int], console: Console
) -> None:
    """Print what the model of a config costs, a line for each norm type.

    Args:
        cfg: the whole config.
        image_size: (H, W) of the image.
        console: where to print it.

    Raises:
        ConfigError: if the model cannot be built or takes no such image.
    """
    model = build_model(cfg)
    found = analyze(model, (3, *image_size))
    fold_nothing_in_files(console)
    console.print(_table(found))


def _table(found: Complexity) -> Table:
    numbers = ('layers', 'parameters', 'G multiply-adds', '% of these')
    table = make_table('norm', *numbers, numbers=numbers)
    other = NormCost(
        'all else',
        0,
        found.parameters - sum(norm.parameters for norm in found.norms),
        found.flops - sum(norm.flops for norm in found.norms),
    )
    total = NormCost('total', 0, found.parameters, found.flops)
    for cost in (*found.norms, other, total):
        share = cost.flops / found.flops if found.flops else 0
        add_row(
            table,
            cost.type,
            cost.layers or '',
            f'{cost.parameters:,}',
            f'{cost.flops / 1e9:.4f}',
            f'{100 * share:.2f}',
        )
    return table


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _count(
    model: nn.Module, names: Sequence[str], run: ExampleRun
) -> tuple[int, dict[str, int]]:
    """Count the multiply-adds of a run, and of its norms by name."""
    counter = FlopCounterMode(display=False, custom_mapping=_FORMULAS)
    flops = dict.fromkeys(names, 0)
    by_formula = 0  # beyond what the counter saw
    started: list[int] = []

    def enter(norm: nn.Module, args: tuple) -> None:
        started.append(counter.get_total_flops())

    def leave(name: str, norm: nn.Module, args: tuple, out: Tensor) -> None:
        nonlocal by_formula
        seen = counter.get_total_flops() - started.pop()
        if isinstance(norm, WhiteningNorm):
            cost = 2 * norm_flops(norm, out.shape)
            by_formula += cost - seen
            seen = cost
        flops[name] += seen // 2

    with ExitStack() as stack, torch.no_grad():
        for name in names:
            norm = model.get_submodule(name)
            for handle in (
                norm.register_forward_pre_hook(enter),
                norm.register_forward_hook(partial(leave, name)),
            ):
                stack.callback(handle.remove)
        stack.enter_context(_without_fused_attention())
        stack.enter_context(_without_gradients(model))
        stack.enter_context(counter)
        run.forward()
    return (counter.get_total_flops() + by_formula) // 2, flops


def norm_flops(norm: WhiteningNorm, shape: Sequence[int]) -> int:
    """Return the multiply-adds of a norm of this package in evaluation.

    Args:
        norm: the norm.
        shape: of its input, (N, C, *).
    """
    spec, elements = norm.spec, prod(shape)
    rows, slots = spec.num_rows, shape[1] // spec.num_rows
    count = rows * elements  # output
    matrices = shape[0] if spec.uses_samples else 1
    if spec.uses_samples:
        count += rows * elements  # covariance
    if rows > 1 and spec.running != 'matrix':
        groups = 1 if spec.across_groups else slots
        products = _PRODUCTS[spec.whitening]
        products = 3 * (spec.T - 1) if products is None else products
        count += round(products * matrices * groups * rows**3)
    return count + matrices * slots * rows**2  # b


# Products of c × c matrices in each whitening. Eigenvectors take 9 c³
# operations by the symmetric QR algorithm, half of them products (Golub and
# Van Loan, Matrix Computations, 8.3). None: as many as T asks for.
_PRODUCTS = {'itn': None, 'zca': 4.5 + 1, 'pca': 4.5}


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """Turn off torch's fused attention.

    In evaluation mode torch's transformer layers run as a single operator,
    whose products no counter sees.
    """
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    """Treat the parameters of a model as constants.

    Torch's counter also waits for the backward of modules that are given
    a parameter, as decoders are given queries, and fails without one.
    """
    learned = [p for p in model.parameters() if p.requires_grad]
    try:
        for parameter in learned:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)


def _batch_norm(
    x: Sequence[int],
    weight: Any,
    bias: Any,
    mean: Any,
    var: Any,
    training: bool = False,
    *others: Any,
    **kwargs: Any,
) -> int:
    affine = weight is not None
    return 2 * prod(x) * ((4 if training else 1) + affine)


def _running_norm(
    x: Sequence[int], weight: Any, *args: Any, **kwargs: Any
) -> int:
    return 2 * prod(x) * (1 + (weight is not None))


def _layer_norm(
    x: Sequence[int], shape: Any, weight: Any, *args: Any, **kwargs: Any
) -> int:
    return 2 * prod(x) * (4 + (weight is not None))


def _group_norm(
    x: Sequence[int], weight: Any, *args: Any, **kwargs: Any
) -> int:
    return 2 * prod(x) * (4 + (weight is not None))


def _per_input(x: Sequence[int], *args: Any, **kwargs: Any) -> int:
    return 2 * prod(x)


def _per_output(times: int) -> Any:
    def formula(*args: Any, out_shape: Sequence[int], **kwargs: Any) -> int:
        return 2 * times * prod(out_shape)

    return formula


def _in_place_product(
    out: Any, left: Sequence[int], right: Sequence[int], **kwargs: Any
) -> int:
    return 2 * prod(left) * right[-1]


def _attention(
    query: Any, key: Any, value: Any, *args: Any, **kwargs: Any
) -> int:
    return sdpa_flop_count(query, key, value)


aten = torch.ops.aten
# Operations, two to a multiply-add, of what torch's counter leaves out: the
# numbers of mmengine's. Deformable convolutions multiply in place.
_FORMULAS = {
    aten.native_batch_norm: _batch_norm,
    aten.cudnn_batch_norm: _batch_norm,
    aten.miopen_batch_norm: _batch_norm,
    aten._native_batch_norm_legit_no_training: _running_norm,
    aten.native_layer_norm: _layer_norm,
    aten.native_group_norm: _group_norm,
    aten.mean: _per_input,
    aten._adaptive_avg_pool2d: _per_input,
    aten.upsample_nearest2d: _per_output(1),
    aten.upsample_bilinear2d: _per_output(4),
    aten.grid_sampler_2d: _per_output(4),
    aten.addmm_: _in_place_product,
    aten.baddbmm_: _in_place_product,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}
