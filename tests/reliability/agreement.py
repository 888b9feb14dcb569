"""Every backend against the float64 reference, on random cases.

A case is drawn from its number alone, so that a failure is one command::

    python -m tests.reliability.agreement --seed 0 --first 4711 --cases 1

What rounding may do is measured, not chosen: the reference is computed again
with input, gradient and moments moved by the rounding of the dtype, and
:data:`MARGIN` times the largest change is allowed beside :data:`FLOOR`. Its
whitening matrices are functions of eigenvalues, differentiated by divided
differences: Newton's steps as the papers write them lose all digits with
many steps, and autograd's eigenvectors have no gradient where eigenvalues
are equal.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from tests import reference
from tests.norms.cases import Case, copy_state, random_input, randomize, run
from tests.reliability.page import keep
from whiten_plugins.ops.backends.settings import VARIABLE
from whiten_plugins.utils.machine import describe_machine

MARGIN = 32
"""Roundings add up over sums and steps; one perturbation shows one of each."""
DRAWS = 2
FLOOR = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Of the largest value; half precision computes in float32."""
HALF = (torch.float16, torch.bfloat16)
TRAILING = (
    (), (1,), (2,), (7,), (1, 1), (1, 3), (2, 2), (3, 3), (4, 5), (7, 7),
    (16, 9), (2, 3, 2),
)  # fmt: skip
LAYOUTS = ('contiguous', 'channels_last', 'transposed', 'sliced', 'expanded')
MODES = ((True,), (True, True, False), (False,), (True, False, True))
PROMISE = (
    '{cases} random cases of backend {backend} (seed {seed}) equal the '
    'float64 reference up to rounding, {failures} do not; in {undefined} '
    'there is nothing to normalize, and both say so'
)
_SW_STATS = ('bw', 'iw', 'bn', 'in', 'ln')


@dataclass(frozen=True)
class Drawn:
    """One case: a norm, an input, modes one after another."""

    case: Case
    shape: tuple[int, ...]
    dtype: torch.dtype
    layout: str
    modes: tuple[bool, ...]
    number: int

    def __str__(self) -> str:
        return (
            f'{self.number}: {self.case} on {self.shape} '
            f'{str(self.dtype).removeprefix("torch.")} {self.layout} '
            f'{self.modes}'
        )


def draw(seed: int, number: int) -> Drawn:
    """Draw a case, the same for the same two numbers."""
    rng = random.Random(f'{seed}:{number}')
    rows, groups = rng.randint(1, 6), rng.randint(1, 4)
    name = rng.choice(('SN', 'SW', 'SW', 'GW', 'BW', 'ItN', 'IW', 'IBN'))
    if name == 'IBN':
        rows += 1  # a channel of each kind
    shape = (rng.randint(1, 5), rows * groups, *rng.choice(TRAILING))
    dtypes = (torch.float32, torch.float32, torch.float64, *HALF)
    return Drawn(
        Case(name, _arguments(rng, name, rows, groups)),
        shape,
        rng.choice(dtypes),
        rng.choice(LAYOUTS),
        rng.choice(MODES),
        number,
    )


def _arguments(
    rng: random.Random, name: str, rows: int, groups: int
) -> dict[str, Any]:
    found: dict[str, Any] = {
        'eps': rng.choice((1e-5, 1e-5, 1e-3, 1e-2)),
        'affine': rng.random() < 0.8,
    }
    if name not in ('GW', 'IW'):
        found['momentum'] = rng.choice((0.1, 0.1, 1.0, None))
    if name in ('SN', 'SW'):
        stats = list(_SW_STATS if name == 'SW' else ('in', 'ln', 'bn'))
        rng.shuffle(stats)
        found['stats'] = tuple(stats[: rng.randint(1, len(stats))])
        if name == 'SW' and not {'bw', 'iw'} & set(found['stats']):
            found['stats'] += (rng.choice(('bw', 'iw')),)
        found['tie_weight'] = rng.random() < 0.3
        found['hard'] = rng.random() < 0.2
    if name == 'SN' and rng.random() < 0.3:
        found['ratio_groups'] = groups
    if name in ('SW', 'BW', 'ItN', 'IW'):
        found['num_pergroup'] = rows
    if name == 'GW':
        found['num_groups'] = rows
    if name in ('BW', 'ItN'):
        found['running'] = rng.choice(('matrix', 'cov'))
    if name in ('SW', 'GW', 'BW', 'IW'):
        found['whitening'] = rng.choice(('itn', 'itn', 'zca'))
    if name == 'ItN' or found.get('whitening') == 'itn':
        found['T'] = rng.choice((1, 3, 5, 5, 5, 7, 12, 20))
    return found


