r"""Newton–Schulz iteration of one matrix in registers, and its gradient.

.. math::
    P_0 = I, \quad P_{k+1} = (3 P_k - P_k^3 \bar S) / 2, \quad
    \bar S = S / \mathrm{tr} S, \quad W = P_T / \sqrt{\mathrm{tr} S}

(ItN eq. 7). S and every P_k are symmetric, so the gradient needs no
transposes. With G = -dP_{k+1} / 2:

.. math::
    d\bar S \mathrel{+}= P_k^3 G, \quad R = G \bar S, \quad Q = R P_k, \quad
    dP_k = 3 dP_{k+1} / 2 + P_k^2 R + Q P_k + P_k Q
"""

import triton
import triton.language as tl

from .tiles import product


@triton.jit
def sum_of(x):
    """Sum of all entries of a matrix."""
    return tl.sum(tl.sum(x, 1), 0)


@triton.jit
def multiply(a, b, buffer, offsets):
    """``a @ b`` of (P, P) matrices.

    Operands of more than 32 rows do not fit the registers whole: they pass
    through memory and come back by 16 columns and rows.

    Args:
        buffer: pointer to room for two matrices; None up to 32 rows.
        offsets: of a matrix in memory, contiguous.
    """
    SIZE: tl.constexpr = a.shape[0]
    if SIZE <= 32:
        result = product(a, b)
    else:
        other = buffer + SIZE * SIZE
        tl.debug_barrier()  # all threads are done with the last operands
        tl.store(buffer + offsets, a)
        tl.store(other + offsets, b)
        tl.debug_barrier()  # all threads see these
        row = tl.arange(0, SIZE)
        result = tl.zeros_like(a)
        for begin in range(0, SIZE, 16):
            slab = begin + tl.arange(0, 16)
            left = tl.load(buffer + row[:, None] * SIZE + slab[None, :])
            right = tl.load(other + slab[:, None] * SIZE + row[None, :])
            result += product(left, right)
    return result


@triton.jit
def newton_schulz(S, eye, offsets, iterates, buffer, T: tl.constexpr):
    """W, the normalized S and its trace.

    Args:
        S: (P, P), 0 beyond its c rows and columns.
        eye: the identity of c rows, likewise.
        offsets: of a (P, P) matrix in memory, contiguous.
        iterates: takes P_1 ... P_(T-1) for the gradient; None to keep none.
        buffer: see :func:`multiply`.
        T: number of iterations.
    """
    trace = sum_of(S * eye)
    S = S / trace
    P = 1.5 * eye - 0.5 * S
    for k in range(1, T):
        if iterates is not None:
            tl.store(iterates + (k - 1) * S.numel + offsets, P)
        cube = multiply(multiply(P, P, buffer, offsets), P, buffer, offsets)
        P = 1.5 * P - 0.5 * multiply(cube, S, buffer, offsets)
    return P * tl.rsqrt(trace), S, trace


@triton.jit
def newton_schulz_backward(
    dW, W, S, trace, eye, offsets, iterates, buffer, T: tl.constexpr
):
    """Gradient of the matrix that :func:`newton_schulz` got.

    Args:
        dW: gradient of W.
        W, S, trace: what it returned.
        eye, offsets, iterates, buffer, T: as it got them.
    """
    tl.debug_barrier()  # all threads see the iterates
    dP = dW * tl.rsqrt(trace)
    dS = tl.zeros_like(S)
    for k in range(1, T):
        P = tl.load(iterates + (T - 1 - k) * S.numel + offsets)
        G = -0.5 * dP
        squared = multiply(P, P, buffer, offsets)
        cube = multiply(squared, P, buffer, offsets)
        dS += multiply(cube, G, buffer, offsets)
        R = multiply(G, S, buffer, offsets)
        dP = 1.5 * dP + multiply(squared, R, buffer, offsets)
        Q = multiply(R, P, buffer, offsets)
        dP += multiply(Q, P, buffer, offsets)
        dP += multiply(P, Q, buffer, offsets)
    dS -= 0.5 * dP
    d_trace = -sum_of(dS * S) - 0.5 * sum_of(dW * W)
    return (dS + d_trace * eye) / trace
