"""Conditioning and its price, on Gaussian samples (ItN Fig. 2, GW Fig. 2)."""

import pytest
import torch
from torch import Tensor

from whiten_plugins.norms import GW, ItN

DIM, BATCH = 32, 256


def _samples(count: int, seed: int = 0) -> Tensor:
    """Correlated Gaussian samples, (count, DIM), with equal variances."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(DIM, DIM, generator=generator)
    samples = torch.randn(count, DIM, generator=generator) @ mixing
    return samples / samples.std(0)


def _condition(samples: Tensor) -> float:
    eigenvalues = torch.linalg.eigvalsh(samples.double().T.cov())
    return (eigenvalues[-1] / eigenvalues[0].clamp(min=1e-12)).item()


def _disturbance(norm, point: Tensor, population: Tensor) -> float:
    """Stochastic normalization disturbance: how far the output of a sample
    is from its mean over batches that it is normalized with (ItN eq. 10)."""
    outputs = torch.stack(
        [norm(torch.cat([point, batch]))[:1] for batch in population]
    )
    return (outputs - outputs.mean(0)).norm(dim=-1).mean().item()


def test_condition_falls_and_disturbance_grows_with_newton_iterations():
    population = _samples(20 * BATCH)
    batches = population.split(BATCH)
    conditions, disturbances = [], []
    for T in (1, 3, 5, 7):
        norm = ItN(DIM, num_pergroup=DIM, T=T, affine=False)
        conditions.append(_condition(norm(batches[0])))
        disturbances.append(_disturbance(norm, population[:1], batches[1:]))
    assert conditions == sorted(conditions, reverse=True)
    assert conditions[-1] < 0.2 * _condition(batches[0])
    assert disturbances == sorted(disturbances)


@pytest.mark.parametrize('groups', [8, 16])
def test_group_whitening_conditions_better_than_group_norm(groups):
    """GW section 3.2: rows are whitened, not only standardized."""
    x = _samples(4 * 64).view(4, 64, DIM).mT.contiguous()
    normed = torch.nn.GroupNorm(groups, DIM, affine=False)(x)
    whitened = GW(DIM, num_groups=groups, affine=False)(x)

    def rows(y: Tensor) -> Tensor:
        return y[0].reshape(groups, -1).T

    assert _condition(rows(whitened)) < 0.5 * _condition(rows(normed))