def laid_out(x: Tensor, layout: str) -> Tensor:
    """Return the same values with other strides."""
    if layout == 'channels_last':
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    if layout == 'transposed':
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    if layout == 'sliced':
        wide = x.new_zeros(*x.shape[:-1], 2 * x.shape[-1])
        wide[..., ::2] = x
        return wide[..., ::2]
    return x.contiguous()


def disagreements(drawn: Drawn, backend: str) -> list[str]:
    """Return what a backend computes otherwise than the reference.

    Raises:
        UndefinedError: if the case has nothing to normalize, and both say so.
    """
    dtype = torch.float32 if drawn.dtype in HALF else drawn.dtype
    expected = drawn.case.reference(drawn.shape[1]).double()
    randomize(expected, drawn.number)
    norm = drawn.case.norm(drawn.shape[1]).to(dtype)
    # The reference has what the norm has after rounding.
    copy_state(expected, norm)
    _copy_rounded(norm, expected)
    found = []
    for step, training in enumerate(drawn.modes):
        norm.train(training)
        expected.train(training)
        x, grad = (_input(drawn, step, kind) for kind in (0, 1))
        actual = _run(norm, x, grad, backend)
        wanted = _reference(expected, drawn, x.double(), grad.double())
        if (actual is None) != (wanted is None):
            found.append(f'step {step}: only one finds nothing to normalize')
        if actual is None or wanted is None:
            raise UndefinedError if not found else AssertionError(found[0])
        found += [
            f'step {step}: {text}' for text in _compare(actual, wanted, drawn)
        ]
        # Every step by itself: what rounding did to buffers ends here.
        copy_state(expected, norm)
        _copy_rounded(norm, expected)
    return found


class UndefinedError(Exception):
    """Nothing is left to normalize."""


def _input(drawn: Drawn, step: int, kind: int) -> Tensor:
    values = random_input(drawn.shape, drawn.number * 8 + 2 * step + kind)
    if drawn.layout == 'expanded' and kind == 0:
        values = values[:1].expand(drawn.shape)
        return values[:1].to(drawn.dtype).expand(drawn.shape)
    return laid_out(values.to(drawn.dtype), drawn.layout)


def _copy_rounded(source: torch.nn.Module, target: torch.nn.Module) -> None:
    wanted = {k for k, _ in target.named_parameters()}
    wanted |= {k for k, _ in target.named_buffers()}
    state = source.state_dict()
    for name in wanted & set(state):
        value = state[name]
        owner = dict(target.named_parameters()) | dict(target.named_buffers())
        owner[name].data.copy_(value)


def _matrix_function(
    cov: Tensor, values: Callable[[Tensor], tuple[Tensor, Tensor]]
) -> Tensor:
    """Apply a function, given with its derivative, to symmetric matrices."""
    return _MatrixFunction.apply(cov, values)


class _MatrixFunction(torch.autograd.Function):
    """With the gradient of Daleckii and Krein, also at equal eigenvalues."""

    @staticmethod
    def forward(ctx, cov, values):
        eigenvalues, U = torch.linalg.eigh(cov)
        f, slope = values(eigenvalues)
        ctx.values = values
        ctx.save_for_backward(eigenvalues, U, f)
        return U @ torch.diag_embed(f) @ U.mT

    @staticmethod
    def backward(ctx, grad):
        a, U, f = ctx.saved_tensors
        gap = a.unsqueeze(-1) - a.unsqueeze(-2)
        middle = (a.unsqueeze(-1) + a.unsqueeze(-2)) / 2
        _, slope = ctx.values(middle)
        rise = f.unsqueeze(-1) - f.unsqueeze(-2)
        near = gap.abs() <= 1e-6 * middle.abs()
        divided = torch.where(near, slope, rise / torch.where(near, 1, gap))
        inner = U.mT @ ((grad + grad.mT) / 2) @ U
        return U @ (divided * inner) @ U.mT, None


