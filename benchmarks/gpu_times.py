"""Times of the norms on an H100 by a model: no GPU is used.

From compiled kernels, their launches, and the shapes; :data:`ASSUMPTIONS`
says what the times rest on.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from benchmarks import gpu_kernels
from benchmarks.gpu_kernels import PRODUCTS, Launch, Usage

BANDWIDTH = 3.35e6 * 0.88
PROCESSORS = gpu_kernels.PROCESSORS[90]
CLOCK = 1700.0
ISSUED = 4 * CLOCK * PROCESSORS
TENSOR_FLOPS = 400e6
LAUNCH = 2.5
OPERATOR = 2.0
ROUND = 1.0
ROUNDS = 3
WARPS_TO_FILL = 16

ASSUMPTIONS = (
    'H100 SXM: 3.35 TB/s, of which a pass reaches 88 %; 132 processors at '
    '1.7 GHz that issue 4 instructions of a warp a cycle.',
    'A pass takes the longer of its bytes and its instructions. Its '
    'multiply-adds are counted from its shapes, padding included (and for '
    'half precision the bfloat16 products that stand for one); all its '
    'instructions are these over the share of multiply-adds in the loop that '
    'has most of them, and fewer than 16 warps on a processor (by registers, '
    'shared memory and programs) issue proportionally less.',
    'Products in tensor cores run at 400 TFLOP/s where enough warps are '
    'there, fewer proportionally slower.',
    'A launch costs 2.5 us on the GPU, a torch operator between the kernels '
    '2 us in all, a round trip to memory of a small kernel 1 us.',
    'A small kernel makes three such round trips, again for each set of '
    'programs that fit the processors at a time; its products follow one '
    'another, and more programs than processors take turns at them.',
    "BatchNorm reads or writes its input's size 3 times forward and 5 times "
    'backward, in 2 + 2 kernels.',
    'The whole takes the longer of the times of the GPU and of the host, '
    'which is measured on the machine named.',
)


def memory(size: float) -> float:
    """Return microseconds that bytes take."""
    return size / BANDWIDTH


class _Traffic(NamedTuple):
    """Bytes and multiply-adds of a pass over a tensor.

    ``tensors`` says how many times the tensor is read or written,
    ``products`` how many multiply-adds an element takes for each row,
    ``halves`` how many bfloat16 products stand for one of half precision.
    """

    tensors: int
    products: int
    halves: int


PASSES = {
    'moments': _Traffic(1, 1, 4),
    'affine': _Traffic(2, 1, 3),
    'gradients': _Traffic(2, 1, 1),
    'input_gradient': _Traffic(3, 2, 3),
}
CHAINED = {'matrix_forward': (3, 0), 'matrix_backward': (3, 8)}
"""Products of each Newton iteration, forward and backward."""


def modelled(launches: list[Launch], shape: tuple, size: int) -> dict:
    """Return microseconds of the kernels of a forward and backward.

    Args:
        launches: all of them, in order.
        shape: of the input.
        size: bytes of an element.
    """
    passes = small = 0.0
    affine = 0
    for launch in launches:
        name = launch.kernel.partition('_')[2]
        found = gpu_kernels.usage(launch.compiled)
        if name == 'affine':
            affine += 1
            name = 'affine' if affine == 1 else 'input_gradient'
        if name in PASSES:
            passes += _pass(launch, found, PASSES[name], shape, size)
        else:
            small += _small(launch, found)
    return {'passes': passes, 'small': small}


def _rows(launch: Launch) -> int:
    return launch.options.get('PADDED', 1)


def _pass(
    launch: Launch, found: Usage, traffic: _Traffic, shape: tuple, size: int
) -> float:
    elements = math.prod(shape)
    moved = memory(traffic.tensors * elements * size)
    rows = _rows(launch)
    padding = rows / launch.options.get('ROWS', rows)
    products = elements * padding * rows * traffic.products
    if found.tensor:
        products *= traffic.halves
    return max(moved, _issue(launch, found, products)) + LAUNCH


def _issue(launch: Launch, found: Usage, products: float) -> float:
    """Return microseconds that the instructions of a pass take."""
    mix = found.mix
    if found.tensor:
        multiplies = sum(mix[name] for name in PRODUCTS[2:])
        each = found.tensor
    else:
        multiplies = mix['FFMA'] + 2 * mix['FFMA2']
        each = 32
    # Without products in the loop, additions and conversions do the work.
    share = multiplies / mix.total() if multiplies else 0.25
    by_registers = 65536 // (32 * max(found.registers, 1))
    by_programs = launch.programs * found.warps / PROCESSORS
    by_shared = 228e3 // max(found.shared, 1) * found.warps
    warps = min(64, by_registers, by_programs, by_shared)
    filled = min(1.0, warps / WARPS_TO_FILL)
    issue = products / each / share / (ISSUED * filled)
    if found.tensor:
        return max(issue, 2 * products / (TENSOR_FLOPS * filled))
    return issue


def _small(launch: Launch, found: Usage) -> float:
    """Return microseconds of a kernel between the passes."""
    per_processor = min(
        64 // found.warps,
        65536 // (32 * found.warps * max(found.registers, 1)),
        int(228e3) // max(found.shared, 1),
    )
    resident = PROCESSORS * max(1, per_processor)
    waiting = ROUNDS * ROUND * -(-launch.programs // resident)
    chain = CHAINED.get(launch.kernel)
    if chain is None:
        return LAUNCH + waiting
    forward, backward = chain
    products = (launch.options['T'] - 1) * (forward + backward)
    issue = min(4, found.warps) * CLOCK
    multiplies = found.mix['FFMA'] + 2 * found.mix['FFMA2']
    share = multiplies / found.mix.total() if multiplies else 0.25
    each = _rows(launch) ** 3 / 32 / share / issue
    turns = -(-launch.programs // PROCESSORS)
    return LAUNCH + waiting + turns * products * each


def batch_norm(shape: tuple, size: int) -> float:
    """Return the microseconds of BatchNorm, forward and backward."""
    return memory(8 * math.prod(shape) * size) + 4 * LAUNCH
