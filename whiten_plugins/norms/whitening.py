"""Norms that whiten by one statistic, of a sample or of the batch."""

from __future__ import annotations

from ..ops import METHODS, NormSpec
from .base import SyncStatistics, WhiteningNorm
from .checks import group_size, one_of


class GW(WhiteningNorm):
    r"""Group Whitening.

    From the paper `Group Whitening: Balancing Learning Efficiency and
    Representational Capacity <https://arxiv.org/abs/2009.13333>`__ (GW, eq.
    8-10). Each sample's channels are split into groups; the groups are
    whitened against each other, so that nothing depends on the batch:

    .. math::
        X_n \in \mathbb{R}^{g \times (C/g) M}, \qquad
        y_n = \gamma\, (\Sigma_n + \epsilon I)^{-1/2} (X_n - \mu_n) + \beta

    where row i of :math:`X_n` holds the neighbouring channels of group i,
    and gamma, beta are per channel.

    Args:
        num_features: C, channels of the input.
        eps: added to the diagonal of the covariance.
        momentum: taken so that any ``norm_cfg`` of the family fits; a norm
            of single samples has no running statistics.
        affine: learn ``weight`` (gamma) and ``bias`` (beta).
        num_groups: g, rows that are whitened against each other; as many as
            channels in a layer that has fewer.
        T: Newton iterations of ``itn``.
        whitening: ``itn`` (ItN eq. 7) or ``zca``.

    Shape:
        - Input: (N, C, \*), any number of trailing dimensions.
        - Output: as the input, in its dtype and memory format.

    Raises:
        ValueError: for arguments out of range, a ``num_groups`` that does
            not divide C, and in ``forward`` if a row has one element.

    Examples::

        >>> import torch
        >>> y = GW(256, num_groups=64)(torch.randn(1, 256, 50, 80))
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        num_groups: int = 64,
        T: int = 5,
        whitening: str = 'itn',
    ) -> None:
        one_of(whitening, ('itn', 'zca'), 'whitening')
        spec = NormSpec(
            ('iw',),
            num_rows=group_size(num_features, num_groups, 'num_groups'),
            across_groups=True,
            whitening=whitening,
            T=T,
            eps=eps,
        )
        super().__init__(num_features, spec, momentum, affine)


class IW(WhiteningNorm):
    r"""Instance Whitening: groups of channels, by each sample alone.

    The ``iw`` of :class:`~.switchable.SW` (`paper
    <https://arxiv.org/abs/1904.09739>`__) on its own:

    .. math::
        y_n = \gamma\, (\Sigma_n + \epsilon I)^{-1/2} (x_n - \mu_n) + \beta

    Args:
        num_features: C, channels of the input.
        eps: added to the diagonal of the covariance.
        momentum: taken so that any ``norm_cfg`` of the family fits; a norm
            of single samples has no running statistics.
        affine: learn ``weight`` (gamma) and ``bias`` (beta).
        num_pergroup: channels that are whitened together; all of them in a
            layer that has fewer. 1 is InstanceNorm.
        T: Newton iterations of ``itn``.
        whitening: ``itn`` (ItN eq. 7) or ``zca``.

    Shape:
        - Input: (N, C, \*), more than one element a channel.
        - Output: as the input, in its dtype and memory format.

    Raises:
        ValueError: for arguments out of range, a ``num_pergroup`` that does
            not divide C, and in ``forward`` if a channel has one element.

    Examples::

        >>> import torch
        >>> y = IW(64)(torch.randn(2, 64, 50, 80))
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        num_pergroup: int = 16,
        T: int = 5,
        whitening: str = 'itn',
    ) -> None:
        one_of(whitening, ('itn', 'zca'), 'whitening')
        spec = NormSpec(
            ('iw',),
            num_rows=group_size(num_features, num_pergroup, 'num_pergroup'),
            whitening=whitening,
            T=T,
            eps=eps,
        )
        super().__init__(num_features, spec, momentum, affine)