def newton(cov: Tensor, T: int) -> Tensor:
    """Compute what T Newton steps are without rounding (ItN eq. 4, 5, 7)."""
    trace = cov.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]

    def steps(a: Tensor) -> tuple[Tensor, Tensor]:
        p, slope = torch.ones_like(a), torch.zeros_like(a)
        for _ in range(T):
            slope = (3 * slope - 3 * p**2 * slope * a - p**3) / 2
            p = (3 * p - p**3 * a) / 2
        return p, slope

    return _matrix_function(cov / trace, steps) / trace.sqrt()


def zca(cov: Tensor) -> Tensor:
    """Compute the inverse square root (DBN eq. 4)."""
    return _matrix_function(cov, lambda a: (a.rsqrt(), -(a**-1.5) / 2))


def _run(norm, x, grad, backend) -> dict[str, Tensor] | None:
    with mock.patch.dict(os.environ, {VARIABLE: backend}):
        try:
            found = run(norm, x, grad)
        except ValueError as error:
            if 'xpected more than' not in str(error):
                raise
            return None
    return found | _buffers(norm)


def _buffers(norm: torch.nn.Module) -> dict[str, Tensor]:
    return {
        name: buffer.detach().clone()
        for name, buffer in norm.named_buffers()
        if name != 'num_batches_tracked'
    }


def _reference(
    norm: torch.nn.Module, drawn: Drawn, x: Tensor, grad: Tensor
) -> dict[str, tuple[Tensor, float]] | None:
    """Return results with what rounding changes in them at most."""
    dtype = torch.float32 if drawn.dtype in HALF else drawn.dtype
    unit = torch.finfo(dtype).eps / 2
    before = {k: v.clone() for k, v in norm.state_dict().items()}
    patches = {'newton': newton, 'zca': zca}
    with mock.patch.multiple(reference, **patches):
        return _with_changes(norm, before, x, grad, unit)


def _with_changes(
    norm: torch.nn.Module, before: dict, x: Tensor, grad: Tensor, unit: float
) -> dict[str, tuple[Tensor, float]] | None:
    try:
        results = run(norm, x, grad) | _buffers(norm)
    except ValueError:
        return None
    after = {k: v.clone() for k, v in norm.state_dict().items()}
    change = dict.fromkeys(results, 0.0)
    for number in range(DRAWS):
        generator = torch.Generator().manual_seed(number)
        norm.load_state_dict(before)
        with _moved_moments(unit, generator):
            again = run(
                norm,
                *(
                    v + unit * v.abs() * _noise(v, generator)
                    for v in (x, grad)
                ),
            ) | _buffers(norm)
        for name, value in again.items():
            off = (value - results[name]).abs()
            change[name] = max(
                change[name], off.max().item() if off.numel() else 0.0
            )
    norm.load_state_dict(after)
    # The gradient is what a direct term and those through statistics leave.
    spread = (x - x.mean()).abs().max().clamp(min=1e-30) if x.numel() else 1
    direct = grad.abs().max() * results['output'].abs().max() / spread
    change['input'] = max(change['input'], unit * float(direct))
    return {name: (value, change[name]) for name, value in results.items()}


