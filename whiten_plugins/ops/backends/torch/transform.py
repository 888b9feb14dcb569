"""From moments to the coefficients of y = A x + b, and back, in PyTorch.

The matrices here are small. The backward pass runs this stage once more, so
that nothing of it has to be kept.
"""

from __future__ import annotations

from torch import Tensor

from ...spec import Moments
from ...stage import Coefficients, Stage, StageInputs
from .folding import fold, fold_backward
from .mixture import Mixture
from .whitening import invert, invert_backward


def transform(stage: Stage, inputs: StageInputs) -> Coefficients:
    """Mix the moments, whiten the mixture, fold weight and bias in."""
    mean, cov = Mixture(stage.spec, stage.active, inputs).moments()
    W = invert(cov, stage.spec).W
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
    spec, parameters = stage.spec, inputs.parameters
    mixture = Mixture(spec, stage.active, inputs)
    mean, cov = mixture.moments()
    inverse = invert(cov, spec)
    A, (d_mean, dW), d_affine = fold_backward(
        mean, inverse.W, parameters, spec, dA, db
    )
    d_mixed = Moments(d_mean, invert_backward(inverse, dW, spec))
    d_sample, d_batch, d_logits = mixture.backward(d_mixed)
    d_parameters = d_affine._replace(
        mean_logits=d_logits[0], cov_logits=d_logits[1]
    )
    return A, StageInputs(d_sample, d_batch, d_parameters)
