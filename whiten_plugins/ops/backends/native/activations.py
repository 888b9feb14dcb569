"""The four passes over activations, in C++.

Arguments and results are those of :mod:`..torch.activations`.
"""

from __future__ import annotations

from ctypes import byref, c_int64
from typing import Any

import torch
from torch import Tensor

from ...spec import Moments
from ..torch import activations as pytorch
from .library import ShapeStruct, ViewStruct, kernels, readable


def _view(x: Tensor) -> Any:
    return byref(ViewStruct(x.data_ptr(), (c_int64 * 4)(*x.stride())))


def _coefficients(v: Tensor | None, x: Tensor):
    """Return a view of ``v`` for every sample and entry of ``x``.

    The kernels do not use the last stride of a vector.
    """
    if v is None:
        return None
    v = v.expand(*x.shape[:2], *v.shape[2:])
    return _view(v if v.dim() == 4 else v.unsqueeze(-1))


def _shape(x: Tensor):
    return byref(ShapeStruct((c_int64 * 4)(*x.shape)))


def _serves(*views: Tensor, coefficients: tuple[Tensor | None, ...] = ()):
    return readable(*views, *coefficients) and all(
        v.stride(-1) == 1 or v.shape[-1] == 1 for v in views
    )


def moments(x: Tensor, shared: bool = False) -> Moments:
    if not _serves(x):
        return pytorch.moments(x, shared)
    samples, groups, rows, _ = x.shape
    mean = x.new_empty(1 if shared else samples, groups, rows)
    cov = x.new_empty(*mean.shape, rows)
    kernels().moments(
        _view(x),
        _shape(x),
        shared,
        mean.data_ptr(),
        cov.data_ptr(),
        torch.get_num_threads(),
    )
    return Moments(mean, cov)


def affine(x: Tensor, A: Tensor, b: Tensor, out: Tensor) -> None:
    if not _serves(x, out, coefficients=(A, b)):
        return pytorch.affine(x, A, b, out)
    kernels().affine(
        _view(x),
        _coefficients(A, x),
        _coefficients(b, x),
        _view(out),
        _shape(x),
        torch.get_num_threads(),
    )


def affine_gradients(
    grad: Tensor, x: Tensor, shared: bool = False
) -> tuple[Tensor, Tensor]:
    if not _serves(grad, x):
        return pytorch.affine_gradients(grad, x, shared)
    samples, entries, rows, _ = x.shape
    db = x.new_empty(1 if shared else samples, entries, rows)
    dA = x.new_empty(*db.shape, rows)
    kernels().affine_gradients(
        _view(grad),
        _view(x),
        _shape(x),
        shared,
        dA.data_ptr(),
        db.data_ptr(),
        torch.get_num_threads(),
    )
    return dA, db


def input_gradient(
    grad: Tensor,
    x: Tensor,
    A: Tensor,
    B: Tensor | None,
    d: Tensor | None,
    out: Tensor,
) -> None:
    if not _serves(grad, x, out, coefficients=(A, B, d)):
        return pytorch.input_gradient(grad, x, A, B, d, out)
    kernels().input_gradient(
        _view(grad),
        _view(x),
        _coefficients(A, x),
        _coefficients(B, x),
        _coefficients(d, x),
        _view(out),
        _shape(x),
        torch.get_num_threads(),
    )
