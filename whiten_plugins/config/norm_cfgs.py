"""The ``norm_cfg`` dicts of a config: where they are, what they name."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class NormSetting(NamedTuple):
    """A ``norm_cfg`` or ``whiten_cfg`` in a config.

    Attributes:
        path: its dotted name, as ``--cfg-options`` takes it.
        owner: the dict that holds it.
        key: its key there.
    """

    path: str
    owner: dict
    key: str

    @property
    def cfg(self) -> dict:
        return self.owner[self.key]

    @property
    def owner_path(self) -> str:
        return self.path.rpartition('.')[0]


def find_norm_cfgs(value: Any, path: str = 'model') -> Iterator[NormSetting]:
    """Yield every ``norm_cfg`` and ``whiten_cfg`` dict below ``value``.

    Args:
        value: a config, usually that of the model.
        path: its dotted name.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            is_norm = key == 'whiten_cfg' or key.endswith('norm_cfg')
            if is_norm and isinstance(item, dict):
                yield NormSetting(f'{path}.{key}', value, key)
            else:
                yield from find_norm_cfgs(item, f'{path}.{key}')
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from find_norm_cfgs(item, f'{path}.{index}')
