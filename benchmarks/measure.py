"""Time and memory of forward plus backward, fairly compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile


def step(module: nn.Module, x: Tensor, grad: Tensor) -> None:
    """Run one forward and backward, dropping the gradients afterwards."""
    module(x).backward(grad)
    x.grad = None
    module.zero_grad(set_to_none=True)


def saved_bytes(module: nn.Module, x: Tensor) -> int:
    """Return the bytes a forward keeps for its backward, parameters aside.

    Storage that several saved tensors share counts once; what a custom
    Function holds outside ``save_for_backward`` counts too.
    """
    kept: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        y = module(x)
    for node in _nodes(y.grad_fn):
        for value in vars(node).values() if hasattr(node, '__dict__') else ():
            if isinstance(value, Tensor):
                keep(value)
    return sum(kept.values())


def _nodes(root: torch.autograd.graph.Node) -> list:
    found, todo = {}, [root]
    while todo:
        node = todo.pop()
        if node is not None and node not in found:
            found[node] = None
            todo += [parent for parent, _ in node.next_functions]
    return list(found)


def peak_bytes(run: Callable[[], None], device: torch.device) -> int:
    """Return the peak memory of ``run`` above the level before it.

    Memory is what torch's allocators count.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True
    ) as found:
        run()
    changes = sorted(
        (event.start_ns(), event.nbytes())
        for event in found.profiler.kineto_results.events()
        if event.name() == '[memory]'
    )
    return max(accumulate(size for _, size in changes))


def interleaved(
    runs: Mapping[str, Callable[[], None]],
    repeats: int,
    device: torch.device,
    warm_up: int = 5,
) -> dict[str, list[float]]:
    """Time runs in turns, in seconds, so that all meet the same noise.

    Args:
        runs: what to time, by name.
        repeats: rounds that count.
        device: where it runs; a GPU is waited for.
        warm_up: rounds before those.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(warm_up + repeats):
        for name, run in runs.items():
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            start = time.perf_counter()
            run()
            if device.type == 'cuda':
                torch.cuda.synchronize(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: taken[warm_up:] for name, taken in seconds.items()}


def compared(seconds: Mapping[str, list[float]], base: str) -> dict:
    """Return medians, and median and quartiles of the ratio to ``base``.

    The ratio is that of each round.
    """
    found = {}
    for name, taken in seconds.items():
        ratios = [a / b for a, b in zip(taken, seconds[base])]
        # Of a single round, all quartiles are the one there is.
        points = ratios if len(ratios) > 1 else ratios * 2
        low, middle, high = statistics.quantiles(points, n=4)
        found[name] = {
            'milliseconds': statistics.median(taken) * 1e3,
            'ratio': middle,
            'quartiles': [low, high],
        }
    return found
