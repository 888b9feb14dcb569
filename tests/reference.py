"""The family's equations, written out in plain autograd PyTorch.

The text against which the fast code is judged, and the straightforward
version it is timed against. Every statistic is taken directly from its
definition, no backward pass is written by hand, and nothing is shared with
the package. The modules hold parameters and buffers under the package's names
and work in the dtype (float32 or float64) and on the device of their input.

The papers, as the docstrings cite them:

* SN: "Switchable Normalization for Learning-to-Normalize Deep
  Representation".
* SW: "Switchable Whitening for Deep Representation Learning",
  supplementary material.
* GW: "Group Whitening: Balancing Learning Efficiency and
  Representational Capacity".
* DBN: "Decorrelated Batch Normalization".
* ItN: "Iterative Normalization: Beyond Standardization towards
  Efficient Whitening", supplementary material.
* IBN: "Two at Once: Enhancing Learning and Generalization Capacities via
  IBN-Net".
"""

import torch
from torch import Tensor, nn


# --------------------------------------------------------------------------
# Whitening matrices: covariance (..., c, c) -> W (..., c, c), W S W^T = I
# --------------------------------------------------------------------------
def newton(cov: Tensor, T: int) -> Tensor:
    """T Newton steps towards the inverse square root (ItN Eqs. 4, 5, 7).

    They converge quadratically, but rounding errors grow with further steps
    where the eigenvalues are far apart: a large T suits even spectra alone.
    """
    trace = cov.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    P = torch.eye(cov.shape[-1]).to(cov).expand_as(cov)
    for _ in range(T):
        P = (3 * P - P @ P @ P @ (cov / trace)) / 2
    return P / trace.sqrt()


def zca(cov: Tensor) -> Tensor:
    """W = D L^(-1/2) D^T (DBN Eq. 4, SW Eqs. 1, 2, 4, GW Eq. 5).

    Autograd's backward of the eigendecomposition divides by differences of
    eigenvalues: for equal eigenvalues differentiate `newton` instead, whose
    limit is the same matrix.
    """
    L, D = torch.linalg.eigh(cov)
    return D @ torch.diag_embed(L.rsqrt()) @ D.mT


def pca(cov: Tensor) -> Tensor:
    """W = L^(-1/2) D^T, made unique as DBN section 3.1 does.

    Eigenvalues in non-increasing order, the first element of each eigenvector
    positive.
    """
    L, D = torch.linalg.eigh(cov)
    L, D = L.flip(-1), D.flip(-1)
    D = torch.where(D[..., :1, :] < 0, -D, D)
    return torch.diag_embed(L.rsqrt()) @ D.mT


def whitening_matrix(cov: Tensor, method: str, T: int, eps: float) -> Tensor:
    """(cov + eps I)^(-1/2) (ItN Eq. 3, DBN Algorithm 1 line 5)."""
    cov = cov + eps * torch.eye(cov.shape[-1]).to(cov)
    if method == 'itn':
        return newton(cov, T)
    return {'zca': zca, 'pca': pca}[method](cov)


