"""Arguments of the norms, checked once with messages that help."""

from __future__ import annotations

from collections.abc import Collection


def group_size(num_features: int, setting: int, name: str) -> int:
    """Return ``setting``, or all channels of a layer that has fewer.

    Args:
        num_features: channels of the layer.
        setting: value of ``num_pergroup``, ``num_groups`` or
            ``ratio_groups``.
        name: which of them, for the message.

    Raises:
        ValueError: if ``setting`` is not positive or does not divide
            ``num_features``.
    """
    if setting < 1:
        raise ValueError(f'{name} must be at least 1, got {setting}')
    size = min(setting, num_features)
    if num_features % size:
        divisors = [d for d in range(1, num_features) if not num_features % d]
        nearest = {
            max(d for d in divisors if d < size),
            min((d for d in divisors if d > size), default=num_features),
        }
        working = ' or '.join(str(d) for d in sorted(nearest))
        raise ValueError(
            f'num_features={num_features} is not divisible by '
            f'{name}={setting}; the nearest {name} that work: {working}'
        )
    return size


def one_of(value: object, allowed: Collection, name: str) -> None:
    """Raise :class:`ValueError` unless ``value`` is one of ``allowed``."""
    if value not in tuple(allowed):
        choices = ', '.join(repr(choice) for choice in allowed)
        raise ValueError(f'{name} must be one of {choices}; got {value!r}')


def subset_of(
    values: Collection[str], allowed: Collection[str], name: str
) -> None:
    """Raise :class:`ValueError` unless ``values`` are some of ``allowed``.

    Each may be there once.
    """
    distinct = [value for value in allowed if value in values]
    if isinstance(values, str) or not 0 < len(values) == len(distinct):
        choices = ', '.join(repr(choice) for choice in allowed)
        raise ValueError(
            f'{name} must be some of {choices}, each once; got {values!r}'
        )
