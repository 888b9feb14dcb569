"""The Triton kernels without a GPU: compiled, counted and read, never run.

Norms compute on CPU tensors whose values are of no account, while every
launch is recorded instead of made (:func:`recording`). The compiled code
tells registers, shared memory, spills and instructions (:func:`usage`).
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

from whiten_plugins.ops.backends.settings import VARIABLE

# Before TRITON_INTERPRET is ever set, which decides what kernels are.
from whiten_plugins.ops.backends.triton import tuning

PROCESSORS = {75: 40, 80: 108, 86: 84, 90: 132, 100: 148, 120: 188}
"""Multiprocessors of T4, A100, RTX 3090's kind, H100, B200, RTX 6000 Pro."""

VIEWS = frozenset(
    'view _unsafe_view expand permute transpose t unsqueeze squeeze split '
    'split_with_sizes slice select as_strided alias detach diagonal unbind '
    'reshape _reshape_alias unflatten view_as unfold lift_fresh'.split()
)
ALLOCATIONS = frozenset(
    'empty empty_like new_empty empty_strided new_empty_strided'.split()
)
ON_THE_HOST = frozenset(('promote_types', 'scalar_tensor'))


class _Driver:
    """As much of Triton's driver as compiling takes.

    Args:
        capability: of the GPU, as in ``sm_90``.
        device: its name; what was compiled is kept by it.
    """

    def __init__(self, capability: int, device: str) -> None:
        self.capability, self.device = capability, device

    def get_current_target(self) -> GPUTarget:
        return GPUTarget('cuda', self.capability, 32)

    def get_current_device(self) -> str:
        return self.device

    def get_current_stream(self, device: str) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device('cpu')


@dataclass
class Launch:
    """A launch that was not made, and its kernel if that was compiled."""

    kernel: str
    programs: int
    options: dict[str, Any]
    compiled: Any


@contextmanager
def recording(capability: int | None = None) -> Iterator[list[Launch]]:
    """Serve CPU tensors by the kernels, which never run.

    Args:
        capability: of the GPU to compile for, as in ``sm_90``. None to
            compile nothing: :attr:`Launch.compiled` then is one object for
            each compilation that there would have been.

    Yields:
        The launches so far.
    """
    launches: list[Launch] = []
    run = JITFunction.run

    def record(self, *args, grid, warmup, **options):
        compiled = run(self, *args, grid=grid, warmup=True, **options)
        launches.append(Launch(self.__name__, grid[0], options, compiled))
        return compiled

    def compile_nothing(self, key, signature, device, *args):
        kernel = self.device_caches[device][0][key] = object()
        return kernel

    with ExitStack() as stack:
        device = f'sm_{capability}'
        if capability is None:
            device = f'none {id(launches)}'
            replaced = patch.object(
                JITFunction, '_do_compile', compile_nothing
            )
            stack.enter_context(replaced)
        stack.enter_context(_gpu(capability or 90, device))
        stack.enter_context(patch.object(JITFunction, 'run', record))
        yield launches


# A property since Triton 3.5, whose own reset would look for a GPU.
_ACTIVE = '_active' if hasattr(type(driver), 'active') else 'active'


@contextmanager
def _gpu(capability: int, device: str) -> Iterator[None]:
    """Let the kernels take CPU tensors for those of a GPU."""
    processors = PROCESSORS[capability]
    forced = {VARIABLE: 'triton', 'TRITON_INTERPRET': '1'}
    if 'TRITON_CACHE_DIR' not in os.environ:
        folder = Path(tempfile.gettempdir()) / 'whiten_plugins_kernels'
        forced['TRITON_CACHE_DIR'] = str(folder)
    with (
        patch.dict(os.environ, forced),
        patch.object(driver, _ACTIVE, _Driver(capability, device)),
        patch.object(tuning, '_processors', lambda device: processors),
    ):
        yield


def distinct(launches: list[Launch]) -> Counter[str]:
    """Count compilations by kernel."""
    made = {id(launch.compiled): launch.kernel for launch in launches}
    return Counter(made.values())


@contextmanager
def stubbed(launches: list[Launch]) -> Iterator[None]:
    """Make launches of kernels compiled for sm_90, but for the GPU's part.

    What is left is the time that the host takes.
    """

    def nothing(*args, **kwargs):
        return None

    for launch in launches:
        launch.compiled._run = nothing
        launch.compiled.module = launch.compiled.function = 1
    with _gpu(90, 'sm_90'):
        yield


