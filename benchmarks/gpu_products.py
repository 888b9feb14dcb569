"""Errors of the ways to multiply in float32 on a GPU, against float64.

Operands are rounded as each way rounds them, and multiplied in float64: what
is left is the error of the operands, without that of summation, which all
share. One product is a covariance, the other the whitening map.

::

    python -m benchmarks.gpu_products
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from whiten_plugins.utils.files import write_texts

RESULTS = Path(__file__).parent / 'results' / 'gpu_products.json'
ROWS = (16, 64)
MEANS = (0, 10, 100)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ELEMENTS = 8192
SEEDS = 5

RATES = {'ieee': 60.0, 'tf32': 400.0, 'bf16': 800.0}
"""TFLOP/s of an H100 SXM: about nine tenths of what its maker states."""


def tf32(x: Tensor) -> Tensor:
    """Round float32 to the 10 bits of tf32."""
    bits = (x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF
    return bits.view(torch.float32)


def bf16(x: Tensor) -> Tensor:
    """Round float32 to bfloat16."""
    return x.bfloat16().float()


def terms(x: Tensor, rounded: Callable, count: int) -> list[Tensor]:
    """Return ``count`` rounded numbers whose sum is nearly ``x``."""
    found = []
    for _ in range(count):
        found.append(rounded(x))
        x = x - found[-1]
    return found


def multiply(
    a: Tensor, b: Tensor, rounded: Callable, counts: tuple, kept: int
) -> Tensor:
    """Multiply sums of terms; ``kept`` bounds the places of both terms."""
    pairs = product(
        enumerate(terms(a, rounded, counts[0])),
        enumerate(terms(b, rounded, counts[1])),
    )
    parts = (
        left.double() @ right.double()
        for (i, left), (j, right) in pairs
        if i + j <= kept
    )
    return sum(parts, torch.zeros((), dtype=torch.float64))


WAYS: dict[str, tuple[str, int, Callable, tuple[int, int], int]] = {
    'ieee': ('ieee', 1, lambda x: x, (1, 1), 0),
    'tf32': ('tf32', 1, tf32, (1, 1), 0),
    'tf32x3': ('tf32', 3, tf32, (2, 2), 1),
    'bf16x3': ('bf16', 3, bf16, (2, 2), 1),
    'bf16x4': ('bf16', 4, bf16, (2, 2), 2),
    'bf16 3+1': ('bf16', 3, bf16, (3, 1), 2),
    'bf16 3+2': ('bf16', 5, bf16, (3, 2), 2),
}
"""Unit, products, rounding, terms of both operands, and the largest sum of
their places."""


def errors(rows: int, mean: float, dtype: torch.dtype, seed: int) -> dict:
    """Return the errors of a covariance and of a map, by way.

    They are parts of the largest value; the map's is of W x - W m.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, ELEMENTS, generator=generator)
    x = (x + 0.5 * x.roll(1, 0)) * torch.linspace(0.5, 2, rows)[:, None]
    x = (x + mean).to(dtype).float()
    centred = x - x[:, :64].mean(1, keepdim=True)
    cov = centred.double() @ centred.double().mT
    values, vectors = torch.linalg.eigh(torch.cov(x.double(), correction=0))
    W = (vectors * values.rsqrt() @ vectors.mT).float()
    y = W.double() @ x.double()
    scale = (y - y.mean(1, keepdim=True)).abs().max()
    found = {}
    for name, (_, _, rounded, counts, kept) in WAYS.items():
        gram = multiply(centred, centred.mT, rounded, counts, kept)
        mapped = multiply(W, x, rounded, counts, kept)
        found[name] = (
            ((gram - cov).abs().max() / cov.abs().max()).item(),
            ((mapped - y).abs().max() / scale).item(),
        )
    return found


def measure() -> list[dict]:
    """Return the largest error over seeds, and a modelled cost.

    The cost is in picoseconds for each element and row of a product.
    """
    rows = []
    for count, mean, dtype in product(ROWS, MEANS, DTYPES):
        found = [errors(count, mean, dtype, seed) for seed in range(SEEDS)]
        for name, (unit, products, *_) in WAYS.items():
            rows.append(
                {
                    'rows': count,
                    'mean': mean,
                    'dtype': str(dtype).removeprefix('torch.'),
                    'way': name,
                    'covariance': max(one[name][0] for one in found),
                    'map': max(one[name][1] for one in found),
                    'cost': 2 * products / RATES[unit],
                }
            )
    return rows


def main() -> None:
    """Measure, write and print the figures."""
    found = measure()
    text = json.dumps({'seeds': SEEDS, 'errors': found}, indent=1) + '\n'
    write_texts({RESULTS: text})
    for row in found:
        print(
            *(f'{v:.0e}' if isinstance(v, float) else v for v in row.values())
        )


if __name__ == '__main__':
    main()