# --------------------------------------------------------------------------
# Statistics and ratios
# --------------------------------------------------------------------------
def mean_and_covariance(X: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased covariance of the columns of X (ItN Eqs. 1-3).

    Args:
        X: (..., c, M), M observations of c variables.

    Returns:
        The mean (..., c, 1) and the covariance (..., c, c).
    """
    mean = X.mean(-1, keepdim=True)
    centred = X - mean
    return mean, centred @ centred.mT / X.shape[-1]


def diagonal_part(cov: Tensor) -> Tensor:
    """The diagonal matrix with the variances of `cov`."""
    return torch.diag_embed(cov.diagonal(dim1=-2, dim2=-1))


def softmax_ratios(logits: Tensor, hard: bool) -> Tensor:
    """Importance ratios over the last dimension (SN Eq. 5).

    `hard` takes the largest alone (SN section 3.2, sparse SN).
    """
    if hard:
        chosen = logits.argmax(-1)
        return nn.functional.one_hot(chosen, logits.shape[-1]).to(logits)
    return logits.softmax(-1)


def group_size(num_channels: int, setting: int) -> int:
    """`setting`, or everything where a layer is narrower than it."""
    size = min(num_channels, setting)
    if num_channels % size:
        raise ValueError(f'{num_channels} is not divisible by {setting}')
    return size


# --------------------------------------------------------------------------
# What all of them have in common
# --------------------------------------------------------------------------
class _Norm(nn.Module):
    """Affine parameters, ratio logits and running statistics."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True):
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.weight = self.bias = None
        if affine:
            self.weight = nn.Parameter(torch.ones(num_features))
            self.bias = nn.Parameter(torch.zeros(num_features))

    def add_logits(self, shape, tie_weight):
        """lambda and lambda' of SN Eq. 5, ones at the start (section 4.1)."""
        self.mean_weight = nn.Parameter(torch.ones(shape))
        if not tie_weight:
            self.var_weight = nn.Parameter(torch.ones(shape))

    def add_buffers(self, **buffers):
        for name, value in buffers.items():
            self.register_buffer(name, value)
        self.register_buffer('num_batches_tracked', torch.tensor(0))

    def ratios_of(self, names, defined, hard):
        """Ratios of means and of variances over the statistics `defined`."""
        keep = [k for k, name in enumerate(names) if name in defined]
        mean_logits = self.mean_weight
        var_logits = getattr(self, 'var_weight', mean_logits)
        return (
            softmax_ratios(mean_logits[..., keep], hard),
            softmax_ratios(var_logits[..., keep], hard),
        )

    def track(self, **batch):
        """Running averages (GW Eq. 2, DBN Algorithm 1 lines 10, 11)."""
        self.num_batches_tracked += 1
        m = self.momentum
        if m is None:
            m = 1 / self.num_batches_tracked.item()
        for name, value in batch.items():
            running = getattr(self, name)
            value = value.detach().reshape(running.shape)
            running.copy_((1 - m) * running + m * value)

    def affine(self, y):
        """gamma * y + beta for each channel (SN Eq. 1)."""
        if self.weight is None:
            return y
        shape = (1, -1) + (1,) * (y.dim() - 2)
        return y * self.weight.view(shape) + self.bias.view(shape)


def defined_statistics(names, x, training):
    """The statistics among `names` that are over more than one element."""
    spatial = x[0, 0].numel()
    undefined = set()
    if spatial == 1:
        undefined |= {'in', 'iw'}
    if training and x.shape[0] * spatial == 1:
        undefined |= {'bn', 'bw'}
    if x[0].numel() == 1:
        undefined.add('ln')
    defined = [name for name in names if name not in undefined]
    if not defined:
        raise ValueError(f'one value per channel: {tuple(x.shape)}')
    return defined


# --------------------------------------------------------------------------
# Standardization
# --------------------------------------------------------------------------
class SN(_Norm):
    """Switchable Normalization (SN Eqs. 2, 3, 5).

    `ratio_groups` is the group SN of section 3.2: the channels are divided
    into groups that have their own ratios; the statistics stay the same.
    """

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        tie_weight=False,
        stats=('in', 'ln', 'bn'),
        ratio_groups=1,
        hard=False,
    ):
        super().__init__(num_features, eps, momentum, affine)
        self.stats = stats
        self.ratio_groups = ratio_groups
        self.hard = hard
        shape = (len(stats),)
        if ratio_groups > 1:
            shape = (ratio_groups, len(stats))
        self.add_logits(shape, tie_weight)
        if 'bn' in stats:
            self.add_buffers(
                running_mean=torch.zeros(num_features),
                running_var=torch.ones(num_features),
            )

    def statistics(self, h, name):
        """mu_k and sigma_k^2 (SN Eq. 2), broadcastable to (N, C, 1)."""
        if name == 'bn' and not self.training:
            return self.running_mean[:, None], self.running_var[:, None]
        over = {'in': (2,), 'ln': (1, 2), 'bn': (0, 2)}[name]
        mean = h.mean(over, keepdim=True)
        var = h.var(over, unbiased=False, keepdim=True)
        if name == 'bn':
            self.track(running_mean=mean, running_var=var)
        return mean, var

    def mixed(self, ratios, statistics):
        """sum_k w_k s_k, the ratios being shared within a channel group."""
        per_group = self.num_features // self.ratio_groups
        ratios = ratios.view(self.ratio_groups, -1)
        ratios = ratios.repeat_interleave(per_group, dim=0)
        return sum(
            ratios[:, k, None] * statistic
            for k, statistic in enumerate(statistics)
        )

    def forward(self, x):
        h = x.flatten(2) if x.dim() > 2 else x[..., None]
        defined = defined_statistics(self.stats, x, self.training)
        mean_ratios, var_ratios = self.ratios_of(
            self.stats, defined, self.hard
        )
        means, variances = zip(*(self.statistics(h, k) for k in defined))
        mean = self.mixed(mean_ratios, means)
        var = self.mixed(var_ratios, variances)
        y = (h - mean) / (var + self.eps).sqrt()
        return self.affine(y.reshape(x.shape))