class _Operators(TorchDispatchMode):
    """Counts torch operators that compute on the GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name not in VIEWS | ALLOCATIONS | ON_THE_HOST:
            self.found[name] += 1
        return function(*args, **(kwargs or {}))


@dataclass
class Launches:
    """What a forward or a backward launches, by name."""

    triton: Counter[str] = field(default_factory=Counter)
    torch: Counter[str] = field(default_factory=Counter)

    def total(self) -> tuple[int, int]:
        """Return the number of Triton launches and of torch operators."""
        return self.triton.total(), self.torch.total()


def count_launches(norm: nn.Module, x: Tensor) -> tuple[Launches, Launches]:
    """Count the launches of a forward and of a backward.

    Args:
        norm: the norm, in the mode that counts.
        x: its input; its values are of no account.
    """
    x = x.detach().requires_grad_()
    grad = torch.empty_like(x)
    with recording() as launches:
        with _Operators() as forward:
            y = norm(x)
        first = Counter(launch.kernel for launch in launches)
        launches.clear()
        with _Operators() as backward:
            y.backward(grad)
        second = Counter(launch.kernel for launch in launches)
    return Launches(first, forward.found), Launches(second, backward.found)


@dataclass(frozen=True)
class Usage:
    """What a compiled kernel takes of a chip.

    ``spilled`` are bytes of a thread's registers in memory; ``mix`` counts
    the instructions of the loop that multiplies most, or of the whole
    kernel if it has none, by name. An instruction of a tensor core takes
    ``tensor`` multiply-adds for each warp; 0 for a kernel without.
    """

    registers: int
    shared: int
    spilled: int
    warps: int
    mix: Counter[str]
    tensor: float


_TOOLS = Path(triton.__file__).parent / 'backends' / 'nvidia' / 'bin'
PRODUCTS = ('FFMA', 'FFMA2', 'HMMA', 'HGMMA', 'UTCHMMA', 'UTCQMMA')


def usage(compiled: Any) -> Usage:
    """Read the machine code of a kernel, once."""
    if compiled.hash not in _READ:
        _READ[compiled.hash] = _usage(compiled)
    return _READ[compiled.hash]


_READ: dict[str, Usage] = {}


def _usage(compiled: Any) -> Usage:
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        file.write(compiled.asm['cubin'])
        file.flush()
        sizes = _output('cuobjdump', '-res-usage', file.name)
        code = _output('nvdisasm', file.name)
    found = {
        name: int(value)
        for name, value in re.findall(r'(REG|STACK|LOCAL):(\d+)', sizes)
    }
    return Usage(
        found['REG'],
        compiled.metadata.shared,
        found['STACK'] + found['LOCAL'],
        compiled.metadata.num_warps,
        max(
            _loops(code),
            key=lambda mix: sum(mix[name] for name in PRODUCTS),
        ),
        _tensor(compiled.asm['ptx']),
    )


_SHAPE = re.compile(r'\b(mma\.sync|wgmma\.mma_async)\S*?\.m(\d+)n(\d+)k(\d+)')


def _tensor(ptx: str) -> float:
    """Return the multiply-adds of a tensor core's instruction, by warp."""
    found = _SHAPE.search(ptx)
    if found is None:
        return 0
    kind, *shape = found.groups()
    return math.prod(map(int, shape)) / (4 if kind.startswith('w') else 1)


def _output(tool: str, *arguments: str) -> str:
    return subprocess.run(
        [_TOOLS / tool, *arguments], capture_output=True, text=True, check=True
    ).stdout


_LABEL = re.compile(r'^\s*(\.L_x_\w+):')
_INSTRUCTION = re.compile(r'/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w*)')
_BRANCH = re.compile(r'\bBRA\b.*?(\.L_x_\w+)')


def _loops(code: str) -> list[Counter[str]]:
    """Return the instructions of each loop, at last of the whole code."""
    places: dict[str, int] = {}
    names: list[str] = []
    loops: list[Counter[str]] = []
    for line in code.splitlines():
        label = _LABEL.match(line)
        if label:
            places[label.group(1)] = len(names)
        instruction = _INSTRUCTION.search(line)
        if not instruction:
            continue
        names.append(instruction.group(1))
        branch = _BRANCH.search(line)
        if branch and branch.group(1) in places:
            body = Counter(names[places[branch.group(1)] :])
            if body.total() > 1:  # a jump to itself ends every kernel
                loops.append(body)
    innermost = [mix for mix in loops if any(mix[name] for name in PRODUCTS)]
    return innermost or [Counter(names)]


def compile_step(
    build: Callable[[int], nn.Module], x: Tensor, capability: int
) -> list[Launch]:
    """Return the launches of a forward and backward, compiled."""
    x = x.detach().requires_grad_()
    with recording(capability) as launches:
        norm = build(x.shape[1])
        norm(x).backward(torch.empty_like(x))
    return launches
