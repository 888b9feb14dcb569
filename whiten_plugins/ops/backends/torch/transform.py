"""From moments to the coefficients of y = A x + b, and back, in PyTorch.

The matrices here are small. The backward pass runs this stage once more and
lets autograd differentiate it, so that nothing of it has to be kept.
"""

from __future__ import annotations

from torch import Tensor

from ...stage import Coefficients, Stage, StageInputs
from .folding import differentiate, fold
from .mixture import mix
from .whitening import whitening_matrix


def transform(stage: Stage, inputs: StageInputs) -> Coefficients:
    """Mix the moments, whiten the mixture, fold weight and bias in."""
    mean, cov = mix(stage.spec, stage.active, inputs)
    W = whitening_matrix(cov, stage.spec)
    return fold(mean, W, inputs.parameters, stage.spec)


def transform_backward(
    stage: Stage, inputs: StageInputs, dA: Tensor, db: Tensor
) -> tuple[Tensor, StageInputs]:
    """Return A once more, and the gradients of ``inputs``.

    Args:
        stage: as :func:`transform` got it.
        inputs: as :func:`transform` got them.
        dA: gradient of A, (N or 1, E, c, c); summed to the shape of A.
        db: gradient of b, (N or 1, E, c), likewise.
    """
    return differentiate(transform, stage, inputs, dA, db)
