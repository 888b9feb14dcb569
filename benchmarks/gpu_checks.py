"""Checks of the Triton kernels on a GPU, of whole norms, one function each.

They need torch and Triton alone. In Triton's interpreter they go as far as a
CPU allows. A check returns what it saw in a few words, raises
:class:`LeftOut` where the machine lacks what it needs, and anything else
where the kernels are wrong.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from benchmarks import gpu_processes
from benchmarks.gpu_norms import NORMS, Results, assert_same, inputs, step
from whiten_plugins.ops import backend_for
from whiten_plugins.ops.backends.selection import triton_refusal
from whiten_plugins.ops.backends.self_check import check
from whiten_plugins.ops.backends.triton import KERNELS

ROOT = Path(__file__).parents[1]
LAST = torch.channels_last
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class LeftOut(Exception):  # noqa: N818
    """What the machine lacks for a check."""


@dataclass(frozen=True)
class Setting:
    """Where the checks run.

    ``interpreted`` says that this is Triton's interpreter on the CPU.
    """

    device: torch.device
    interpreted: bool

    def needs_gpu(self) -> None:
        """Leave a check out in the interpreter."""
        if self.interpreted:
            raise LeftOut('needs a GPU')

    @property
    def norms(self) -> dict[str, Callable[[int], nn.Module]]:
        """The norms to check; the interpreter is slow."""
        if not self.interpreted:
            return NORMS
        return {name: NORMS[name] for name in ('SN', 'SW 5', 'GW')}


class Outcome(NamedTuple):
    """What became of a check: passed, failed or left out, and why."""

    check: str
    state: str
    detail: str
    seconds: float


def run(
    setting: Setting, chosen: Iterable[str], done: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run checks in order.

    Args:
        setting: where.
        chosen: their names, of :data:`CHECKS`.
        done: called with each outcome as soon as it is there.
    """
    outcomes = []
    for name in chosen:
        start = time.perf_counter()
        try:
            state, detail = 'passed', CHECKS[name](setting)
        except LeftOut as error:
            state, detail = 'left out', str(error)
        except Exception as error:  # whatever a compiler or a driver raises
            traceback.print_exc()
            lines = str(error).strip().splitlines() or ['']
            state, detail = 'failed', f'{type(error).__name__}: {lines[0]}'
        seconds = time.perf_counter() - start
        outcomes.append(Outcome(name, state, detail, seconds))
        done(outcomes[-1])
    return outcomes


def steps(setting: Setting) -> str:
    """Compare every step with PyTorch in float64, as before first use."""
    refusal = triton_refusal(setting.device)
    assert refusal is None, refusal
    worst = 0.0
    dtypes = DTYPES[:1] if setting.interpreted else DTYPES
    for name, build in setting.norms.items():
        spec = build(4 if setting.interpreted else 128).spec
        for dtype in dtypes:
            failure, difference = check(KERNELS, spec, dtype, setting.device)
            assert not failure, f'{name}, {dtype}: {failure}'
            worst = max(worst, difference)
    return f'{len(setting.norms)} norms; largest difference {worst:.0e}'


def _parity(
    dtype: torch.dtype, memory_format: torch.memory_format
) -> Callable:
    def parity(setting: Setting) -> str:
        return _compared(setting, dtype, memory_format)

    return parity


def _compared(
    setting: Setting, dtype: torch.dtype, memory_format: torch.memory_format
) -> str:
    """Compare training steps and evaluation with PyTorch in float64."""
    worst = 0.0
    size = (2, 4, 3, 5) if setting.interpreted else (3, 128, 33, 40)
    for name, build in setting.norms.items():
        x, grad = inputs(size, setting.device, dtype, memory_format)
        norm = build(size[1]).to(setting.device)
        assert backend_for(x, norm.spec).name == 'triton'
        for training in (True, False):
            norm.train(training)
            expected = step(copy.deepcopy(norm).double(), x, grad)
            actual = step(norm, x, grad)
            label = f'{name}, {"training" if training else "evaluation"}'
            worst = max(worst, assert_same(label, actual, expected, dtype))
    return f'{len(setting.norms)} norms; largest difference {worst:.0e}'


