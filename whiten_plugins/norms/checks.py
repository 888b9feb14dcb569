"""Arguments of the norms, checked once with messages that help."""

from __future__ import annotations

from collections.abc import Collection


def rows_of(num_features: int, setting: int, name: str) -> int:
    """``setting`` rows, or all channels of a layer that has fewer.

    Args:
        num_features: channels of the layer.
        setting: value of ``num_pergroup`` or ``num_groups``.
        name: which of the two, for the message.

    Raises:
        ValueError: if ``setting`` is not positive or does not divide
            ``num_features``.
    """
    if setting < 1:
        raise ValueError(f'{name} must be at least 1, got {setting}')
    rows = min(setting, num_features)
    if num_features % rows:
        divisors = [d for d in range(1, num_features) if not num_features % d]
        nearest = {
            max(d for d in divisors if d < rows),
            min((d for d in divisors if d > rows), default=num_features),
        }
        working = ' or '.join(str(d) for d in sorted(nearest))
        raise ValueError(
            f'num_features={num_features} is not divisible by '
            f'{name}={setting}; the nearest {name} that work: {working}'
        )
    return rows


def one_of(value: object, allowed: Collection, name: str) -> None:
    """Raises :class:`ValueError` unless ``value`` is ``allowed``."""
    if value not in allowed:
        choices = ', '.join(repr(choice) for choice in allowed)
        raise ValueError(f'{name} must be one of {choices}; got {value!r}')


def subset_of(
    values: Collection[str], allowed: Collection[str], name: str
) -> None:
    """Raises :class:`ValueError` unless ``values`` are some of ``allowed``,
    each at most once."""
    if (
        not values
        or len(set(values)) < len(values)
        or not set(values) <= set(allowed)
    ):
        choices = ', '.join(repr(choice) for choice in allowed)
        raise ValueError(
            f'{name} must be some of {choices}, each once; got {values!r}'
        )
