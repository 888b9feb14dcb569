r"""Multiply-adds and parameters of a network, those of its norms apart.

mmengine's complexity analysis counts the products of a traced model, one
multiply-add as 1, and leaves out sums and element-wise operators. Of a norm
of this package it sees what evaluation executes. With G groups of c rows that
have M elements each (C H W = G c M),

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
symmetric. BatchNorm counts 2 an element, as mmengine has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod

import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.analysis.jit_handles import Handle, get_shape
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from torch import nn

from ..config.building import build_model
from ..config.errors import ConfigError
from . import list_norms
from .example_inputs import one_image


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
    """What a network costs: parameters, multiply-adds of one image, and the
    share of its norms in both, by their types."""

    parameters: int
    flops: int
    norms: list[NormCost]


def count_flops(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the multiply-adds of one image in evaluation mode.

    Args:
        model: any network of images, also a whole detector or segmentor.
        input_shape: of the image, (C, H, W).

    Examples::

        >>> count_flops(torchvision.models.resnet50(), (3, 224, 224))
        4111512576
    """
    return analyze(model, input_shape).flops


def analyze(model: nn.Module, input_shape: Sequence[int]) -> Complexity:
    """Count multiply-adds and parameters of a network and of its norms.

    The network runs once, without post-processing. The second stage of a
    detector counts for as many proposals as its weights make of a random
    image.

    Args:
        model: any network of images, left as it is.
        input_shape: of the image, (C, H, W).
    """
    norms: dict[str, list[tuple[int, int]]] = {}
    with _evaluation_mode(model), torch.no_grad():
        flops = _flops_by_module(model, input_shape)
        for row in list_norms(model):
            parameters = _num_parameters(model.get_submodule(row.name))
            cost = parameters, flops[row.name]
            norms.setdefault(row.type, []).append(cost)
    return Complexity(
        _num_parameters(model),
        flops[''],
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
    try:
        found = analyze(model, (3, *image_size))
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f'the model takes no image of {image_size[0]}×{image_size[1]}: '
            f'{" ".join(str(error).split())}'
        ) from error
    console.print(_table(found))


def _table(found: Complexity) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column('norm')
    for name in ('layers', 'parameters', 'G multiply-adds', '% of these'):
        table.add_column(name, justify='right')
    other = NormCost(
        'all else',
        0,
        found.parameters - sum(norm.parameters for norm in found.norms),
        found.flops - sum(norm.flops for norm in found.norms),
    )
    total = NormCost('total', 0, found.parameters, found.flops)
    for cost in (*found.norms, other, total):
        table.add_row(
            cost.type,
            str(cost.layers or ''),
            f'{cost.parameters:,}',
            f'{cost.flops / 1e9:.4f}',
            f'{100 * cost.flops / found.flops:.2f}',
        )
    return table


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode, afterwards each as it was."""
    modes = {module: module.training for module in model.modules()}
    model.train(False)
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _flops_by_module(
    model: nn.Module, input_shape: Sequence[int]
) -> dict[str, int]:
    args, kwargs = one_image(model, input_shape)
    with _bound(model, kwargs):
        analyzer = FlopAnalyzer(model, args).set_op_handle(**_HANDLES)
        analyzer.unsupported_ops_warnings(False)
        analyzer.uncalled_modules_warnings(False)
        return analyzer.by_module()


@contextmanager
def _bound(model: nn.Module, kwargs: dict) -> Iterator[None]:
    """Gives keyword arguments to ``model``: the tracer takes none."""
    model.forward = partial(model.forward, **kwargs)
    try:
        yield
    finally:
        del model.forward


def _baddbmm(inputs: list, outputs: list) -> int:
    _, left, right = map(get_shape, inputs[:3])
    return prod(left) * right[-1]


def _addcmul(inputs: list, outputs: list) -> int:
    return prod(get_shape(outputs[0]))


def _eigh(inputs: list, outputs: list) -> int:
    """9 n³ operations, half of them products: the symmetric QR algorithm
    with eigenvectors (Golub and Van Loan, Matrix Computations, 8.3)."""
    shape = get_shape(inputs[0])
    return round(4.5 * prod(shape) * shape[-1])


# Products in these norms that mmengine does not know.
_HANDLES: dict[str, Handle] = {
    'aten::baddbmm': _baddbmm,
    'aten::addcmul': _addcmul,
    'aten::linalg_eigh': _eigh,
}