def odd_sizes(setting: Setting) -> str:
    """Take sizes of one, of no power of two, and tensors with gaps."""
    shapes = [(5, 6, 1, 1), (1, 6, 1, 7), (2, 3, 13), (1, 6, 2, 3, 5)]
    count = 0
    for name in ('SN', 'SW 5', 'ItN'):
        for shape in shapes[: 2 if setting.interpreted else None]:
            x, grad = inputs(shape, setting.device)
            gaps = torch.stack((x, grad), -1).unbind(-1)
            norm = NORMS[name](shape[1]).to(setting.device)
            expected = step(copy.deepcopy(norm).double(), x, grad)
            assert_same(f'{name} {shape}', step(norm, *gaps), expected)
            count += 1
    return f'{count} shapes and norms'


def large_mean(setting: Setting) -> str:
    """Take a mean of a thousand deviations, which costs three of 7 digits."""
    worst = 0.0
    for name in ('SN', 'SW', 'GW'):
        x, grad = inputs((2, 4, 5, 7), setting.device)
        x = x + 1000
        norm = NORMS[name](4).to(setting.device)
        expected = step(copy.deepcopy(norm).double(), x, grad)
        found = assert_same(name, step(norm, x, grad), expected, factor=100)
        worst = max(worst, found)
    return f'largest difference {worst:.0e}'


