r"""The limits that warnings and advice rest on, and where they come from.

One table serves the warnings before a training
(:mod:`~whiten_plugins.analysis.norm_warnings`) and the advice of a diagnosis
(:mod:`~whiten_plugins.diagnosis.advice`).
"""

from __future__ import annotations

from typing import NamedTuple


class Limit(NamedTuple):
    """When something is wrong with a norm.

    Attributes:
        value: what the measured number is held against.
        number: what is measured, and its unit.
        remedy: what to change.
        source: why there.
    """

    value: float
    number: str
    remedy: str
    source: str


LIMITS = {
    'constraints': Limit(
        1.0,
        'constraints on a variable of the output',
        'fewer groups, SN there, or Sync statistics over more images',
        'GW eq. 12 and Table 1: with more equations than variables there is '
        'no output to choose',
    ),
    'few values': Limit(
        2.0,
        'values of a batch statistic for each channel of a group',
        'smaller groups, SN or GW there, or Sync statistics over more images',
        'GW section 4.1 asks for at least one value a channel; at two the '
        'covariance of uncorrelated channels has a condition of 34 in place '
        'of 1 (Marchenko-Pastur: ((1 + q) / (1 - q))^2 with q^2 = 1/2)',
    ),
    'batch noise': Limit(
        0.25,
        'deviations by which the output of one element changes with the '
        'batch, per channel (SND, ItN section 4.1)',
        'SN, GW or a Sync norm',
        'BN over m independent values has about sqrt(1.5 / m): a quarter at '
        'm = 24; GW Fig. 1: BN loses accuracy with the batch',
    ),
    'running statistics': Limit(
        0.25,
        'distance of the running statistics from the average batch: of the '
        'variance relative, of the mean in deviations',
        'more images to average over (BatchAverageHook, whiten calibrate), '
        'SN, GW or a Sync norm',
        'a variance a quarter off scales the output in evaluation by an '
        'eighth',
    ),
    'never filled': Limit(
        0.0,
        'updates of running statistics that are used',
        'a checkpoint of that norm, or norm_eval=False and frozen_stages=-1',
        'mean 0 and variance 1 are what a new norm starts from',
    ),
    'frozen start': Limit(
        0.1,
        'deviations between the output and that of the BatchNorm whose '
        'weights these are',
        'frozen_stages=-1, norm_eval=False, BN in the frozen part, or a '
        'checkpoint with these norms',
        'ratios start equal; frozen they stay so, while the '
        'weights were trained with BN',
    ),
    'same statistics': Limit(
        2.0,
        'images behind a batch statistic that is mixed with those of the '
        'image',
        'two or more images a process, or a Sync norm',
        'SN eq. 4: for one image the batch statistics are its own',
    ),
    'not finite': Limit(
        0.0,
        'elements that are NaN or infinite before the norm',
        'a lower learning rate, gradient clipping, or float32 there',
        'what is not finite does not become so again',
    ),
    'dead channels': Limit(
        0.1,
        'deviation of a channel after the norm',
        'prune the channels, or look for what killed them: a weight at '
        'zero, a learning rate too large',
        'a variance of a hundredth of eps: the output is the bias',
    ),
    'singular groups': Limit(
        1.0,
        'rank of a group, relative to its rows',
        'smaller groups, or ItN, which leaves such directions small where '
        'ZCA stretches their rounding',
        'DBN section 3.3: ZCA divides by the eigenvalues',
    ),
    'short of one': Limit(
        0.7,
        'deviation of a whitened channel',
        'a larger T or smaller groups',
        'ItN supplement, Fig. 2: T decides how far whitening goes; at 0.7 '
        'half of the variance is missing',
    ),
    'correlated': Limit(
        10.0,
        'ratio of the condition (90 %) after the norm to that after whitening',
        'that whitening there',
        'GW Fig. 2: GW is about a magnitude better conditioned than GN and '
        'BN; it is no fault not to be',
    ),
    'ill-conditioned': Limit(
        100.0,
        'condition (90 %) of the output, below which whitening is not '
        'suggested',
        'whitening',
        'the steepest direction of a quadratic loss bounds the learning '
        'rate, the flattest needs condition times as many steps (DBN '
        'section 3.4); well-scaled layers lie below',
    ),
    'axis swaps': Limit(
        0.05,
        'share of the axes of PCA that change places between batches',
        "whitening='zca' or 'itn'",
        'DBN section 3.1: stochastic axis swapping',
    ),
    'hard': Limit(
        0.0,
        'gradient of the ratios of a hard norm',
        'train with hard=False, then harden the checkpoint',
        'SN section 4.1.4: a one-hot choice has no gradient',
    ),
    'folded': Limit(
        0.0,
        'norms in a folded network',
        'train the config that it was folded from',
        'folding merges norms into convolutions for good',
    ),
}
