"""The compiled kernels as Python functions."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Iterable
from ctypes import POINTER, c_double, c_int, c_int64, c_void_p

import torch
from torch import Tensor
from torch.nn import Parameter

from ...spec import STATISTICS, Moments, Running
from ...stage import Parameters
from .build import BuildError, library


def readable(*tensors: Tensor | None) -> bool:
    """Return whether the kernels can access ``tensors`` by address.

    They can if the tensors are float32 in CPU memory that holds their
    values as they are.
    """
    return all(
        v is None
        or (
            v.dtype == torch.float32
            and v.is_cpu
            and type(v) in (Tensor, Parameter)  # FakeTensor has no memory
            and not v.is_neg()
        )
        for v in tensors
    )


def addresses(tensors: Iterable[Tensor | None]) -> list[int | None]:
    return [None if v is None else v.data_ptr() for v in tensors]


class ViewStruct(ctypes.Structure):
    """Address and strides of a (samples, entries, rows, size) tensor."""

    _fields_ = (('data', c_void_p), ('strides', c_int64 * 4))


class ShapeStruct(ctypes.Structure):
    """Its sizes."""

    _fields_ = (('sizes', c_int64 * 4),)


class MomentsStruct(ctypes.Structure):
    """Addresses of :class:`~whiten_plugins.ops.spec.Moments`."""

    _fields_ = (('mean', c_void_p), ('cov', c_void_p))

    @classmethod
    def at(cls, moments: Moments | Running | None) -> MomentsStruct:
        return cls(*addresses(moments[:2] if moments else ()))


class ParametersStruct(ctypes.Structure):
    """Addresses of :class:`~whiten_plugins.ops.stage.Parameters`."""

    _fields_ = (
        ('weight', c_void_p),
        ('bias', c_void_p),
        ('mean_logits', c_void_p),
        ('cov_logits', c_void_p),
    )

    @classmethod
    def at(cls, parameters: Parameters) -> ParametersStruct:
        return cls(*addresses(parameters))


class StageStruct(ctypes.Structure):
    """The small-matrix stage of one call."""

    _fields_ = (
        ('samples', c_int64),
        ('groups', c_int64),
        ('rows', c_int64),
        ('slots', c_int64),
        ('ratio_groups', c_int64),
        ('num_logits', c_int64),
        ('position', c_int64 * len(STATISTICS)),
        ('steps', c_int64),
        ('hard', c_int64),
        ('given', c_int64),
        ('eps', c_double),
        ('sample', MomentsStruct),
        ('batch', MomentsStruct),
        ('parameters', ParametersStruct),
    )


class NormStruct(ctypes.Structure):
    """What calls of one norm on inputs of one shape agree on."""

    _fields_ = (
        ('samples', c_int64),
        ('stride', c_int64),
        ('length', c_int64),
        ('own', c_int64),
        ('tracks', c_int64),
        ('keeps_matrix', c_int64),
        ('stage', StageStruct),
    )


_TYPES = {
    'norm': POINTER(NormStruct),
    'address': c_void_p,
    'size': c_int64,
    'real': c_double,
    'threads': c_int,
    'flag': c_int,
    'view': POINTER(ViewStruct),
    'shape': POINTER(ShapeStruct),
    'stage': POINTER(StageStruct),
    'moments': POINTER(MomentsStruct),
    'parameters': POINTER(ParametersStruct),
}
_SIGNATURES = {
    'normalize': f'norm {"address " * 9} real address address threads',
    'normalize_backward': f'norm {"address " * 14} threads',
    'moments': 'view shape flag address address threads',
    'affine': 'view view view view shape threads',
    'affine_gradients': 'view view shape flag address address threads',
    'input_gradient': 'view view view view view view shape threads',
    'transform': 'stage address address address threads',
    'transform_backward': (
        'stage address address address moments moments parameters threads'
    ),
    'merge_samples': 'moments size size size moments',
    'moments_backward': 'moments moments size size real address address',
    'update_running': 'moments size size real moments address',
}


@functools.cache
def kernels() -> ctypes.CDLL:
    """Return the library; compile it at the first call if needed.

    Raises:
        BuildError: if it cannot be compiled.
    """
    path = library()
    try:
        found = ctypes.CDLL(str(path))
    except OSError as error:
        raise BuildError(f'{path} cannot be loaded: {error}') from error
    for name, signature in _SIGNATURES.items():
        function = getattr(found, name)
        function.argtypes = [_TYPES[name] for name in signature.split()]
        function.restype = None
    os.register_at_fork(after_in_child=_use_one_thread)
    return found


def _use_one_thread() -> None:
    """Have a forked process do without the threads that it does not have.

    OpenMP, torch's as well as that of the kernels, would wait for them
    forever.
    """
    torch.set_num_threads(1)