class IBN(_Norm):
    """IBN section 3.2: InstanceNorm on some channels, BatchNorm on the rest.

    The running statistics of the InstanceNorm channels are those that
    BatchNorm would keep; nothing reads them.
    """

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=True, half=0.5
    ):
        super().__init__(num_features, eps, momentum, affine)
        self.split = int(num_features * half)
        self.add_buffers(
            running_mean=torch.zeros(num_features),
            running_var=torch.ones(num_features),
        )

    def forward(self, x):
        defined_statistics(['in'], x, self.training)
        h = x.flatten(2)
        mean, var = self.running_mean[:, None], self.running_var[:, None]
        if self.training:
            mean = h.mean((0, 2))[:, None]
            var = h.var((0, 2), unbiased=False)[:, None]
            self.track(running_mean=mean, running_var=var)
        own, rest = h[:, : self.split], h[:, self.split :]
        own_mean = own.mean(2, keepdim=True)
        own_var = own.var(2, unbiased=False, keepdim=True)
        parts = (
            (own - own_mean) / (own_var + self.eps).sqrt(),
            (rest - mean[self.split :])
            / (var[self.split :] + self.eps).sqrt(),
        )
        return self.affine(torch.cat(parts, 1).reshape(x.shape))


# --------------------------------------------------------------------------
# Whitening
# --------------------------------------------------------------------------
class SW(_Norm):
    """Switchable Whitening (SW Eqs. 1-4 with the integrated statistics).

    The integrated mean and covariance are weighted sums of those of batch and
    instance whitening (bw, iw) and, as diagonal matrices, of batch, instance
    and layer normalization (bn, in, ln).
    """

    STATS = {
        2: ('bw', 'iw'),
        3: ('bw', 'iw', 'ln'),
        5: ('bw', 'iw', 'bn', 'in', 'ln'),
    }

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        num_pergroup=16,
        sw_type=2,
        T=5,
        whitening='itn',
        tie_weight=False,
        hard=False,
        stats=None,
    ):
        super().__init__(num_features, eps, momentum, affine)
        self.stats = stats or self.STATS[sw_type]
        self.T = T
        self.whitening = whitening
        self.hard = hard
        self.c = group_size(num_features, num_pergroup)
        self.groups = num_features // self.c
        self.add_logits((len(self.stats),), tie_weight)
        if {'bw', 'bn'} & set(self.stats):
            whitens = {'bw', 'iw'} & set(self.stats)
            cov = torch.eye(self.c).repeat(self.groups, 1, 1)
            var = torch.ones(num_features)
            name, start = ('cov', cov) if whitens else ('var', var)
            self.add_buffers(
                running_mean=torch.zeros(num_features),
                **{f'running_{name}': start},
            )

    def batch_statistics(self, X):
        """Mean (G, c, 1) and covariance (G, c, c) over batch and positions."""
        if not self.training:
            mean = self.running_mean.view(self.groups, self.c, 1)
            return mean, self.running_cov
        together = X.movedim(0, 2).flatten(2)
        mean, cov = mean_and_covariance(together)
        self.track(running_mean=mean, running_cov=cov)
        return mean, cov

    def layer_statistics(self, X):
        """Mean and variance over a sample's channels and positions."""
        everything = X.flatten(1)
        mean = everything.mean(1)[:, None, None, None]
        var = everything.var(1, unbiased=False)[:, None, None, None]
        return mean, var * torch.eye(self.c).to(X)

    def all_statistics(self, X, defined):
        """{name: (mean, covariance)}, broadcastable to (N, G, c, c)."""
        table = {'ln': self.layer_statistics(X)} if 'ln' in defined else {}
        if {'bw', 'bn'} & set(defined):
            table['bw'] = self.batch_statistics(X)
        if {'iw', 'in'} & set(defined):
            table['iw'] = mean_and_covariance(X)
        for name, whole in (('bn', 'bw'), ('in', 'iw')):
            if name in defined:
                mean, cov = table[whole]
                table[name] = mean, diagonal_part(cov)
        return [table[name] for name in defined]

    def forward(self, x):
        X = x.reshape(x.shape[0], self.groups, self.c, -1)
        defined = defined_statistics(self.stats, x, self.training)
        mean_ratios, var_ratios = self.ratios_of(
            self.stats, defined, self.hard
        )
        means, covs = zip(*self.all_statistics(X, defined))
        mean = sum(w * m for w, m in zip(mean_ratios, means))
        cov = sum(w * s for w, s in zip(var_ratios, covs))
        W = whitening_matrix(cov, self.whitening, self.T, self.eps)
        return self.affine((W @ (X - mean)).reshape(x.shape))


