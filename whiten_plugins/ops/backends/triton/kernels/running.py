"""Running statistics in the kernel that has the batch's."""

import triton
import triton.language as tl


@triton.jit
def averaged(
    mean, new_mean, cov, new_cov, sums, momentum, mask_of_mean, mask_of_cov
):
    """Update groups of running statistics whose new values are finite.

    Args:
        mean: pointers to running means, float32.
        new_mean: means of the batch.
        cov: pointers to what is kept beside them, float32.
        new_cov: that of the batch.
        sums: over all values of a group: NaN or infinite where one is.
        momentum: weight of the batch.
        mask_of_mean: which means there are.
        mask_of_cov: likewise.

    Returns:
        Which groups are finite.
    """
    finite = sums - sums == 0
    _average(mean, new_mean, momentum, finite, mask_of_mean)
    _average(cov, new_cov, momentum, finite, mask_of_cov)
    return finite


@triton.jit
def _average(pointers, new, momentum, finite, mask):
    """Interpolate as ``torch.lerp``: exact at both ends."""
    old = tl.load(pointers, mask=mask, other=0.0)
    difference = new - old
    near_old = old + momentum * difference
    near_new = new - (1 - momentum) * difference
    value = tl.where(momentum < 0.5, near_old, near_new)
    value = tl.where(finite, value, old)
    tl.debug_barrier()  # all threads have the old values
    tl.store(pointers, value, mask=mask)


@triton.jit
def count_batch(num_batches, counted, finite):
    """Count a batch once, if a group of it is finite.

    Args:
        num_batches: the count, None for none.
        counted: pointer to what was 0 before the first program came here.
        finite: 1 if a group of this program is finite, else 0.
    """
    if num_batches is not None:
        before = tl.atomic_max(counted, finite, sem='relaxed')
        is_first = (finite > 0) & (before == 0)
        number = tl.load(num_batches, mask=is_first, other=0)
        tl.debug_barrier()  # all threads have it
        tl.store(num_batches, number + 1, mask=is_first)