class BW(WhiteningNorm):
    r"""Decorrelated Batch Normalization.

    From the paper `Decorrelated Batch Normalization
    <https://arxiv.org/abs/1804.08450>`__ (DBN, algorithm 1). Whitens groups
    of channels by the covariance of the batch:

    .. math::
        y = \gamma\, (\Sigma + \epsilon I)^{-1/2} (x - \mu) + \beta

    In evaluation it is a fixed linear map.

    Args:
        num_features: C, channels of the input.
        eps: added to the diagonal of the covariance.
        momentum: weight of a batch in the running statistics, as torch's
            BatchNorm means it; None for a cumulative average.
        affine: learn ``weight`` (gamma) and ``bias`` (beta).
        num_pergroup: channels that are whitened together; all of them in a
            layer that has fewer. 1 is BatchNorm.
        T: Newton iterations of ``itn``.
        whitening: ``zca`` (DBN eq. 4), ``itn`` (ItN eq. 7), or ``pca``,
            which DBN section 3.1 warns against: eigenvectors change places
            from batch to batch (stochastic axis swapping), so training with
            it is unstable.
        running: what evaluation uses, the running average of the whitening
            matrices (``matrix``, DBN) or the whitening matrix of the
            running covariance (``cov``, BW_Sigma in the GW paper).

    Shape:
        - Input: (N, C, \*), any number of trailing dimensions.
        - Output: as the input, in its dtype and memory format.

    Raises:
        ValueError: for arguments out of range, a ``num_pergroup`` that does
            not divide C, and in ``forward`` if a channel has one element in
            the whole batch in training.

    Examples::

        >>> import torch
        >>> y = BW(64)(torch.randn(8, 64, 28, 28))
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        num_pergroup: int = 16,
        T: int = 5,
        whitening: str = 'zca',
        running: str = 'matrix',
    ) -> None:
        one_of(whitening, METHODS, 'whitening')
        one_of(running, ('matrix', 'cov'), 'running')
        spec = NormSpec(
            ('bw',),
            num_rows=group_size(num_features, num_pergroup, 'num_pergroup'),
            whitening=whitening,
            T=T,
            eps=eps,
            running=running,
        )
        super().__init__(num_features, spec, momentum, affine)


class SyncBW(SyncStatistics, BW):
    """:class:`BW` whose statistics span all processes.

    :class:`~.base.SyncStatistics` says how. Takes the arguments of
    :class:`BW`, and ``process_group``.

    Examples::

        >>> import torch
        >>> norm_cfg = dict(type='SyncBW')
        >>> y = SyncBW(64)(torch.randn(8, 64, 28, 28))
    """


class ItN(BW):
    r"""Iterative Normalization: :class:`BW` by Newton iterations.

    From the paper `Iterative Normalization: Beyond Standardization towards
    Efficient Whitening <https://arxiv.org/abs/1904.03441>`__ (ItN):

    .. math::
        y = \gamma\, \frac{P_T}{\sqrt{\mathrm{tr} \Sigma}}
            (x - \mu) + \beta, \quad P_0 = I, \;
        P_k = \frac12 \Bigl(3 P_{k-1} - P_{k-1}^3
            \frac{\Sigma}{\mathrm{tr} \Sigma}\Bigr)

    with eps on the diagonal of :math:`\Sigma` (ItN eq. 3–7): no
    eigendecomposition.

    Args:
        num_features: C, channels of the input.
        eps: as in :class:`BW`, like those that follow.
        momentum: weight of a batch in the running statistics.
        affine: learn ``weight`` and ``bias``.
        num_pergroup: channels that are whitened together.
        T: Newton iterations of ``itn``.
        whitening: ``zca``, ``itn`` or ``pca``.
        running: what evaluation uses, ``matrix`` or ``cov``.

    Shape:
        - Input, output: as :class:`BW`.

    Raises:
        ValueError: as :class:`BW`.

    Examples::

        >>> import torch
        >>> y = ItN(64, T=5)(torch.randn(8, 64, 28, 28))
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        num_pergroup: int = 16,
        T: int = 5,
        whitening: str = 'itn',
        running: str = 'matrix',
    ) -> None:
        super().__init__(
            num_features,
            eps,
            momentum,
            affine,
            num_pergroup,
            T,
            whitening,
            running,
        )


class SyncItN(SyncStatistics, ItN):
    """:class:`ItN` whose statistics span all processes.

    :class:`~.base.SyncStatistics` says how. Takes the arguments of
    :class:`ItN`, and ``process_group``.

    Examples::

        >>> import torch
        >>> norm_cfg = dict(type='SyncItN')
        >>> y = SyncItN(64)(torch.randn(8, 64, 28, 28))
    """