class BW(_Norm):
    """Batch Whitening: DBN Algorithm 1; with 'itn', IterNorm (ItN Eqs. 1-7).

    For inference `running='matrix'` keeps the expected whitening matrix (DBN
    Algorithm 1 line 11), `running='cov'` the expected covariance, whitened
    with when it is needed (BW_Sigma of GW section 5).
    """

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        num_pergroup=16,
        T=5,
        whitening='zca',
        running='matrix',
    ):
        super().__init__(num_features, eps, momentum, affine)
        self.T = T
        self.whitening = whitening
        self.c = group_size(num_features, num_pergroup)
        self.groups = num_features // self.c
        self.running = {'matrix': 'running_wm', 'cov': 'running_cov'}[running]
        identity = torch.eye(self.c).repeat(self.groups, 1, 1)
        self.add_buffers(
            running_mean=torch.zeros(num_features), **{self.running: identity}
        )

    def whitening_matrix(self, cov):
        return whitening_matrix(cov, self.whitening, self.T, self.eps)

    def batch_statistics(self, X):
        """Mean (G, c, 1) and whitening matrix (G, c, c) of this batch."""
        mean, cov = mean_and_covariance(X.movedim(0, 2).flatten(2))
        W = self.whitening_matrix(cov)
        running = {'running_wm': W, 'running_cov': cov}[self.running]
        self.track(running_mean=mean, **{self.running: running})
        return mean, W

    def expected_statistics(self):
        """The same, expected over the training set (DBN section 3.3)."""
        mean = self.running_mean.view(self.groups, self.c, 1)
        if self.running == 'running_wm':
            return mean, self.running_wm
        return mean, self.whitening_matrix(self.running_cov)

    def forward(self, x):
        X = x.reshape(x.shape[0], self.groups, self.c, -1)
        if self.training:
            defined_statistics(['bw'], x, self.training)
            mean, W = self.batch_statistics(X)
        else:
            mean, W = self.expected_statistics()
        return self.affine((W @ (X - mean)).reshape(x.shape))


class ItN(BW):
    """IterNorm: BW with Newton's iteration (ItN Eqs. 1-7)."""

    def __init__(self, num_features, whitening='itn', **kwargs):
        super().__init__(num_features, whitening=whitening, **kwargs)


class IW(_Norm):
    """Instance Whitening: SW Eqs. 1-4 with the statistics of iw alone."""

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        num_pergroup=16,
        T=5,
        whitening='itn',
    ):
        super().__init__(num_features, eps, momentum, affine)
        self.T = T
        self.whitening = whitening
        self.c = group_size(num_features, num_pergroup)

    def forward(self, x):
        defined_statistics(['iw'], x, self.training)
        X = x.reshape(x.shape[0], self.num_features // self.c, self.c, -1)
        mean, cov = mean_and_covariance(X)
        W = whitening_matrix(cov, self.whitening, self.T, self.eps)
        return self.affine((W @ (X - mean)).reshape(x.shape))


class GW(_Norm):
    """Group Whitening (GW Eqs. 8-10, Algorithm 1).

    The group division is a plain reshape of a sample to (num_groups, -1);
    gamma and beta are per channel (GW footnote 4).
    """

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        num_groups=64,
        T=5,
        whitening='itn',
    ):
        super().__init__(num_features, eps, momentum, affine)
        self.T = T
        self.whitening = whitening
        self.num_groups = group_size(num_features, num_groups)

    def forward(self, x):
        X = x.reshape(x.shape[0], self.num_groups, -1)
        if X.shape[-1] == 1:
            raise ValueError(f'one value per group: {tuple(x.shape)}')
        mean, cov = mean_and_covariance(X)
        W = whitening_matrix(cov, self.whitening, self.T, self.eps)
        return self.affine((W @ (X - mean)).reshape(x.shape))


# --------------------------------------------------------------------------
# What torch has of the family, to compare with
# --------------------------------------------------------------------------
class BiasedBatchNorm2d(nn.BatchNorm2d):
    """torch's BatchNorm, but keeping the papers' biased variance (SN Eq. 2).

    torch normalizes with the biased variance and keeps the unbiased one.
    """

    def forward(self, x):
        before = self.running_var.clone()
        y = super().forward(x)
        if self.training:
            channels = x.detach().transpose(0, 1).flatten(1)
            var = channels.var(1, unbiased=False)
            self.running_var = (
                1 - self.momentum
            ) * before + self.momentum * var
        return y