def _noise(x: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.rand(x.shape, generator=generator, dtype=x.dtype)
    return 2 * noise - 1


@contextmanager
def _moved_moments(unit: float, generator: torch.Generator) -> Iterator[None]:
    """Round the reference's covariances as a sum in the dtype would."""
    exact = reference.mean_and_covariance

    def rounded(X: Tensor) -> tuple[Tensor, Tensor]:
        mean, cov = exact(X)
        deviation = cov.diagonal(dim1=-2, dim2=-1).sqrt().unsqueeze(-1)
        off = (mean.abs() + deviation).detach() * _noise(mean, generator)
        return mean + unit * off, cov + unit * symmetric(cov)

    def symmetric(cov: Tensor) -> Tensor:
        deviation = cov.diagonal(dim1=-2, dim2=-1).detach().sqrt()
        noise = _noise(cov, generator)
        size = deviation.unsqueeze(-1) * deviation.unsqueeze(-2)
        return size * (noise + noise.mT) / 2

    def mixed(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda cov, *T: function(cov + unit * symmetric(cov), *T)

    with mock.patch.multiple(
        reference,
        mean_and_covariance=rounded,
        newton=mixed(newton),
        zca=mixed(zca),
    ):
        yield


def _compare(
    actual: dict[str, Tensor],
    wanted: dict[str, tuple[Tensor, float]],
    drawn: Drawn,
) -> Iterator[str]:
    terms = wanted['input'][0].norm().item()
    for name, (value, change) in wanted.items():
        found = actual[name].double()
        if not found.isfinite().all():
            yield f'{name} is not finite'
        if not (value.isfinite().all() and math.isfinite(change)):
            continue
        if not value.numel():
            continue
        half = actual[name].dtype in HALF
        floor = FLOOR[torch.float32 if drawn.dtype in HALF else drawn.dtype]
        scale = max(value.abs().max().item(), 1e-3)
        if name in ('mean_weight', 'var_weight'):
            scale = max(scale, terms)  # of both signs, they cancel
        allowed = floor * scale + MARGIN * change
        rounding = torch.finfo(actual[name].dtype).eps if half else 0.0
        off = (found - value).abs() - rounding * value.abs()
        if off.max().item() > allowed:
            yield (
                f'{name} is {off.max().item():.3g} off, {allowed:.3g} are '
                f'allowed, of {scale:.3g}'
            )


def check(
    seed: int, numbers: range, backend: str
) -> tuple[Counter[str], list[str]]:
    """Compare many cases.

    Returns:
        The cases by kind of norm, 'undefined' among them; and the failures.
    """
    counts: Counter[str] = Counter()
    failures = []
    for number in numbers:
        drawn = draw(seed, number)
        try:
            found = disagreements(drawn, backend)
        except UndefinedError:
            counts['undefined'] += 1
            continue
        except Exception as error:  # a failure too
            found = [f'{type(error).__name__}: {error}']
        counts[drawn.case.type] += 1
        if found:
            failures.append(f'{drawn} ({backend}): {"; ".join(found)}')
    return counts, failures


def main() -> None:
    """Compare and print what disagrees, and a summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--backend', default='native')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--first', type=int, default=0)
    parser.add_argument('--cases', type=int, default=1000)
    parser.add_argument('--record', action='store_true', help='for the page')
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.monotonic()
    numbers = range(args.first, args.first + args.cases)
    counts, failures = check(args.seed, numbers, args.backend)
    print('\n'.join([*failures, summary(counts, failures)]))
    if args.record:
        machine = describe_machine(torch.device('cpu'))
        options = {k: v for k, v in vars(args).items() if k != 'record'}
        keep(
            'agreement',
            {
                'promise': PROMISE,
                'figures': {
                    **options,
                    'failures': len(failures),
                    'undefined': counts['undefined'],
                },
                'command': ' '.join(
                    ['python -m tests.reliability.agreement']
                    + [f'--{key} {value}' for key, value in options.items()]
                ),
                'seconds': round(time.monotonic() - start),
                'machine': machine,
            },
        )


def summary(counts: Counter[str], failures: list[str]) -> str:
    """Return the numbers of cases by type, and of failures."""
    kinds = ', '.join(f'{kind} {n}' for kind, n in sorted(counts.items()))
    return f'{counts.total()} cases ({kinds}), {len(failures)} failures'


if __name__ == '__main__':
    main()
