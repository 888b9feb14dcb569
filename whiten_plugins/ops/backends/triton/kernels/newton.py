r"""Newton–Schulz iteration of one matrix in registers, and its gradient.

ItN eq. 7 in the coupled form, which does not multiply rounding:

.. math::
    Y_0 = S / \mathrm{tr} S, \; Z_0 = I, \; R_k = (3 I - Z_k Y_k) / 2, \;
    Y_{k+1} = Y_k R_k, \; Z_{k+1} = R_k Z_k, \;
    W = Z_T / \sqrt{\mathrm{tr} S}

With :math:`H = -dR_k / 2 = -(Y_k^T dY_{k+1} + dZ_{k+1} Z_k^T) / 2` the
gradient goes back by

.. math::
    dZ_k = R_k^T dZ_{k+1} + H Y_k^T, \quad
    dY_k = dY_{k+1} R_k^T + Z_k^T H

All steps are symmetric but for rounding, which would be multiplied if the
transposes were left out.
"""

import triton
import triton.language as tl

from .tiles import product


@triton.jit
def sum_of(x):
    """Sum all entries of a matrix."""
    return tl.sum(tl.sum(x, 1), 0)


@triton.jit
def multiply(a, b, buffer, offsets):
    """Return ``a @ b`` of (P, P) matrices.

    Operands of more than 32 rows do not fit the registers whole: they pass
    through memory and come back by 16 columns and rows.

    Args:
        a: (P, P).
        b: (P, P).
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
    """Return W, the normalized S and its trace.

    Args:
        S: (P, P), 0 beyond its c rows and columns.
        eye: the identity of c rows, likewise.
        offsets: of a (P, P) matrix in memory, contiguous.
        iterates: takes Y_k, Z_k and R_k, k = 1 ... T - 1, for the gradient;
            None to keep none.
        buffer: see :func:`multiply`.
        T: number of iterations.
    """
    trace = sum_of(S * eye)
    S = S / trace
    Y = S
    R = 1.5 * eye - 0.5 * S
    Z = R
    for k in range(1, T):
        Y = multiply(Y, R, buffer, offsets)
        R = 1.5 * eye - 0.5 * multiply(Z, Y, buffer, offsets)
        if iterates is not None:
            step = iterates + (k - 1) * 3 * S.numel + offsets
            tl.store(step, Y)
            tl.store(step + S.numel, Z)
            tl.store(step + 2 * S.numel, R)
        Z = multiply(R, Z, buffer, offsets)
    return Z * tl.rsqrt(trace), S, trace


@triton.jit
def newton_schulz_backward(
    dW, W, S, trace, eye, offsets, iterates, buffer, T: tl.constexpr
):
    """Return the gradient of the matrix that :func:`newton_schulz` got.

    Args:
        dW: gradient of W.
        W: as :func:`newton_schulz` returned it.
        S: the normalized S that it returned.
        trace: the trace that it returned.
        eye: as it got it.
        offsets: as it got them.
        iterates: what it filled with Y_k, Z_k and R_k; behind them is room
            for one matrix more.
        buffer: see :func:`multiply`.
        T: number of iterations.
    """
    # In memory meanwhile: many matrices do not fit the registers.
    kept = iterates + 3 * (T - 1) * S.numel + offsets
    tl.store(kept, S)
    of_trace = sum_of(dW * W)
    tl.debug_barrier()  # all threads see the iterates
    row = tl.arange(0, S.shape[0])
    transposed = row[None, :] * S.shape[0] + row[:, None]
    dZ = dW * tl.rsqrt(trace)
    dY = tl.zeros_like(S)
    for k in range(1, T):
        step = iterates + (T - 1 - k) * 3 * S.numel + transposed
        H = multiply(tl.load(step), dY, buffer, offsets)
        H += multiply(dZ, tl.load(step + S.numel), buffer, offsets)
        H = -0.5 * H
        dY = multiply(dY, tl.load(step + 2 * S.numel), buffer, offsets)
        dY += multiply(tl.load(step + S.numel), H, buffer, offsets)
        dZ = multiply(tl.load(step + 2 * S.numel), dZ, buffer, offsets)
        dZ += multiply(H, tl.load(step), buffer, offsets)
    # Z_1 = R_0 and Y_1 = S R_0, where R_0 = (3 I - S) / 2
    S = tl.load(kept)
    dR = dZ + multiply(S, dY, buffer, offsets)
    dS = multiply(dY, 1.5 * eye - 0.5 * S, buffer, offsets) - 0.5 * dR
    d_trace = -sum_of(dS * S) - 0.5 * of_trace
    return (dS + d_trace * eye) / trace