def tf32_switches(setting: Setting) -> str:
    """Turn torch's switches, which do not reach the norms' float32."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = True
    try:
        return _compared(setting, torch.float32, torch.contiguous_format)
    finally:
        matmul.allow_tf32 = before


def repeats(setting: Setting) -> str:
    """Get the same bits from the same input."""
    size = (2, 4, 3, 5) if setting.interpreted else (4, 128, 56, 56)
    for name, build in setting.norms.items():
        x, grad = inputs(size, setting.device)
        norm = build(size[1]).to(setting.device)
        first = step(copy.deepcopy(norm), x, grad)
        for _ in range(1 if setting.interpreted else 20):
            again = step(copy.deepcopy(norm), x, grad)
            for key, value in first.items():
                assert torch.equal(value, again[key]), f'{name}: {key}'
    return f'{len(setting.norms)} norms'


def huge(setting: Setting) -> str:
    """Take more than 2^31 elements, alike in all samples, as the results."""
    setting.needs_gpu()
    shape = (3, 64, 3392, 3392)
    elements = shape[0] * shape[1] * shape[2] * shape[3]
    assert elements > 2**31
    needed = 5 * 2 * elements
    free, _ = torch.cuda.mem_get_info(setting.device)
    if free < needed:
        raise LeftOut(f'needs {needed >> 30} GiB free, there are {free >> 30}')
    one, of_one = (
        torch.randn(1, *shape[1:], device=setting.device, dtype=torch.bfloat16)
        for _ in range(2)
    )
    for name in ('SN', 'SW', 'GW'):
        norm = NORMS[name](64).to(setting.device)
        x, grad = (v.repeat(3, 1, 1, 1) for v in (one, of_one))
        found = step(norm, x, grad)
        for key in ('output', 'input'):
            first, *others = found[key]
            assert first.isfinite().all(), f'{name}: {key}'
            for other in others:
                assert torch.equal(first, other), f'{name}: {key}'
        del x, grad, found
    return f'{elements:,} elements'


def graphs(setting: Setting) -> str:
    """Replay captured steps on new input, running statistics included."""
    setting.needs_gpu()
    for name in ('SN', 'SN cumulative', 'SW', 'SW 5', 'GW', 'ItN'):
        norm = NORMS[name.removesuffix(' cumulative')](64).to(setting.device)
        if name.endswith('cumulative'):
            norm.momentum = None
        _replay(name, norm, setting.device)
    return '6 norms'


def _replay(name: str, norm: nn.Module, device: torch.device) -> None:
    x, grad = inputs((2, 64, 20, 28), device)
    static, of_static = x.clone(), grad.clone()
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(3):
            step(norm, static, of_static)
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step(norm, static, of_static)
    reference = copy.deepcopy(norm).double()
    for seed in range(1, 3):
        x, grad = inputs((2, 64, 20, 28), device, seed=seed)
        static.copy_(x), of_static.copy_(grad)
        graph.replay()
        expected = step(reference, x, grad)
        # Buffers: as captured, they are the norm's own.
        assert_same(f'{name}, replay {seed}', captured, expected)


def streams(setting: Setting) -> str:
    """Run steps on streams side by side: they do not disturb each other."""
    setting.needs_gpu()
    norms = {name: NORMS[name](64).to(setting.device) for name in ('SN', 'SW')}
    cases = {}
    for seed, (name, norm) in enumerate(norms.items()):
        x, grad = inputs((4, 64, 56, 56), setting.device, seed=seed)
        cases[name] = norm, x, grad, step(copy.deepcopy(norm), x, grad)
    sides = [torch.cuda.Stream(setting.device) for _ in cases]
    torch.cuda.synchronize(setting.device)
    for _ in range(50):
        found = {}
        for side, (name, (norm, x, grad, _)) in zip(sides, cases.items()):
            with torch.cuda.stream(side):
                found[name] = step(copy.deepcopy(norm), x, grad)
        torch.cuda.synchronize(setting.device)
        for name, results in found.items():
            for key, value in cases[name][-1].items():
                assert torch.equal(value, results[key]), f'{name}: {key}'
    return '50 rounds on 2 streams'


def devices(setting: Setting) -> str:
    """Run a norm on its own device while another one is the current."""
    setting.needs_gpu()
    if torch.cuda.device_count() < 2:
        raise LeftOut('needs two GPUs')
    for name in ('SN', 'SW', 'GW'):
        found: list[Results] = []
        for index in range(2):
            device = torch.device('cuda', index)
            x, grad = inputs((2, 64, 20, 28), device)
            with torch.cuda.device(1 - index):
                results = step(NORMS[name](64).to(device), x, grad)
            found.append({k: v.cpu() for k, v in results.items()})
        assert_same(name, *found)
    return '2 GPUs'


def processes(setting: Setting) -> str:
    """Run Sync norms over processes with uneven batches, as one batch."""
    if setting.interpreted:
        return gpu_processes.compare(2, 'gloo')
    count = torch.cuda.device_count()
    if count < 2:
        raise LeftOut('NCCL needs two GPUs')
    return gpu_processes.compare(min(count, 4), 'nccl')


def sanitizer(setting: Setting) -> str:
    """Look for stray accesses in a small run under compute-sanitizer."""
    setting.needs_gpu()
    tool = shutil.which('compute-sanitizer')
    if tool is None:
        raise LeftOut('compute-sanitizer is not installed')
    command = [tool, '--error-exitcode', '9', '--kernel-name-exclude']
    command += ['kernel_substring=at::', sys.executable]
    command += [str(ROOT / 'tools' / 'gpu_check.py'), '--only', 'odd sizes']
    done = subprocess.run(
        command,
        env={**os.environ, 'PYTORCH_NO_CUDA_MEMORY_CACHING': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return 'no error in "odd sizes"'


CHECKS: dict[str, Callable[[Setting], str]] = {
    'steps': steps,
    **{
        f'parity {str(dtype).removeprefix("torch.")}{label}': _parity(
            dtype, memory_format
        )
        for dtype in DTYPES
        for label, memory_format in (
            ('', torch.contiguous_format),
            (' channels_last', LAST),
        )
    },
    'odd sizes': odd_sizes,
    'large mean': large_mean,
    'tf32 switches': tf32_switches,
    'repeats': repeats,
    '2^31 elements': huge,
    'CUDA graphs': graphs,
    'streams': streams,
    'devices': devices,
    'processes': processes,
    'sanitizer': sanitizer,
}


def wrong(results: list[Outcome]) -> bool:
    """Return whether a check failed."""
    return any(outcome.state == 'failed' for outcome in results)
