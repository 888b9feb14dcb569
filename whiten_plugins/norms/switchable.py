"""Norms that learn which statistics to use: SN and SW."""

from __future__ import annotations

from collections.abc import Sequence

from ..ops import NormSpec
from .base import SyncStatistics, WhiteningNorm
from .checks import one_of, rows_of, subset_of

SN_STATS = ('in', 'ln', 'bn')
SW_STATS = {
    2: ('bw', 'iw'),
    3: ('bw', 'iw', 'ln'),
    5: ('bw', 'iw', 'bn', 'in', 'ln'),
}


class SN(WhiteningNorm):
    r"""Switchable Normalization (SN eq. 3–5).

    Each layer mixes the statistics of InstanceNorm, LayerNorm and BatchNorm
    by ratios that it learns:

    .. math::
        y = \gamma \frac{x - \sum_k w_k \mu_k}
            {\sqrt{\sum_k w'_k \sigma_k^2 + \epsilon}} + \beta, \qquad
        w = \mathrm{softmax}(\lambda), \; w' = \mathrm{softmax}(\lambda')

    In training ``bn`` is the batch, in evaluation the running statistics.
    Where ``in`` is undefined (1×1 maps) it is left out and the other ratios
    are renormalized; likewise ``bn`` in training with one element a channel.

    Args:
        num_features: C, channels of the input.
        eps: added to the mixed variance.
        momentum: weight of a batch in the running statistics, as torch's
            BatchNorm means it; None for a cumulative average.
        affine: learn ``weight`` (gamma) and ``bias`` (beta).
        tie_weight: one set of ratios for means and variances.
        stats: statistics to mix, some of ``in``, ``ln``, ``bn``, in the
            order of the ratio logits.
        ratio_groups: groups of neighbouring channels that each have ratios
            of their own (group SN).
        hard: use the statistic of the largest ratio alone, one for means
            and one for variances (SN section 4.1.4). The logits then get
            zero gradients.

    Shape:
        - Input: (N, C, \*), any number of trailing dimensions.
        - Output: as the input, in its dtype and memory format.

    Raises:
        ValueError: for arguments out of range, and in ``forward`` if no
            statistic has more than one element.

    Examples::

        >>> norm = SN(64)
        >>> y = norm(torch.randn(2, 64, 50, 80))
        >>> norm.ratios()['mean']  # doctest: +ELLIPSIS
        {'in': 0.333..., 'ln': 0.333..., 'bn': 0.333...}
    """

    has_ratios = True

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        tie_weight: bool = False,
        stats: Sequence[str] = SN_STATS,
        ratio_groups: int = 1,
        hard: bool = False,
    ) -> None:
        subset_of(stats, SN_STATS, 'stats')
        rows_of(num_features, ratio_groups, 'ratio_groups')
        spec = NormSpec(tuple(stats), num_rows=1, eps=eps, hard=hard)
        super().__init__(
            num_features, spec, momentum, affine, tie_weight, ratio_groups
        )


class SyncSN(SyncStatistics, SN):
    r""":class:`SN` whose ``bn`` statistics span all processes.

    With :math:`M_p` elements a channel on process p, which may be none,

    .. math::
        \mu_{bn} = \frac{\sum_p M_p \mu_p}{\sum_p M_p}, \qquad
        \sigma_{bn}^2 = \frac{\sum_p M_p
            (\sigma_p^2 + \mu_p^2)}{\sum_p M_p} - \mu_{bn}^2

    (SN eq. 15–22), in one all-reduce forward and one backward. Outside a
    process group, and in evaluation, it is :class:`SN`.

    Args:
        process_group: processes that share statistics; None for all.
        others: as :class:`SN`.

    Shape:
        - Input, output: as :class:`SN`; N may differ between processes.

    Raises:
        ValueError: as :class:`SN`; several processes are more than one
            element a channel.

    Examples::

        >>> norm_cfg = dict(type='SyncSN')
        >>> y = SyncSN(64)(torch.randn(2, 64, 50, 80))
    """


