"""What a norm is to tools that follow a network without running it.

:mod:`torch.fx` calls ``forward`` with a proxy in place of the input, of which
neither shape nor values are known. A norm is one node of the graph then, as
torch's own norms are.
"""

from __future__ import annotations

from typing import Any, cast

from torch import nn
from torch.fx import Proxy, Tracer


def as_node(norm: nn.Module, input: Proxy, **others: Any) -> Proxy:
    """Return the output of ``norm`` in the graph that is traced.

    Args:
        norm: a norm in the network that is traced.
        input: its input.
        **others: what else its ``forward`` is given.

    Raises:
        TypeError: if ``norm`` is the whole network, of which no node can be.
    """
    # Of torch's tracers only this one and its subclasses call modules.
    tracer = cast(Tracer, input.tracer)
    path = tracer.path_of_module(norm)
    if not path:
        raise TypeError(
            f'torch.fx cannot trace {type(norm).__name__} alone, only a '
            'network that contains it, such as nn.Sequential(norm)'
        )
    return tracer.create_proxy('call_module', path, (input,), others)


def not_scriptable(norm: nn.Module) -> TypeError:
    """Return the error for :func:`torch.jit.script`."""
    return TypeError(
        f'torch.jit.script cannot compile {type(norm).__name__}: use '
        'torch.jit.trace or torch.export on the network in evaluation mode'
    )