class SW(WhiteningNorm):
    r"""Switchable Whitening (SW algorithm 1).

    Whitens groups of channels by a covariance that is mixed from several
    statistics, by ratios that each layer learns:

    .. math::
        y_n = \gamma\, \hat\Sigma_n^{-1/2} (x_n - \hat\mu_n) + \beta, \quad
        \hat\mu_n = \sum_k w_k \mu_k, \;
        \hat\Sigma_n = \sum_k w'_k \Sigma_k + \epsilon I

    Statistics are ``bw`` and ``iw``, the covariance of the batch and of the
    sample, their diagonals ``bn`` and ``in``, and ``ln``, one variance for
    the whole sample. In evaluation ``bw`` and ``bn`` are the running ones.
    What is undefined for an input is left out as in :class:`SN`.

    Args:
        num_features: C, channels of the input.
        eps: added to the diagonal of the mixed covariance.
        momentum: weight of a batch in the running statistics, as torch's
            BatchNorm means it; None for a cumulative average.
        affine: learn ``weight`` (gamma) and ``bias`` (beta).
        num_pergroup: channels that are whitened together; all of them in a
            layer that has fewer.
        sw_type: 2 (``bw``, ``iw``), 3 (``bw``, ``iw``, ``ln``) or 5
            (``bw``, ``iw``, ``bn``, ``in``, ``ln``).
        T: Newton iterations of ``itn``.
        whitening: ``itn``, S^(-1/2) by Newton iterations (ItN eq. 7), or
            ``zca``, the same by eigendecomposition (SW supplement eq. 1–4).
        tie_weight: one set of ratios for means and covariances.
        hard: use the statistic of the largest ratio alone.

    Shape:
        - Input: (N, C, \*), any number of trailing dimensions.
        - Output: as the input, in its dtype and memory format.

    Raises:
        ValueError: for arguments out of range, a ``num_pergroup`` that does
            not divide C, and in ``forward`` if no statistic has more than
            one element.

    Examples::

        >>> norm = SW(64, sw_type=3)
        >>> y = norm(torch.randn(2, 64, 50, 80))
        >>> norm.stats
        ('bw', 'iw', 'ln')
    """

    has_ratios = True

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        num_pergroup: int = 16,
        sw_type: int = 2,
        T: int = 5,
        whitening: str = 'itn',
        tie_weight: bool = False,
        hard: bool = False,
    ) -> None:
        one_of(sw_type, SW_STATS, 'sw_type')
        one_of(whitening, ('itn', 'zca'), 'whitening')
        spec = NormSpec(
            SW_STATS[sw_type],
            num_rows=rows_of(num_features, num_pergroup, 'num_pergroup'),
            whitening=whitening,
            T=T,
            eps=eps,
            hard=hard,
        )
        super().__init__(num_features, spec, momentum, affine, tie_weight)


class SyncSW(SyncStatistics, SW):
    r""":class:`SW` whose ``bw`` and ``bn`` statistics span all processes.

    With :math:`M_p` elements a channel on process p, which may be none,

    .. math::
        \mu_{bw} = \frac{\sum_p M_p \mu_p}{\sum_p M_p}, \qquad
        \Sigma_{bw} = \frac{\sum_p M_p
            (\Sigma_p + \mu_p \mu_p^T)}{\sum_p M_p} - \mu_{bw} \mu_{bw}^T

    in one all-reduce forward and one backward. Outside a process group, and
    in evaluation, it is :class:`SW`.

    Args:
        process_group: processes that share statistics; None for all.
        others: as :class:`SW`.

    Shape:
        - Input, output: as :class:`SW`; N may differ between processes.

    Raises:
        ValueError: as :class:`SW`; several processes are more than one
            element a channel.

    Examples::

        >>> norm_cfg = dict(type='SyncSW', sw_type=3)
        >>> y = SyncSW(64)(torch.randn(2, 64, 50, 80))
    """
